"""The statements of an agent's memory, each on a connection of a transaction under way."""

from __future__ import annotations

import time
import typing as t

import msgspec
import sqlalchemy as sa

from ..errors import LeaseLost
from ..storage.schema import now_ms
from .log import Closing, Context, Entry, Event, Lease, NewTurn, Summary
from .tables import agent_compactions as compactions
from .tables import agent_events as events
from .tables import agent_sessions as sessions
from .tables import agent_states as states
from .tables import agent_turns as turns

EVENT_COLUMNS = (
    events.c.seq,
    events.c.turn,
    events.c.kind,
    events.c.content,
    events.c.name,
    events.c.call_id,
)
#: In the order of :class:`.log.Lease`'s fields.
LEASE_COLUMNS = (
    sessions.c.pk,
    sessions.c.owner,
    sessions.c.fence,
    sessions.c.last_seq,
    sessions.c.last_turn,
    sessions.c.open_turn,
    sessions.c.head_compaction,
)

Own = tuple[sa.ColumnElement[bool], ...]

# One more turn with one more event. MariaDB assigns from left to right, and sees what it
# has just assigned: open_turn has to come before last_turn.
_COUNT_TURN = (
    (sessions.c.open_turn, sessions.c.last_turn + 1),
    (sessions.c.last_turn, sessions.c.last_turn + 1),
    (sessions.c.last_seq, sessions.c.last_seq + 1),
)


def now() -> int:
    """This process's clock in epoch milliseconds, for times that are shown."""
    return time.time_ns() // 1_000_000


def take(connection: sa.Connection, own: Own, owner: str, ttl_ms: int, begins: bool) -> bool:
    """Take the lease if it is free; with ``begins``, only if no turn is open, and count one."""
    lease = (
        (sessions.c.owner, owner),
        (sessions.c.fence, sessions.c.fence + 1),
        (sessions.c.lease_until, now_ms() + ttl_ms),
        (sessions.c.updated_time, now()),
    )
    free = sa.update(sessions).where(*own, sessions.c.lease_until < now_ms())
    if begins:
        free = free.where(sessions.c.open_turn.is_(None)).ordered_values(*_COUNT_TURN, *lease)
    else:
        free = free.ordered_values(*lease)
    return connection.execute(free).rowcount == 1


def insert_session(
    connection: sa.Connection, agent: str, user_id: str, memory_id: str, owner: str, ttl_ms: int
) -> tuple[t.Any, ...]:
    """Make a session whose lease is taken, and return its lease's columns."""
    moment = now()
    inserted = connection.execute(
        sa.insert(sessions).values(
            agent=agent,
            user_id=user_id,
            session_id=memory_id,
            last_seq=0,
            last_turn=0,
            owner=owner,
            fence=1,
            lease_until=now_ms() + ttl_ms,
            created_time=moment,
            updated_time=moment,
        )
    )
    key = t.cast("tuple[int]", inserted.inserted_primary_key)[0]
    return (key, owner, 1, 0, 0, None, None)


def count_turn(connection: sa.Connection, lease: Lease) -> None:
    """Count one more turn under a lease that is held.

    :raises LeaseLost: if it is not held any more.
    """
    statement = sa.update(sessions).where(*_held(lease), sessions.c.open_turn.is_(None))
    if connection.execute(statement.ordered_values(*_COUNT_TURN)).rowcount != 1:
        raise LeaseLost("Another worker has taken this session over.")


def insert_turn(
    connection: sa.Connection, key: int, number: int, seq: int, fence: int, turn: NewTurn
) -> None:
    """Write a turn that has been counted, with its user message as event ``seq``."""
    moment = now()
    connection.execute(
        sa.insert(turns).values(
            session_pk=key,
            turn=number,
            task_id=turn.task_id,
            status="open",
            withdrawn=False,
            first_seq=seq,
            last_seq=seq,
            fence=fence,
            created_time=moment,
        )
    )
    insert_events(connection, key, number, seq, [Entry("user", turn.text)])
    if turn.withdraws is not None:
        withdraw(connection, key, turn.withdraws)


def withdraw(connection: sa.Connection, key: int, task_id: str) -> None:
    """Take a turn out of the live context. It stays in the log."""
    which = sa.select(turns.c.turn).where(turns.c.session_pk == key, turns.c.task_id == task_id)
    number = connection.execute(which).scalar()
    if number is None:
        return
    for table in (turns, events):
        connection.execute(
            sa.update(table)
            .where(table.c.session_pk == key, table.c.turn == number)
            .values(withdrawn=True)
        )


def advance(connection: sa.Connection, lease: Lease, count: int, **values: t.Any) -> None:
    """Make room for ``count`` more events.

    :raises LeaseLost: if the lease is not held any more.
    """
    statement = (
        sa.update(sessions)
        .where(*_held(lease), sessions.c.last_seq == lease.last_seq)
        .values(last_seq=lease.last_seq + count, **values)
    )
    if connection.execute(statement).rowcount != 1:
        raise LeaseLost("Another worker has taken this session over.")


def _held(lease: Lease) -> Own:
    return (
        sessions.c.pk == lease.key,
        sessions.c.fence == lease.fence,
        sessions.c.owner == lease.owner,
    )


def insert_events(
    connection: sa.Connection, key: int, turn: int, seq: int, entries: t.Sequence[Entry]
) -> None:
    """Write events from number ``seq`` on, for which room has been made."""
    moment = now()
    rows = [
        {
            "session_pk": key,
            "seq": number,
            "turn": turn,
            "kind": entry.kind,
            "content": entry.content,
            "name": entry.name,
            "call_id": entry.call_id,
            "withdrawn": False,
            "created_time": moment,
        }
        for number, entry in enumerate(entries, seq)
    ]
    connection.execute(sa.insert(events), rows if len(rows) > 1 else rows[0])


def close_turn(
    connection: sa.Connection, key: int, number: int, last_seq: int, closing: Closing
) -> None:
    """Write how a turn ended."""
    which = sa.and_(turns.c.session_pk == key, turns.c.turn == number)
    values = {"status": closing.status, "last_seq": last_seq, "usage": closing.usage}
    connection.execute(sa.update(turns).where(which).values(values))
    if closing.withdrawn:
        task_id = connection.execute(sa.select(turns.c.task_id).where(which)).scalar_one()
        withdraw(connection, key, task_id)


def store_state(connection: sa.Connection, key: int, state: str) -> None:
    """Write a session's state. The lease on the session keeps others out."""
    values = {"state": state, "updated_time": now()}
    changed = sa.update(states).where(states.c.session_pk == key).values(values)
    if connection.execute(changed).rowcount == 0:
        connection.execute(sa.insert(states).values(session_pk=key, **values))


def context(connection: sa.Connection, key: int, head: int | None) -> Context:
    """The summary in force and the events after it that are not withdrawn."""
    summary = _summary(connection, head) if head is not None else None
    statement = (
        sa.select(*EVENT_COLUMNS)
        .where(
            events.c.session_pk == key,
            events.c.seq > (summary.through_seq if summary else 0),
            events.c.withdrawn.is_(sa.false()),
        )
        .order_by(events.c.seq)
    )
    return Context(summary, [Event._make(row) for row in connection.execute(statement)])


def _summary(connection: sa.Connection, head: int) -> Summary:
    row = connection.execute(
        sa.select(compactions.c.summary, compactions.c.through_seq, compactions.c.literals).where(
            compactions.c.pk == head
        )
    ).one()
    literals = tuple(msgspec.json.decode(row.literals, type=list[str]))
    return Summary(row.summary, row.through_seq, literals)
