"""Without any database: the same rules within one process, and bounds on what is kept."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from flask import Flask

from flask_mesh_sessions.agents.log import Closing, Entry, NewTurn
from flask_mesh_sessions.agents.memory import MemoryAgentSessions
from flask_mesh_sessions.errors import (
    Conflict,
    LeaseLost,
    NotPersistent,
    TaskNotFound,
    TooManyWaiting,
)
from flask_mesh_sessions.gateway.memory import MemoryLedger
from flask_mesh_sessions.gateway.turns import NewTask, Outcome
from tests.mesh_app import gate, gates, make_app, mesh_of, state_of
from tests.test_runtime import reply, until

USER = "ada"
SESSION = "web-session-0"


@pytest.fixture
def app(tmp_path: Path) -> t.Iterator[Flask]:
    app = make_app(tmp_path, None, None, turns={"max_waiting": 2})
    yield app
    for event in gates.values():
        event.set()
    gates.clear()
    state_of(app).close()


def send(app: Flask, text: str, agent: str, **more: t.Any) -> t.Any:
    with app.app_context():
        return mesh_of(app).send(SESSION, text, agent, user_id=USER, **more)


def test_an_agent_remembers_as_long_as_the_process_lives(app: Flask) -> None:
    assert reply(send(app, "one", "counter")) == "1: one"
    assert reply(send(app, "two", "counter")) == "2: one | two"
    with app.app_context():
        other = mesh_of(app).send(SESSION, "one", "counter", user_id="bob")
        assert reply(other) == "1: one", "another user's session of the same id is another"


def test_the_history_needs_a_database(app: Flask) -> None:
    with app.app_context(), pytest.raises(NotPersistent, match="database configuration"):
        mesh_of(app).gateway.list(USER)


@pytest.mark.parametrize(
    ("message", "status"),
    [
        ({"text": "a\x00b"}, 422),
        ({"text": " "}, 422),
        ({"text": "a", "taskId": "a b"}, 422),
        ({"text": "a", "agent": "nobody"}, 404),
    ],
)
def test_nobody_becomes_somebody_for_a_message_that_is_refused(
    app: Flask, message: dict[str, str], status: int
) -> None:
    client = app.test_client()
    path = f"/api/v1/sessions/{SESSION}/messages"
    refused = client.post(path, json=message)
    assert refused.status_code == status and "Set-Cookie" not in refused.headers
    taken = client.post(path, json={"text": "a"})
    assert taken.status_code == 200 and "Set-Cookie" in taken.headers


def test_the_same_task_id_runs_once(app: Flask) -> None:
    first = send(app, "one", "counter", task_id="t")
    assert send(app, "one", "counter", task_id="t") == first
    with pytest.raises(Conflict):
        send(app, "two", "counter", task_id="t")


def test_a_full_queue_refuses(app: Flask) -> None:
    runtime = state_of(app).runtime
    first = runtime.send(USER, SESSION, "m1 rest", "gated")
    until(lambda: state_of(app).runtime._process().job(USER, first).started)  # type: ignore[union-attr]
    for number in range(2):
        runtime.send(USER, SESSION, f"{number}", "gated")
    with pytest.raises(TooManyWaiting):
        runtime.send(USER, SESSION, "one too many", "gated", task_id="refused")
    with pytest.raises(TaskNotFound):
        runtime.wait(USER, SESSION, "refused")


def test_cancel_and_retry(app: Flask) -> None:
    runtime = state_of(app).runtime
    task_id = runtime.send(USER, SESSION, "m2 rest", "gated")
    with pytest.raises(Conflict):
        runtime.retry(USER, SESSION, task_id)
    runtime.cancel(USER, SESSION, task_id)
    assert runtime.wait(USER, SESSION, task_id, 10).status == "cancelled"
    gate("m2").set()
    again = runtime.retry(USER, SESSION, task_id)
    assert reply(runtime.wait(USER, SESSION, again, 10)) == "m2 rest"
    with pytest.raises(TaskNotFound):
        runtime.retry("bob", SESSION, again)


def test_a_session_that_is_in_use_is_not_forgotten() -> None:
    sessions = MemoryAgentSessions("a")
    lease = sessions.acquire(USER, "s:t:run", 1000, NewTurn("t", "hi"))
    assert lease is not None
    assert not sessions.forget(USER, "s:t:run"), "somebody holds it"
    sessions.close(lease, Closing("completed", Entry("agent", "x")))
    assert sessions.forget(USER, "s:t:run")
    assert sessions.turn(USER, "s:t:run", "t") is None


def test_the_least_recently_used_sessions_go_first() -> None:
    sessions = MemoryAgentSessions("a", keep=3)
    for name in ("one", "two", "three", "one", "four"):
        turn = f"turn-{name}-{len(sessions.events(USER, name))}"
        lease = sessions.acquire(USER, name, 1000, NewTurn(turn, "hi"))
        assert lease is not None
        sessions.close(lease, Closing("completed", Entry("agent", "x")))
    kept = [bool(sessions.events(USER, name)) for name in ("one", "two", "three", "four")]
    assert kept == [True, False, True, True]


def test_a_lease_that_ran_out_cannot_write() -> None:
    sessions = MemoryAgentSessions("a")
    old = sessions.acquire(USER, "s", 0, NewTurn("t", "hi"))
    assert old is not None
    new = sessions.acquire(USER, "s", 1000)
    assert new is not None and new.fence > old.fence and new.open_turn == 1
    with pytest.raises(LeaseLost):
        sessions.append(old, [Entry("tool_call", "{}", "tool", "c")])
    sessions.renew([old, new], 1000)
    assert old.lost and not new.lost
    assert sessions.acquire(USER, "s", 1000) is None


def test_tasks_that_have_ended_are_forgotten_in_time() -> None:
    ledger = MemoryLedger(keep=3)

    def accept(task_id: str) -> t.Any:
        new = NewTask(USER, SESSION, task_id, "hi", "[]", "runner", 1000)
        return ledger.accept(new, lambda asked, own: "echo", 100).task

    live = accept("live")
    for number in range(5):
        ledger.finish(accept(str(number)), "runner", Outcome("completed", "[]"), False)
    assert ledger.find(USER, "live") == live
    assert [bool(ledger.find(USER, str(number))) for number in range(5)] == [False] * 3 + [True] * 2
