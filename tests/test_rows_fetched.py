"""No query loads a whole session: what is fetched does not grow with what lies behind."""

from __future__ import annotations

import contextlib
import json
import typing as t
import uuid
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask

from flask_mesh_sessions.agents import tables as agents
from flask_mesh_sessions.gateway import tables as gateway
from flask_mesh_sessions.storage.statement import Statement
from tests import databases
from tests.mesh_app import make_app, mesh_of, state_of

USER = "ada"
TASKS = 300
EVENTS = 2 * TASKS
#: Behind the summary there are the last two turns.
LIVE = 4


@pytest.fixture(scope="module", params=["postgresql", "mariadb"])
def app(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> t.Iterator[Flask]:
    # SQLite's driver does not say how many rows a SELECT has.
    databases.need(request.param)
    folder: Path = tmp_path_factory.mktemp("rows")
    with (
        databases.temporary_database(request.param, folder) as gateway_url,
        databases.temporary_database(request.param, folder) as agent_url,
    ):
        app = make_app(folder, gateway_url, agent_url)
        yield app
        state_of(app).close()


@pytest.fixture(scope="module")
def session(app: Flask) -> str:
    """A session with a long history and a compaction."""
    with app.app_context():
        session_id = mesh_of(app).gateway.create(USER).id
        mesh_of(app).send(session_id, "hello", "counter", user_id=USER)
    state = state_of(app)
    history, memory = (
        state.databases.get(t.cast(str, url))
        for url in (
            state.config.session_service.database_url,
            state.config.agent("counter").session_service.database_url,
        )
    )
    history.write(lambda c: _fill_history(c, session_id))
    memory.write(lambda c: _fill_memory(c, session_id))
    return session_id


def _fill_history(connection: sa.Connection, session_id: str) -> None:
    own = sa.select(gateway.sessions.c.pk).where(gateway.sessions.c.session_id == session_id)
    row = {
        "session_pk": connection.execute(own).scalar_one(),
        "user_id": USER,
        "agent": "counter",
        "status": "completed",
        "message_bubbles": json.dumps([{"type": "user", "text": "x"}]),
        "search_text": "x",
        "cancel_requested": False,
        "created_time": 1,
    }
    rows = [{**row, "task_id": uuid.uuid4().hex} for _ in range(TASKS)]
    connection.execute(sa.insert(gateway.chat_tasks), rows)


def _fill_memory(connection: sa.Connection, session_id: str) -> None:
    table = agents.agent_sessions
    own = sa.select(table.c.pk, table.c.last_seq).where(table.c.session_id == session_id)
    key, first = connection.execute(own).one()
    row = {"session_pk": key, "content": "x", "withdrawn": False, "created_time": 1}
    kinds = ("user", "agent")
    events = [
        {**row, "seq": first + n + 1, "turn": 2 + n // 2, "kind": kinds[n % 2]}
        for n in range(EVENTS)
    ]
    connection.execute(sa.insert(agents.agent_events), events)
    last = first + EVENTS
    connection.execute(
        sa.update(table).where(table.c.pk == key).values(last_seq=last, last_turn=1 + TASKS)
    )
    made = connection.execute(
        sa.insert(agents.agent_compactions).values(
            session_pk=key,
            version=1,
            through_seq=last - LIVE,
            summary="They spoke.",
            literals="[]",
            tokens_before=1,
            tokens_after=1,
            trigger="manual",
            created_time=1,
        )
    )
    head = t.cast("tuple[int]", made.inserted_primary_key)[0]
    connection.execute(sa.update(table).where(table.c.pk == key).values(head_compaction=head))


@contextlib.contextmanager
def most_rows(app: Flask, monkeypatch: pytest.MonkeyPatch) -> t.Iterator[list[int]]:
    """The number of rows each statement gave or changed."""
    counts: list[int] = [0]
    fetch = Statement.fetch

    def noted(self: Statement, dialect: t.Any, cursor: t.Any, values: t.Any) -> t.Any:
        rows = fetch(self, dialect, cursor, values)
        counts.append(len(rows))
        return rows

    def executed(conn: t.Any, cursor: t.Any, *rest: t.Any) -> None:
        counts.append(cursor.rowcount)

    engines = [d.engine for d in state_of(app).databases._by_url.values()]
    monkeypatch.setattr(Statement, "fetch", noted)
    for engine in engines:
        sa.event.listen(engine, "after_cursor_execute", executed)
    yield counts
    for engine in engines:
        sa.event.remove(engine, "after_cursor_execute", executed)


def test_a_turn(app: Flask, session: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with most_rows(app, monkeypatch) as counts, app.app_context():
        task = mesh_of(app).send(session, "what now?", "counter", user_id=USER)
    assert task.status == "completed"
    # What is live, and this turn's own: the message, a tool call and its result.
    assert max(counts) <= LIVE + 3
    assert len(counts) > 8, "nothing was counted"


def test_the_gateways_verbs(app: Flask, session: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with app.app_context():
        service = mesh_of(app).gateway
        for _ in range(30):
            service.create(USER)
        verbs: list[tuple[t.Callable[[], object], int]] = [
            (lambda: service.walk(USER, page_size=5), 6),
            (lambda: service.list(USER, page_size=5), 5),
            (lambda: service.search(USER, "x", page_size=5), 5),
            (lambda: service.get(USER, session), 1),
            (lambda: service.rename(USER, session, "New"), 1),
            (lambda: service.viewed(USER, session), 1),
            (lambda: service.tasks(USER, session, limit=7), 7),
        ]
        for verb, shown in verbs:
            with most_rows(app, monkeypatch) as counts:
                verb()
            assert 0 < max(counts) <= shown


def test_the_log_is_read_in_pages(
    app: Flask, session: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with most_rows(app, monkeypatch) as counts:
        found = state_of(app).sessions("counter").events(USER, session, after=100, limit=9)
    assert len(found) == 9 and max(counts) == 9


def test_cancel_and_retry(app: Flask, session: str, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = state_of(app).runtime
    with most_rows(app, monkeypatch) as counts:
        first = runtime.send(USER, session, "a b c d e f g h", "words")
        runtime.cancel(USER, session, first)
        runtime.wait(USER, session, first, 20)
        again = runtime.retry(USER, session, first)
        assert runtime.wait(USER, session, again, 20).status == "completed"
    assert max(counts) <= LIVE + 4
