"""Turns on every kind of database: what agents may do, and what is kept of it."""

from __future__ import annotations

import json
import threading
import time
import typing as t
from pathlib import Path

import pytest
from flask import Flask

from flask_mesh_sessions import ChatTask
from flask_mesh_sessions.agents.log import Event
from flask_mesh_sessions.errors import (
    AgentNotFound,
    Conflict,
    InvalidInput,
    SessionNotFound,
    TaskNotFound,
    TooLarge,
    TooManyWaiting,
)
from flask_mesh_sessions.runtime.runtime import Runtime
from tests import databases
from tests.mesh_app import gate, gates, make_app, mesh_of, state_of

USER = "ada"


@pytest.fixture(scope="module")
def urls(backend: str, tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[tuple[str, str]]:
    """A gateway's database and the agents'. Tests are kept apart by their sessions."""
    folder = tmp_path_factory.mktemp("databases")
    with (
        databases.temporary_database(backend, folder) as gateway,
        databases.temporary_database(backend, folder) as agents,
    ):
        yield gateway, agents


@pytest.fixture
def make(urls: tuple[str, str], tmp_path: Path) -> t.Iterator[t.Callable[..., Flask]]:
    """Makes apps on the same databases: to each other they are two processes."""
    apps: list[Flask] = []

    def make(**more: t.Any) -> Flask:
        apps.append(make_app(tmp_path / str(len(apps)), *urls, **more))
        return apps[-1]

    yield make
    for event in gates.values():
        event.set()
    gates.clear()
    for app in apps:
        state_of(app).close()


@pytest.fixture
def app(make: t.Callable[..., Flask]) -> Flask:
    return make()


@pytest.fixture
def runtime(app: Flask) -> Runtime:
    return state_of(app).runtime


@pytest.fixture
def session(app: Flask) -> str:
    return new_session(app)


def new_session(app: Flask) -> str:
    with app.app_context():
        return mesh_of(app).gateway.create(USER).id


def send(app: Flask, session: str, text: str, agent: str, **more: t.Any) -> ChatTask:
    with app.app_context():
        return mesh_of(app).send(session, text, agent, user_id=USER, **more)


def reply(task: ChatTask) -> str:
    said = [b["text"] for b in json.loads(task.message_bubbles) if b["type"] == "agent"]
    return "".join(said)


def events(app: Flask, session: str, agent: str) -> list[Event]:
    return list(state_of(app).sessions(agent).events(USER, session, limit=1000))


def until(check: t.Callable[[], t.Any], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def status(app: Flask, session: str, task_id: str) -> str:
    with app.app_context():
        return mesh_of(app).gateway.task(USER, session, task_id).status


@pytest.mark.parametrize(
    ("agent", "answer"),
    [
        ("echo", "You said: one two"),
        ("words", "one two "),
        ("coroutine", "awaited one two"),
        ("async-words", "onetwo"),
    ],
)
def test_an_agent_is_any_kind_of_function(
    app: Flask, session: str, agent: str, answer: str
) -> None:
    task = send(app, session, "one two", agent)
    assert (task.status, reply(task), task.agent) == ("completed", answer, agent)
    with app.app_context():
        assert mesh_of(app).gateway.task(USER, session, task.task_id) == task


def test_an_agent_remembers_over_a_restart(
    app: Flask, make: t.Callable[..., Flask], session: str
) -> None:
    assert reply(send(app, session, "first", "counter")) == "1: first"
    state_of(app).close()
    again = make()
    assert reply(send(again, session, "second", "counter")) == "2: first | second"


def test_the_log_holds_every_event_in_order(app: Flask, session: str) -> None:
    send(app, session, "a", "counter")
    send(app, session, "b", "counter")
    found = events(app, session, "counter")
    assert [e.seq for e in found] == list(range(1, 9))
    assert [e.kind for e in found] == ["user", "tool_call", "tool_result", "agent"] * 2
    assert [e.turn for e in found] == [1] * 4 + [2] * 4
    assert found[1].name == "count" and found[1].call_id == found[2].call_id


def test_agents_of_one_session_do_not_share_their_memory(app: Flask, session: str) -> None:
    send(app, session, "a", "counter")
    send(app, session, "b", "echo")
    assert [e.content for e in events(app, session, "echo")] == ["b", "You said: b"]
    assert len(events(app, session, "counter")) == 4


def test_a_run_based_agent_starts_anew_and_leaves_nothing(app: Flask, session: str) -> None:
    for _ in range(2):
        task = send(app, session, "hi", "run-based")
        assert reply(task) == "1 messages"
        until(lambda: not state_of(app).runtime._process().job(USER, task.task_id))  # noqa: B023
        memory = f"{session}:{task.task_id}:run"
        assert events(app, memory, "run-based") == []


def test_tool_calls_stand_in_the_parts_and_not_in_the_text(app: Flask, session: str) -> None:
    bubble = json.loads(send(app, session, "a", "counter").message_bubbles)[1]
    assert bubble["text"] == "1: a"
    assert [p["kind"] for p in bubble["parts"]] == ["data", "text"]
    assert bubble["parts"][0]["data"]["name"] == "count"


def test_what_cannot_be_stored_becomes_a_replacement(app: Flask, session: str) -> None:
    task = send(app, session, "x", "dirty")
    assert (task.status, reply(task)) == ("completed", "c\ufffd\ufffd")
    assert [e.content for e in events(app, session, "dirty")][2:] == [
        "b\ufffd\ufffd",
        "c\ufffd\ufffd",
    ]


def test_an_agent_that_fails_leaves_a_failed_turn_and_no_secret(
    app: Flask, session: str, caplog: pytest.LogCaptureFixture
) -> None:
    task = send(app, session, "x", "failing")
    assert task.status == "failed" and task.error is not None
    assert task.error.code == "agent_error" and "secret" not in task.error.message
    assert task.error.message.split()[-1] in caplog.text
    assert reply(task) == "so far "
    assert events(app, session, "failing")[-1][2:5] == ("agent", "so far ", "failed")
    assert state_of(app).sessions("failing").state(_lease(app, session, "failing")) is None


def _lease(app: Flask, session: str, agent: str) -> t.Any:
    lease = state_of(app).sessions(agent).acquire(USER, session, 1000)
    assert lease is not None, "the lease was not given back"
    state_of(app).sessions(agent).release(lease)
    return lease


def test_an_agent_that_gives_no_text_fails_with_words_that_help(
    app: Flask, session: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert send(app, session, "x", "wrong").status == "failed"
    assert "'wrong' gave a int" in caplog.text


def test_the_same_task_id_runs_once(app: Flask, session: str) -> None:
    first = send(app, session, "a", "counter", task_id=f"t-{session}")
    assert send(app, session, "a", "counter", task_id=f"t-{session}") == first
    assert len(events(app, session, "counter")) == 4


@pytest.mark.parametrize("other", ["text", "agent", "session"])
def test_the_same_task_id_for_something_else_is_a_conflict(
    app: Flask, session: str, other: str
) -> None:
    send(app, session, "a", "echo", task_id=f"t-{session}")
    target = new_session(app) if other == "session" else session
    with pytest.raises(Conflict):
        send(
            app,
            target,
            "b" if other == "text" else "a",
            "counter" if other == "agent" else "echo",
            task_id=f"t-{session}",
        )


def test_a_task_id_of_a_deleted_session_is_not_made_anew(app: Flask, session: str) -> None:
    send(app, session, "a", "echo", task_id=f"t-{session}")
    with app.app_context():
        mesh_of(app).gateway.delete(USER, session)
    with pytest.raises(Conflict):
        send(app, new_session(app), "a", "echo", task_id=f"t-{session}")


def test_two_users_may_use_the_same_ids(app: Flask, session: str) -> None:
    with app.app_context():
        mesh = mesh_of(app)
        mesh.gateway.create("bob", session_id=session)
        send(app, session, "a", "echo", task_id=f"t-{session}")
        other = mesh.send(session, "b", "echo", user_id="bob", task_id=f"t-{session}")
    assert reply(other) == "You said: b"
    assert [e.content for e in events(app, session, "echo")] == ["a", "You said: a"]


def test_the_same_task_sent_at_once_by_many_runs_once(
    app: Flask, make: t.Callable[..., Flask], session: str
) -> None:
    apps = [app, make()]
    found: list[ChatTask] = []

    def one(number: int) -> None:
        found.append(send(apps[number % 2], session, "a b c", "words", task_id=f"t-{session}"))

    _together(one, 8)
    assert len(found) == 8 and len({reply(task) for task in found}) == 1
    assert len(events(app, session, "words")) == 2


def test_turns_of_one_session_run_one_after_another_in_their_order(
    app: Flask, make: t.Callable[..., Flask], session: str
) -> None:
    apps = [app, make()]
    _together(lambda n: send(apps[n % 2], session, f"m{n}", "words"), 12)
    with app.app_context():
        tasks = mesh_of(app).gateway.tasks(USER, session)
    assert [task.status for task in tasks] == ["completed"] * 12
    found = events(app, session, "words")
    assert [e.seq for e in found] == list(range(1, 25))
    said = [e.content for e in found]
    assert said == [part for task in tasks for part in (task.user_message, reply(task))]


def _together(work: t.Callable[[int], object], count: int) -> None:
    failures: list[BaseException] = []

    def guarded(number: int) -> None:
        try:
            work(number)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []


def test_a_full_queue_refuses_and_stores_nothing(make: t.Callable[..., Flask]) -> None:
    app = make(turns={"max_waiting": 2})
    session = new_session(app)
    runtime = state_of(app).runtime
    running = runtime.send(USER, session, "g1 rest", "gated")
    until(lambda: status(app, session, running) == "running")
    waiting = [runtime.send(USER, session, f"{n}", "gated") for n in range(2)]
    with pytest.raises(TooManyWaiting) as refused:
        runtime.send(USER, session, "one too many", "gated", task_id="refused")
    assert refused.value.retry_after > 0
    with pytest.raises(TaskNotFound):
        runtime.wait(USER, session, "refused")
    again = runtime.send(USER, session, "1", "gated", task_id=waiting[1])
    assert again == waiting[1], "what is accepted can be sent again"
    for name in ("g1", "0", "1"):
        gate(name).set()
    for task_id in [running, *waiting]:
        assert runtime.wait(USER, session, task_id, 20).status == "completed"
    assert send(app, session, f"again-{session}", "echo").status == "completed"


def test_another_session_does_not_wait(app: Flask, session: str) -> None:
    runtime = state_of(app).runtime
    blocked = runtime.send(USER, session, "g2 rest", "gated")
    assert send(app, new_session(app), "a", "echo").status == "completed"
    gate("g2").set()
    assert runtime.wait(USER, session, blocked, 20).status == "completed"


def test_more_sessions_than_workers_all_get_their_turn(make: t.Callable[..., Flask]) -> None:
    app = make(turns={"workers": 2})
    sessions = [new_session(app) for _ in range(6)]
    _together(lambda n: send(app, sessions[n], "a b", "words"), 6)
    for session in sessions:
        assert len(events(app, session, "words")) == 2


def test_cancelling_a_running_turn_keeps_what_was_said(
    app: Flask, runtime: Runtime, session: str
) -> None:
    task_id = runtime.send(USER, session, "g3 rest", "gated")
    until(lambda: _streamed(app, task_id) == "g3 ")
    runtime.cancel(USER, session, task_id)
    task = runtime.wait(USER, session, task_id, 10)
    assert (task.status, reply(task)) == ("cancelled", "g3 ")
    gate("g3").set()
    until(lambda: events(app, session, "gated")[-1].name == "cancelled")
    assert [e.content for e in events(app, session, "gated")] == ["g3 rest", "g3 "]
    assert send(app, session, "g3 more", "gated").status == "completed"


def _streamed(app: Flask, task_id: str) -> str:
    job = state_of(app).runtime._process().job(USER, task_id)
    return job.stream.text if job else ""


def test_a_function_that_ignores_the_cancel_keeps_the_session_until_it_returns(
    app: Flask, runtime: Runtime, session: str
) -> None:
    task_id = runtime.send(USER, session, "g4", "stubborn")
    until(lambda: status(app, session, task_id) == "running")
    runtime.cancel(USER, session, task_id)
    assert runtime.wait(USER, session, task_id, 10).status == "cancelled"
    following = runtime.send(USER, session, "g4", "stubborn")
    assert runtime.wait(USER, session, following, 0.3).status == "waiting"
    gate("g4").set()
    assert runtime.wait(USER, session, following, 20).status == "completed"
    kinds = [(e.kind, e.name, e.content) for e in events(app, session, "stubborn")]
    assert kinds[:2] == [("user", None, "g4"), ("agent", "cancelled", "")]


def test_cancelling_from_another_process(
    app: Flask, make: t.Callable[..., Flask], runtime: Runtime, session: str
) -> None:
    task_id = runtime.send(USER, session, "g5 rest", "gated")
    until(lambda: status(app, session, task_id) == "running")
    state_of(make()).runtime.cancel(USER, session, task_id)
    assert runtime.wait(USER, session, task_id, 10).status == "cancelled"


def test_cancelling_a_waiting_turn(app: Flask, runtime: Runtime, session: str) -> None:
    running = runtime.send(USER, session, "g6 rest", "gated")
    waiting = runtime.send(USER, session, "never", "gated")
    runtime.cancel(USER, session, waiting)
    assert runtime.wait(USER, session, waiting, 10).status == "cancelled"
    gate("g6").set()
    assert runtime.wait(USER, session, running, 20).status == "completed"
    assert send(app, session, "g6 x", "gated").status == "completed"
    assert "never" not in [e.content for e in events(app, session, "gated")]


def test_deleting_a_session_cancels_what_runs_in_it(
    app: Flask, runtime: Runtime, session: str
) -> None:
    task_id = runtime.send(USER, session, "g7 rest", "gated")
    until(lambda: status(app, session, task_id) == "running")
    steps = runtime.events(USER, session, task_id)
    next(steps)
    with app.app_context():
        mesh_of(app).gateway.delete(USER, session)
    last = [event for event in steps if event is not None][-1]
    assert last.name == "done" and isinstance(last.data, ChatTask)
    assert last.data.status == "cancelled"
    for verb in (runtime.wait, runtime.events, runtime.cancel, runtime.retry):
        with pytest.raises(TaskNotFound):
            verb(USER, session, task_id)
    with pytest.raises(SessionNotFound):
        send(app, session, "x", "echo")
    with app.app_context():
        mesh_of(app).gateway.restore(USER, session)
    gate("g7").set()
    assert send(app, session, "g7 back", "gated").status == "completed"


def test_a_turn_that_takes_too_long_fails(make: t.Callable[..., Flask]) -> None:
    app = make(turns={"timeout": 0.2})
    session = new_session(app)
    task = send(app, session, "g8", "stubborn")
    assert task.status == "failed" and task.error is not None
    assert task.error.code == "timeout"
    gate("g8").set()


def test_a_retry_takes_the_place_of_the_answer(app: Flask, runtime: Runtime, session: str) -> None:
    send(app, session, "one", "counter")
    old = send(app, session, "two", "counter")
    new = runtime.wait(USER, session, runtime.retry(USER, session, old.task_id, "three"), 20)
    assert new.retry_of == old.task_id and new.status == "completed"
    assert reply(new) == "3: one | three"
    assert len(events(app, session, "counter")) == 12, "the log keeps the superseded turn"


def test_a_retry_without_a_text_repeats_it(app: Flask, runtime: Runtime, session: str) -> None:
    old = send(app, session, "one", "failing")
    new_id = runtime.retry(USER, session, old.task_id, new_task_id=f"again-{session}")
    assert new_id == f"again-{session}"
    assert runtime.wait(USER, session, f"again-{session}", 20).user_message == "one"
    assert (
        runtime.retry(USER, session, old.task_id, new_task_id=f"again-{session}")
        == f"again-{session}"
    )


def test_only_the_last_task_that_has_ended_can_be_retried(
    app: Flask, runtime: Runtime, session: str
) -> None:
    first = send(app, session, "one", "echo")
    running = runtime.send(USER, session, "g9 rest", "gated")
    for task_id in (first.task_id, running):
        with pytest.raises(Conflict):
            runtime.retry(USER, session, task_id)
    gate("g9").set()
    runtime.wait(USER, session, running, 20)
    with pytest.raises(TaskNotFound):
        runtime.retry(USER, session, "unknown")
    with pytest.raises(TaskNotFound):
        runtime.retry("bob", session, running)


def test_one_agent_asks_another_under_the_same_session(app: Flask, session: str) -> None:
    send(app, session, "before", "counter")
    task = send(app, session, "counter between", "asker")
    assert reply(task) == "counter says: 2: before | between"
    assert reply(send(app, session, "after", "counter")) == "3: before | between | after"


def test_an_agent_cannot_ask_itself(app: Flask, session: str) -> None:
    for text in ("asker x", "asker asker x"):
        task = send(app, session, text, "asker")
        assert task.error is not None
        assert "asker -> asker" in task.error.message


def test_asking_an_agent_that_fails_or_is_unknown_fails(app: Flask, session: str) -> None:
    failed = send(app, session, "failing x", "asker")
    assert failed.error is not None and "did not answer" in failed.error.message
    unknown = send(app, session, "nobody x", "asker")
    assert unknown.error is not None and "nobody" in unknown.error.message
    assert send(app, session, "echo x", "asker").status == "completed"


def test_asking_a_busy_agent_fails_the_ask_and_not_for_ever(
    app: Flask, runtime: Runtime, session: str
) -> None:
    busy = runtime.send(USER, session, "g10 rest", "gated")
    until(lambda: status(app, session, busy) == "running")
    task = send(app, session, "gated x", "asker")
    assert task.error is not None and "busy" in task.error.message
    gate("g10").set()
    assert runtime.wait(USER, session, busy, 20).status == "completed"


@pytest.mark.parametrize("text", ["", " \n", "a\x00b", "\ud800"])
def test_a_message_that_cannot_be_is_refused(runtime: Runtime, session: str, text: str) -> None:
    with pytest.raises(InvalidInput):
        runtime.send(USER, session, text, "echo", task_id="refused")
    with pytest.raises(TaskNotFound):
        runtime.wait(USER, session, "refused")


def test_a_message_that_is_too_large_is_refused(make: t.Callable[..., Flask]) -> None:
    app = make(limits={"message_bytes": 8})
    session = new_session(app)
    assert send(app, session, "12345678", "echo").status == "completed"
    with pytest.raises(TooLarge):
        send(app, session, "1234567ä", "echo")


def test_who_is_to_answer(app: Flask, runtime: Runtime, session: str) -> None:
    with app.app_context():
        mesh = mesh_of(app)
        assert mesh.send(session, "a", user_id=USER).agent == "echo", "the first configured"
        own = mesh.gateway.create(USER, agent_id="words").id
        assert mesh.send(own, "a", user_id=USER).agent == "words", "the session's own"
        assert mesh.send(own, "a", "echo", user_id=USER).agent == "echo", "the one asked for"
    with pytest.raises(AgentNotFound):
        runtime.send(USER, session, "a", "nobody")
    with pytest.raises(SessionNotFound):
        runtime.send(USER, "web-session-unknown", "a")
    with pytest.raises(SessionNotFound):
        runtime.send("bob", session, "a")
