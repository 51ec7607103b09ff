"""No query loads a whole session: what is fetched does not grow with what lies behind."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import typing as t
import uuid
from pathlib import Path

import psycopg2.extensions
import pymysql.cursors
import pytest
import sqlalchemy as sa
from flask import Flask

from flask_mesh_sessions.agents import tables as agents
from flask_mesh_sessions.agents.log import NewTurn
from flask_mesh_sessions.gateway import tables as gateway
from flask_mesh_sessions.gateway.turns import NewTask
from flask_mesh_sessions.runtime import bubbles
from flask_mesh_sessions.storage.database import Database
from tests import databases
from tests.mesh_app import make_app, mesh_of, state_of

USER = "ada"
AGENT = "counter"
TASKS = 500
EVENTS = 4 * TASKS
#: Behind the summary there is the last turn.
LIVE = 4
#: What a turn of the agent adds: its message, a tool call and its result, the answer.
OWN = 4


class Fetched:
    """How many rows each statement gave, as the driver has them."""

    def __init__(self) -> None:
        self.counts: list[list[t.Any]] = []

    def begin(self, statement: t.Any) -> list[t.Any]:
        """A new count, and what it is for."""
        self.counts.append([0, str(statement)])
        return self.counts[-1]

    @contextlib.contextmanager
    def at_most(self, limit: int) -> t.Iterator[None]:
        """That what happens inside gives that many rows, and no statement more."""
        self.counts.clear()
        yield
        most, statement = max(self.counts)
        assert 0 < most <= limit, f"{most} rows of {statement}"


FETCHED = Fetched()


class SqliteCursor(sqlite3.Cursor):
    """Counts the rows it hands out."""

    def execute(self, statement: t.Any, *parameters: t.Any) -> t.Any:
        self._count = FETCHED.begin(statement)
        return super().execute(statement, *parameters)

    def fetchone(self) -> t.Any:
        row = super().fetchone()
        self._count[0] += row is not None
        return row

    def fetchmany(self, *size: t.Any) -> t.Any:
        return self._counted(super().fetchmany(*size))

    def fetchall(self) -> t.Any:
        return self._counted(super().fetchall())

    def _counted(self, rows: t.Any) -> t.Any:
        self._count[0] += len(rows)
        return rows


class PostgresqlCursor(psycopg2.extensions.cursor):
    """Counts the rows it was sent."""

    def execute(self, statement: t.Any, parameters: t.Any = None) -> None:
        super().execute(statement, parameters)
        if self.description is not None:
            FETCHED.begin(statement)[0] = self.rowcount


class MariadbCursor(pymysql.cursors.Cursor):
    """Counts the rows it was sent."""

    def execute(self, statement: t.Any, parameters: t.Any = None) -> int:
        count: int = super().execute(statement, parameters)
        if self.description is not None:
            FETCHED.begin(statement)[0] = count
        return count


def count_in(engine: sa.Engine) -> None:
    """Let an engine's connections count from now on."""
    name = engine.dialect.name

    def connecting(dialect: t.Any, record: t.Any, args: t.Any, options: dict[str, t.Any]) -> None:
        if name == "sqlite":
            options["factory"] = counting(options["factory"])
        elif name == "postgresql":
            options["cursor_factory"] = PostgresqlCursor
        else:
            options["cursorclass"] = MariadbCursor

    sa.event.listen(engine, "do_connect", connecting)
    engine.dispose()


def counting(connection_class: type[sqlite3.Connection]) -> type[sqlite3.Connection]:
    class Counting(connection_class):  # type: ignore[misc, valid-type]
        def cursor(self, factory: t.Any = SqliteCursor) -> t.Any:
            return super().cursor(factory)

    return Counting


@pytest.fixture(scope="module")
def app(backend: str, tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Flask]:
    folder: Path = tmp_path_factory.mktemp("rows")
    with (
        databases.temporary_database(backend, folder) as gateway_url,
        databases.temporary_database(backend, folder) as agent_url,
    ):
        app = make_app(folder, gateway_url, agent_url, url_prefix=False)
        for database in databases_of(app):
            count_in(database.engine)
        yield app
        state_of(app).close()


def databases_of(app: Flask) -> tuple[Database, Database]:
    """The gateway's and the agents'."""
    binds = state_of(app).binds()
    return binds["mesh_gateway"], binds[f"mesh_agent_{AGENT}"]


@pytest.fixture
def session(app: Flask) -> str:
    """A session with a long history, a long memory and a compaction."""
    with app.app_context():
        session_id = mesh_of(app).gateway.create(USER, name="Long").id
        mesh_of(app).send(session_id, "hello", AGENT, user_id=USER)
    history, memory = databases_of(app)
    history.write(lambda c: fill_history(c, session_id))
    memory.write(lambda c: fill_memory(c, session_id))
    return session_id


def fill_history(connection: sa.Connection, session_id: str) -> None:
    own = sa.select(gateway.sessions.c.pk).where(gateway.sessions.c.session_id == session_id)
    row = {
        "session_pk": connection.execute(own).scalar_one(),
        "user_id": USER,
        "agent": AGENT,
        "status": "completed",
        "message_bubbles": json.dumps([{"type": "user", "text": "needle"}]),
        "search_text": "needle",
        "cancel_requested": False,
        "created_time": 1,
    }
    rows = [{**row, "task_id": uuid.uuid4().hex} for _ in range(TASKS)]
    connection.execute(sa.insert(gateway.chat_tasks), rows)


def fill_memory(connection: sa.Connection, session_id: str) -> None:
    """Turns of four events, and a summary of all but the last."""
    table = agents.agent_sessions
    own = sa.select(table.c.pk, table.c.last_seq).where(table.c.session_id == session_id)
    key, first = connection.execute(own).one()
    turn = {"session_pk": key, "status": "completed", "withdrawn": False, "fence": 1}
    turns = [
        {
            **turn,
            "turn": 2 + n,
            "task_id": uuid.uuid4().hex,
            "first_seq": first + 4 * n + 1,
            "last_seq": first + 4 * n + 4,
            "created_time": 1,
        }
        for n in range(TASKS)
    ]
    event = {"session_pk": key, "content": "{}", "withdrawn": False, "created_time": 1}
    kinds = ("user", "tool_call", "tool_result", "agent")
    events = [
        {**event, "seq": first + n + 1, "turn": 2 + n // 4, "kind": kinds[n % 4], "call_id": "c"}
        for n in range(EVENTS)
    ]
    connection.execute(sa.insert(agents.agent_turns), turns)
    connection.execute(sa.insert(agents.agent_events), events)
    summary = {
        "session_pk": key,
        "version": 1,
        "through_seq": first + EVENTS - LIVE,
        "summary": "They spoke.",
        "literals": "[]",
        "tokens_before": 9_000,
        "tokens_after": 900,
        "trigger": "manual",
        "created_time": 1,
    }
    made = connection.execute(sa.insert(agents.agent_compactions).values(summary))
    values = {
        "last_seq": first + EVENTS,
        "last_turn": 1 + TASKS,
        "head_compaction": t.cast("tuple[int]", made.inserted_primary_key)[0],
    }
    connection.execute(sa.update(table).where(table.c.pk == key).values(values))


def test_the_rows_are_counted(app: Flask, session: str) -> None:
    with app.app_context(), pytest.raises(AssertionError), FETCHED.at_most(TASKS):
        mesh_of(app).gateway.tasks(USER, session)


def test_a_turn(app: Flask, session: str) -> None:
    """Accepted, begun, run with a tool, closed, finished."""
    with FETCHED.at_most(LIVE + OWN), app.app_context():
        task = mesh_of(app).send(session, "what now?", AGENT, user_id=USER)
    assert task.status == "completed"


def test_turns_that_wait_for_each_other(app: Flask, session: str) -> None:
    runtime = state_of(app).runtime
    with FETCHED.at_most(LIVE + 3 * OWN):
        sent = [runtime.send(USER, session, text, AGENT) for text in ("one", "two", "three")]
        ended = [runtime.wait(USER, session, task_id).status for task_id in sent]
    assert ended == ["completed"] * 3


def test_a_cancelled_turn_and_its_retry(app: Flask, session: str) -> None:
    runtime = state_of(app).runtime
    with FETCHED.at_most(LIVE + OWN):
        first = runtime.send(USER, session, "1 2 3 4 5 6 7 8", "words")
        runtime.cancel(USER, session, first)
        assert runtime.wait(USER, session, first).status == "cancelled"
        again = runtime.retry(USER, session, first, "1 2")
        assert runtime.wait(USER, session, again).status == "completed"


def test_a_turn_whose_process_has_gone(app: Flask, session: str) -> None:
    """It is settled from what the agent's log says of it."""
    runtime, memory = state_of(app).runtime, state_of(app).sessions(AGENT)
    task_id, over = uuid.uuid4().hex, -1_000
    new = NewTask(
        user_id=USER,
        session_id=session,
        task_id=task_id,
        text="anybody there?",
        bubbles=bubbles.question(task_id, "anybody there?"),
        runner="gone",
        ttl_ms=over,
        agent=AGENT,
    )
    with FETCHED.at_most(LIVE + OWN):
        accepted = runtime._ledger.accept(new, lambda asked, known: AGENT, 16)
        memory.acquire(USER, session, over, NewTurn(task_id, new.text))
        runtime._ledger.start(accepted.task.pk, "gone", over)
        runtime.settle(USER, session, task_id)
        assert runtime.wait(USER, session, task_id).status == "interrupted"


def test_a_compaction(app: Flask, session: str) -> None:
    agent = state_of(app).sessions(AGENT)
    with FETCHED.at_most(LIVE):
        lease = agent.acquire(USER, session, 30_000)
        assert lease is not None
        agent.move_head(lease, None)
        agent.release(lease)
        assert len(agent.compactions(USER, session)) == 1


def test_a_page_of_the_log(app: Flask, session: str) -> None:
    with FETCHED.at_most(9):
        found = state_of(app).sessions(AGENT).events(USER, session, after=100, limit=9)
    assert [event.seq for event in found] == list(range(101, 110))


def test_what_the_gateway_shows(app: Flask, session: str) -> None:
    with app.app_context():
        service = mesh_of(app).gateway
        for _ in range(30):
            service.create(USER)
        last = service.tasks(USER, session, limit=1)[0].task_id
        shown: list[tuple[t.Callable[[], object], int]] = [
            (lambda: service.walk(USER, page_size=5), 6),
            (lambda: service.list(USER, page_size=5), 5),
            (lambda: service.search(USER, "needle", page_size=5), 5),
            (lambda: service.get(USER, session), 1),
            (lambda: service.rename(USER, session, "New"), 1),
            (lambda: service.viewed(USER, session), 1),
            (lambda: service.tasks(USER, session, limit=7), 7),
            (lambda: service.tasks(USER, session, before=last, limit=7), 7),
            (lambda: service.task(USER, session, last), 1),
            (lambda: service.restore(USER, session), 1),
        ]
        for show, rows in shown:
            with FETCHED.at_most(rows):
                show()
