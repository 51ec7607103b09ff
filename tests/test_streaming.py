"""Following a turn: from its own process and from another, from the start and in the middle."""

from __future__ import annotations

import typing as t

import pytest
import sqlalchemy as sa
from flask import Flask

from flask_mesh_sessions.errors import TaskNotFound
from flask_mesh_sessions.runtime.runtime import Event
from tests import databases
from tests.mesh_app import gate, gates, make_app, mesh_of, state_of
from tests.test_runtime import USER, new_session, send, until


@pytest.fixture(scope="module")
def apps(backend: str, tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[tuple[Flask, Flask]]:
    """Two apps on the same databases: to each other they are two processes."""
    folder = tmp_path_factory.mktemp("databases")
    with (
        databases.temporary_database(backend, folder) as gateway,
        databases.temporary_database(backend, folder) as agents,
    ):
        both = (make_app(folder / "1", gateway, agents), make_app(folder / "2", gateway, agents))
        yield both
        for event in gates.values():
            event.set()
        gates.clear()
        for app in both:
            state_of(app).close()


@pytest.fixture
def session(apps: tuple[Flask, Flask]) -> str:
    return new_session(apps[0])


def follow(app: Flask, session: str, task_id: str, **options: t.Any) -> list[Event]:
    steps = state_of(app).runtime.events(USER, session, task_id, **options)
    return [event for event in steps if event is not None]


def text_of(events: list[Event]) -> str:
    text = ""
    for event in events:
        if event.name == "snapshot" and isinstance(event.data, dict):
            text = event.data["text"]
        elif event.name == "delta" and isinstance(event.data, dict):
            text += event.data["text"]
        elif event.name == "reset":
            text = ""
    return text


@pytest.mark.parametrize("own", [0, 1])
def test_a_stream_from_the_start(apps: tuple[Flask, Flask], session: str, own: int) -> None:
    task_id = state_of(apps[0]).runtime.send(USER, session, "one two three four", "words")
    events = follow(apps[own], session, task_id, begin="task")
    assert [events[0].name, events[-1].name] == ["task", "done"]
    assert {event.name for event in events[1:-1]} <= {"delta"}
    assert text_of(events) == "one two three four "
    assert events[-1].data == mesh_task(apps[0], session, task_id)


def mesh_task(app: Flask, session: str, task_id: str) -> t.Any:
    with app.app_context():
        return mesh_of(app).gateway.task(USER, session, task_id)


@pytest.mark.parametrize("own", [0, 1])
def test_a_reload_in_mid_answer_goes_on(apps: tuple[Flask, Flask], session: str, own: int) -> None:
    name = f"reload-{own}-{session}"
    runtime = state_of(apps[0]).runtime
    task_id = runtime.send(USER, session, f"{name} rest", "gated")
    steps = state_of(apps[own]).runtime.events(USER, session, task_id)
    seen: list[Event] = []
    while text_of(seen) != f"{name} ":
        event = next(steps)
        seen += [event] if event else []
    assert seen[0].name == "snapshot"
    last_id = seen[-1].id
    assert last_id == str(len(name) + 1)
    gate(name).set()
    resumed = follow(apps[own], session, task_id, last_event_id=last_id)
    assert text_of(resumed) == "rest", "nothing is sent twice"
    rest = [event for event in steps if event is not None]
    assert text_of([*seen, *rest]) == f"{name} rest"


@pytest.mark.parametrize("own", [0, 1])
@pytest.mark.parametrize("last_id", ["nonsense", "999999", "-1", "١", ""])
def test_an_id_that_leads_nowhere_begins_anew(
    apps: tuple[Flask, Flask], session: str, own: int, last_id: str
) -> None:
    task_id = state_of(apps[0]).runtime.send(USER, session, "one two", "words")
    events = follow(apps[own], session, task_id, last_event_id=last_id)
    assert events[0].name == "snapshot"
    assert text_of(events) == "one two "


@pytest.mark.parametrize("own", [0, 1])
def test_a_task_that_has_ended_is_told_whole(
    apps: tuple[Flask, Flask], session: str, own: int
) -> None:
    task = send(apps[0], session, "one two", "words")
    events = follow(apps[own], session, task.task_id)
    assert [event.name for event in events] == ["snapshot", "done"]
    assert text_of(events) == "one two " and events[-1].data == task


def test_a_waiting_task_is_followed_from_before_it_runs(
    apps: tuple[Flask, Flask], session: str
) -> None:
    name = f"first-{session}"
    runtime = state_of(apps[0]).runtime
    first = runtime.send(USER, session, f"{name} rest", "gated")
    second = state_of(apps[1]).runtime.send(USER, session, f"{name} more", "gated")
    steps = runtime.events(USER, session, second, begin="task")
    assert next(steps) is None, "a sign of life while it waits"
    gate(name).set()
    events = [event for event in steps if event is not None]
    assert events[0].name == "task" and text_of(events) == f"{name} more"
    assert runtime.wait(USER, session, first, 20).status == "completed"


def test_a_listener_that_leaves_stops_nothing(apps: tuple[Flask, Flask], session: str) -> None:
    task_id = state_of(apps[0]).runtime.send(USER, session, "one two three", "words")
    for app in apps:
        steps = state_of(app).runtime.events(USER, session, task_id)
        next(steps)
        t.cast("t.Generator[Event]", steps).close()
    done = state_of(apps[1]).runtime.wait(USER, session, task_id, 20)
    assert done.status == "completed"


def test_the_pieces_are_gone_when_the_answer_is_there(
    apps: tuple[Flask, Flask], session: str
) -> None:
    name = f"pieces-{session}"
    runtime = state_of(apps[0]).runtime
    task_id = runtime.send(USER, session, f"{name} rest", "gated")
    count = sa.text("SELECT count(*) FROM chat_task_parts")
    database = state_of(apps[0]).gateway_database
    assert database is not None
    until(lambda: database.read(lambda c: c.execute(count).scalar_one()) > 0)
    gate(name).set()
    runtime.wait(USER, session, task_id, 20)
    assert database.read(lambda c: c.execute(count).scalar()) == 0


def test_no_thread_looks_on_when_nobody_listens(apps: tuple[Flask, Flask], session: str) -> None:
    name = f"idle-{session}"
    task_id = state_of(apps[0]).runtime.send(USER, session, f"{name} rest", "gated")
    other = state_of(apps[1]).runtime
    listeners = [other.events(USER, session, task_id) for _ in range(5)]
    for steps in listeners:
        next(steps)
    tails = other._process().tails._tails
    assert len(tails) == 1, "one look for all listeners"
    for steps in listeners:
        t.cast("t.Generator[Event]", steps).close()
    until(lambda: not tails)
    gate(name).set()
    assert other.wait(USER, session, task_id, 20).status == "completed"


def test_another_users_task_is_unknown(apps: tuple[Flask, Flask], session: str) -> None:
    runtime = state_of(apps[0]).runtime
    task_id = runtime.send(USER, session, "one", "echo")
    for user, where, task in (
        ("bob", session, task_id),
        (USER, "web-session-other", task_id),
        (USER, session, task_id.upper()),
    ):
        for verb in (runtime.events, runtime.wait, runtime.cancel):
            with pytest.raises(TaskNotFound):
                verb(user, where, task)
    runtime.wait(USER, session, task_id, 20)
