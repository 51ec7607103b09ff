"""Compactions in an agent's memory: added, never deleted, and the head says which counts."""

from __future__ import annotations

import typing as t
import uuid
from pathlib import Path

import pytest
import sqlalchemy as sa

from flask_mesh_sessions.agents.log import Closing, Entry, Lease, NewCompaction, NewTurn
from flask_mesh_sessions.agents.memory import MemoryAgentSessions
from flask_mesh_sessions.agents.messages import to_messages
from flask_mesh_sessions.agents.service import AgentSessions
from flask_mesh_sessions.agents.sql import SqlAgentSessions
from flask_mesh_sessions.config import Pool
from flask_mesh_sessions.errors import LeaseLost
from flask_mesh_sessions.storage import migrations
from flask_mesh_sessions.storage.database import Database
from tests import databases

USER = "ada"


@pytest.fixture(scope="module", params=[*databases.BACKENDS, "memory"])
def sessions(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> t.Iterator[AgentSessions]:
    if request.param == "memory":
        yield MemoryAgentSessions("agent")
        return
    databases.need(request.param)
    folder: Path = tmp_path_factory.mktemp("databases")
    with databases.temporary_database(request.param, folder) as url:
        migrations.upgrade([migrations.Target("agent", url)])
        database = Database(url, Pool())
        yield SqlAgentSessions("agent", database)
        database.dispose()


@pytest.fixture
def session(sessions: AgentSessions) -> str:
    """A session of four turns with two events each."""
    name = uuid.uuid4().hex
    for number in range(4):
        say(sessions, name, f"{number}")
    return name


def say(sessions: AgentSessions, name: str, text: str) -> None:
    lease = sessions.acquire(USER, name, 10_000, NewTurn(f"task-{text}", f"q{text}"))
    assert lease is not None
    sessions.close(lease, Closing("completed", Entry("agent", f"a{text}")))


def held(sessions: AgentSessions, name: str) -> Lease:
    lease = sessions.acquire(USER, name, 10_000)
    assert lease is not None
    return lease


def new(through: int, summary: str = "They spoke.") -> NewCompaction:
    return NewCompaction(through, summary, ("id-7",), 100, 40, "manual", '{"prompt_tokens": 5}')


def messages(sessions: AgentSessions, name: str) -> list[dict[str, t.Any]]:
    lease = held(sessions, name)
    sessions.release(lease)
    return to_messages(sessions.context(lease))


def compact(sessions: AgentSessions, name: str, through: int, summary: str = "They spoke.") -> None:
    lease = held(sessions, name)
    sessions.compact(lease, new(through, summary))
    sessions.release(lease)


def move_head(sessions: AgentSessions, name: str, head: int | None) -> None:
    lease = held(sessions, name)
    sessions.move_head(lease, head)
    sessions.release(lease)


def test_the_summary_stands_for_the_first_events(sessions: AgentSessions, session: str) -> None:
    compact(sessions, session, 4)
    summary, *rest = messages(sessions, session)
    assert "They spoke." in summary["content"] and "id-7" in summary["content"]
    assert [m["content"] for m in rest] == ["q2", "a2", "q3", "a3"]
    assert len(sessions.events(USER, session)) == 8, "nothing is deleted"


def test_undoing_gives_back_what_was_sent_before(sessions: AgentSessions, session: str) -> None:
    before = messages(sessions, session)
    compact(sessions, session, 4)
    say(sessions, session, "more")
    move_head(sessions, session, None)
    after = messages(sessions, session)
    assert after[: len(before)] == before
    assert [m["content"] for m in after[len(before) :]] == ["qmore", "amore"]


def test_compactions_build_on_each_other(sessions: AgentSessions, session: str) -> None:
    compact(sessions, session, 2, "first")
    once = messages(sessions, session)
    compact(sessions, session, 4, "second")
    first, second = sessions.compactions(USER, session)
    assert (first.version, second.version) == (1, 2)
    assert (first.parent, second.parent) == (None, first.key)
    assert (first.in_force, second.in_force) == (False, True)
    assert second.summary == "second" and second.literals == ("id-7",)
    assert second.cost == '{"prompt_tokens": 5}' and second.trigger == "manual"
    move_head(sessions, session, first.key)
    assert messages(sessions, session) == once
    move_head(sessions, session, second.key)
    assert "second" in messages(sessions, session)[0]["content"]


def test_only_the_lease_may_compact(sessions: AgentSessions, session: str) -> None:
    lease = held(sessions, session)
    sessions.release(lease)
    other = held(sessions, session)
    with pytest.raises(LeaseLost):
        sessions.compact(lease, new(4))
    with pytest.raises(LeaseLost):
        sessions.move_head(lease, None)
    sessions.release(other)
    assert sessions.compactions(USER, session) == []


def test_another_users_compactions_are_unknown(sessions: AgentSessions, session: str) -> None:
    compact(sessions, session, 4)
    assert sessions.compactions("bob", session) == []
    assert sessions.compactions(USER, session.upper()) == []


def test_the_context_reads_no_more_than_it_shows(sessions: AgentSessions, session: str) -> None:
    if not isinstance(sessions, SqlAgentSessions):
        return
    compact(sessions, session, 6)
    lease = held(sessions, session)
    sessions.release(lease)
    fetched = 0

    def count(conn: t.Any, cursor: t.Any, *rest: t.Any) -> None:
        nonlocal fetched
        fetched += max(cursor.rowcount, 0)

    sa.event.listen(sessions.database.engine, "after_cursor_execute", count)
    context = sessions.context(lease)
    sa.event.remove(sessions.database.engine, "after_cursor_execute", count)
    assert len(context.events) == 2
    assert fetched <= 3
