"""What happens seldom and must go right all the same: odd agents, races, outages in between."""

from __future__ import annotations

import itertools
import threading
import time
import typing as t
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask

from flask_mesh_sessions import ChatTask, Turn
from tests import databases
from tests.mesh_app import FastMesh, gate, gates, make_app, mesh_of, settings, state_of
from tests.test_runtime import USER, events, new_session, reply, until

SECONDS = 15


def bare(folder: Path, url: str | None, **more: t.Any) -> Flask:
    """An app with the agents a test registers on its mesh, all in one database."""
    mesh = more.pop("mesh", None) or FastMesh()
    agents = settings(url, url)["agents"]
    own = [{**agents[0], "name": name} for name in mesh._registry.names()]
    return make_app(folder, url, url, mesh=mesh, agents=[*agents, *own], **more)


@pytest.fixture
def make(tmp_path: Path, sqlite_url: str) -> t.Iterator[t.Callable[..., Flask]]:
    """Makes apps on one database: to each other they are two processes."""
    apps: list[Flask] = []

    def make(**more: t.Any) -> Flask:
        folder = tmp_path / f"app-{len(apps)}"
        apps.append(bare(folder, sqlite_url, **more))
        return apps[-1]

    yield make
    for event in gates.values():
        event.set()
    gates.clear()
    for app in apps:
        state_of(app).close()


def ask(app: Flask, session: str, text: str, agent: str) -> ChatTask:
    """Send, and wait for a bounded time."""
    runtime = state_of(app).runtime
    return runtime.wait(USER, session, runtime.send(USER, session, text, agent), SECONDS)


def agree(app: Flask, session: str, agent: str) -> None:
    """History and memory say the same of every task."""
    with app.app_context():
        tasks = mesh_of(app).gateway.tasks(USER, session)
    for task in tasks:
        turn = state_of(app).sessions(agent).turn(USER, session, task.task_id)
        assert turn is not None
        assert (turn.status, turn.answer) == (task.status, reply(task))


class Stop(BaseException):
    """Not an Exception."""


@pytest.mark.parametrize(
    "error", [Stop, SystemExit, KeyboardInterrupt, GeneratorExit, StopIteration]
)
@pytest.mark.parametrize("kind", ["function", "generator", "coroutine", "asked"])
def test_whatever_an_agent_raises_fails_its_turn_and_no_more(
    make: t.Callable[..., Flask], kind: str, error: type[BaseException]
) -> None:
    mesh = FastMesh()

    @mesh.agent("raise-function")
    def function(turn: Turn) -> str:
        raise error()

    @mesh.agent("raise-generator")
    def generator(turn: Turn) -> t.Iterator[str]:
        yield "so far"
        raise error()

    @mesh.agent("raise-coroutine")
    async def coroutine(turn: Turn) -> str:
        raise error()

    @mesh.agent("raise-asked")
    def asked(turn: Turn) -> str:
        return turn.ask("raise-function", "x")

    app = make(mesh=mesh, turns={"workers": 1})
    session = new_session(app)
    for _ in range(2):
        task = ask(app, session, "x", f"raise-{kind}")
        assert task.status == "failed" and task.error is not None
    assert reply(task) == ("so far" if kind == "generator" else "")
    agree(app, session, f"raise-{kind}")
    assert ask(app, session, "x", "echo").status == "completed", "the worker still works"


def test_an_iterator_that_fails_to_close_does_not_hide_the_cancel(
    make: t.Callable[..., Flask],
) -> None:
    mesh = FastMesh()

    @mesh.agent("sticky")
    def sticky(turn: Turn) -> t.Iterator[str]:
        try:
            for number in itertools.count():
                yield f"{number} "
                time.sleep(0.01)
        finally:
            raise RuntimeError("not closed")

    app = make(mesh=mesh)
    runtime, session = state_of(app).runtime, new_session(app)
    task_id = runtime.send(USER, session, "x", "sticky")
    until(lambda: runtime._process().job(USER, task_id).stream.text)  # type: ignore[union-attr]
    runtime.cancel(USER, session, task_id)
    assert runtime.wait(USER, session, task_id, SECONDS).status == "cancelled"
    until(lambda: runtime._process().job(USER, task_id) is None)
    agree(app, session, "sticky")


def test_an_agent_may_use_its_turn_in_several_threads(backend: str, tmp_path: Path) -> None:
    mesh = FastMesh()

    @mesh.agent("parallel")
    def parallel(turn: Turn) -> str:
        def use(number: int) -> None:
            for _ in range(20):
                call = turn.call_tool("tool", {"number": number})
                turn.tool_result(call, number)
            answers.append(turn.ask(("echo", "coroutine", "async-words", "words")[number], "hi"))

        answers: list[str] = []
        threads = [threading.Thread(target=use, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return " ".join(sorted(answers))

    with databases.temporary_database(backend, tmp_path) as url:
        app = bare(tmp_path / "app", url, mesh=mesh)
        session = new_session(app)
        task = ask(app, session, "x", "parallel")
        found = events(app, session, "parallel")
        state_of(app).close()
    assert (task.status, reply(task)) == ("completed", "You said: hi awaited hi hi hi ")
    assert [event.seq for event in found] == list(range(1, 163))
    assert len({event.call_id for event in found if event.kind == "tool_call"}) == 80


def test_a_thread_an_agent_left_behind_writes_nothing_and_breaks_nothing(
    make: t.Callable[..., Flask],
) -> None:
    mesh, refused = FastMesh(), threading.Event()

    @mesh.agent("leaky")
    def leaky(turn: Turn) -> str:
        def go_on() -> None:
            try:
                while True:
                    turn.call_tool("tool", {})
            except Exception:
                refused.set()

        threading.Thread(target=go_on, daemon=True).start()
        time.sleep(0.05)
        return "done"

    app = make(mesh=mesh)
    session = new_session(app)
    for _ in range(3):
        refused.clear()
        assert reply(ask(app, session, "x", "leaky")) == "done"
        assert refused.wait(SECONDS)
    agree(app, session, "leaky")


def test_a_host_that_fails_after_a_turn_fails_the_turn(make: t.Callable[..., Flask]) -> None:
    app = make()

    @app.teardown_appcontext
    def teardown(error: BaseException | None) -> None:
        if threading.current_thread().name == "mesh-turn":
            raise RuntimeError("the host's own")

    session = new_session(app)
    assert ask(app, session, "x", "echo").status == "failed"
    agree(app, session, "echo")


def test_waiting_for_a_worker_does_not_count_as_running(make: t.Callable[..., Flask]) -> None:
    app = make(turns={"workers": 1, "timeout": 0.5})
    runtime = state_of(app).runtime
    sessions = [new_session(app) for _ in range(4)]
    sent = [runtime.send(USER, session, "3", "slow") for session in sessions]
    for session, task_id in zip(sessions, sent, strict=True):
        assert runtime.wait(USER, session, task_id, SECONDS).status == "completed"


def test_a_turn_that_is_cancelled_before_a_worker_is_free_is_not_begun(
    make: t.Callable[..., Flask],
) -> None:
    mesh, called = FastMesh(), threading.Event()

    @mesh.agent("called")
    def agent(turn: Turn) -> str:
        called.set()
        return "x"

    app = make(mesh=mesh, turns={"workers": 1})
    runtime = state_of(app).runtime
    busy, other = new_session(app), new_session(app)
    first = runtime.send(USER, busy, "r1 rest", "gated")
    second = runtime.send(USER, other, "x", "called")
    runtime.cancel(USER, other, second)
    gate("r1").set()
    assert runtime.wait(USER, busy, first, SECONDS).status == "completed"
    until(lambda: runtime._process().job(USER, second) is None)
    assert not called.is_set()
    agree(app, other, "called")


@pytest.mark.parametrize("tokens", [2**31, 2**63 - 1, 2**63, 2**80])
def test_a_count_no_database_can_hold_is_refused(make: t.Callable[..., Flask], tokens: int) -> None:
    mesh = FastMesh()

    @mesh.agent("counting")
    def counting(turn: Turn) -> str:
        for _ in range(2):
            turn.record_usage(model="m", prompt_tokens=tokens)
        return "x"

    app = make(mesh=mesh)
    session = new_session(app)
    task = ask(app, session, "x", "counting")
    assert task.status in ("completed", "failed")
    agree(app, session, "counting")
    assert ask(app, session, "x", "echo").status == "completed"


LIMIT = 4 * 1024 * 1024


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("x" * LIMIT, "completed"),
        ("x" * (LIMIT + 1), "failed"),
        ("é" * (LIMIT // 2), "completed"),
        ("é" * (LIMIT // 2) + "x", "failed"),
        ('"' * (LIMIT // 4), "completed"),
        ('"' * LIMIT, "failed"),
        ("\x01" * LIMIT, "failed"),
    ],
    ids=[
        "most",
        "too much",
        "most bytes",
        "too many bytes",
        "quotes",
        "too many quotes",
        "control",
    ],
)
def test_the_largest_answer_fits_into_log_and_history(
    backend: str, tmp_path: Path, text: str, status: str
) -> None:
    mesh = FastMesh()

    @mesh.agent("large")
    def large(turn: Turn) -> str:
        call = turn.call_tool("tool", {"large": '"' * (LIMIT // 4)})
        turn.tool_result(call, "done")
        return text

    with databases.temporary_database(backend, tmp_path) as url:
        app = bare(tmp_path / "app", url, mesh=mesh)
        session = new_session(app)
        task = ask(app, session, "x", "large")
        assert (task.status, len(reply(task))) == (status, len(text) * (status == "completed"))
        agree(app, session, "large")
        state_of(app).close()


def test_a_state_that_is_too_large_fails_the_turn(make: t.Callable[..., Flask]) -> None:
    mesh = FastMesh()

    @mesh.agent("hoarder")
    def hoarder(turn: Turn) -> str:
        turn.state["all"] = "x" * LIMIT
        return "x"

    app = make(mesh=mesh)
    session = new_session(app)
    task = ask(app, session, "x", "hoarder")
    assert task.error is not None and "at most 4194304 bytes" in task.error.message
    agree(app, session, "hoarder")


def test_a_message_makes_its_session_the_latest_even_if_clocks_differ(
    make: t.Callable[..., Flask],
) -> None:
    app = make()
    session, other = new_session(app), new_session(app)
    with app.app_context():
        gateway, ahead = mesh_of(app).gateway, int(time.time() * 1000) + 60_000
        later = sa.text("UPDATE sessions SET updated_time = :ahead WHERE session_id = :session")
        values = {"ahead": ahead, "session": session}
        gateway._database.write(lambda c: c.execute(later, values))
        ask(app, other, "a", "echo")
        ask(app, session, "a", "echo")
        assert [found.id for found in gateway.list(USER).data] == [session, other]
        assert (gateway.get(USER, session).updated_time or 0) > ahead


def test_the_longest_ids_there_can_be(backend: str, tmp_path: Path) -> None:
    user, session = "ü" * 255, "~" * 128
    with databases.temporary_database(backend, tmp_path) as url:
        app = bare(tmp_path / "app", url)
        runtime = state_of(app).runtime
        with app.app_context():
            mesh_of(app).gateway.create(user, session_id=session)
        for number, text in enumerate(["run-based x", "asker x", "echo x"]):
            task_id = str(number) * 128
            runtime.send(user, session, text, "asker", task_id)
            task = runtime.wait(user, session, task_id, SECONDS)
            assert task.status == ("failed" if text == "asker x" else "completed")
        state_of(app).close()
