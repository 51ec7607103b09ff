"""The statements of an agent's memory, each on a connection of a transaction under way."""

from __future__ import annotations

import itertools
import typing as t

import msgspec
import sqlalchemy as sa

from ..clock import now
from ..errors import LeaseLost
from ..storage.database import Fetch
from ..storage.schema import now_ms
from ..storage.statement import Statement
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

#: The values of :data:`_OWN`.
Names = t.Mapping[str, str]
_OWN = (
    sessions.c.agent == sa.bindparam("own_agent"),
    sessions.c.user_id == sa.bindparam("own_user"),
    sessions.c.session_id == sa.bindparam("own_session"),
)
_HELD = (
    sessions.c.pk == sa.bindparam("key"),
    sessions.c.fence == sa.bindparam("held_fence"),
    sessions.c.owner == sa.bindparam("held_owner"),
)
_LEASE_UNTIL = now_ms() + sa.bindparam("ttl_ms", type_=sa.BigInteger)
_LEASED: tuple[tuple[sa.Column[t.Any], t.Any], ...] = (
    (sessions.c.owner, sa.bindparam("new_owner")),
    (sessions.c.fence, sessions.c.fence + 1),
    (sessions.c.lease_until, _LEASE_UNTIL),
    (sessions.c.updated_time, sa.bindparam("moment")),
)
# One more turn with one more event. MariaDB assigns from left to right, and sees what it
# has just assigned: open_turn has to come before last_turn.
_TURN_COUNTED = (
    (sessions.c.open_turn, sessions.c.last_turn + 1),
    (sessions.c.last_turn, sessions.c.last_turn + 1),
    (sessions.c.last_seq, sessions.c.last_seq + 1),
)
_FREE = sa.update(sessions).where(*_OWN, sessions.c.lease_until < now_ms())
_FREE_TO_TAKE = _FREE.ordered_values(*_LEASED)
_FREE_TO_BEGIN = _FREE.where(sessions.c.open_turn.is_(None)).ordered_values(
    *_TURN_COUNTED, *_LEASED
)
_TAKE = Statement(_FREE_TO_TAKE)
_TAKE_RETURNING = Statement(_FREE_TO_TAKE.returning(*LEASE_COLUMNS))
_TAKE_AND_BEGIN = Statement(_FREE_TO_BEGIN)
_TAKE_AND_BEGIN_RETURNING = Statement(_FREE_TO_BEGIN.returning(*LEASE_COLUMNS))
_LEASE = Statement(sa.select(*LEASE_COLUMNS).where(*_OWN))
_OPEN_TURN = Statement(sa.select(sessions.c.open_turn).where(*_OWN))
_INSERT_SESSION = Statement(
    sa.insert(sessions).values(lease_until=_LEASE_UNTIL),
    "agent",
    "user_id",
    "session_id",
    "last_seq",
    "last_turn",
    "open_turn",
    "owner",
    "fence",
    "created_time",
    "updated_time",
)
_COUNT_TURN = Statement(
    sa.update(sessions).where(*_HELD, sessions.c.open_turn.is_(None)).ordered_values(*_TURN_COUNTED)
)
_GO_ON = sa.update(sessions).where(*_HELD, sessions.c.last_seq == sa.bindparam("known_seq"))
_ADVANCE = Statement(_GO_ON, "last_seq")
_ADVANCE_AND_CLOSE = Statement(_GO_ON, "last_seq", "open_turn")
_ADVANCE_CLOSE_AND_RELEASE = Statement(_GO_ON, "last_seq", "open_turn", "owner", "lease_until")
_INSERT_TURN = Statement(
    sa.insert(turns),
    "session_pk",
    "turn",
    "task_id",
    "status",
    "withdrawn",
    "first_seq",
    "last_seq",
    "fence",
    "created_time",
)
_THIS_TURN = (turns.c.session_pk == sa.bindparam("key"), turns.c.turn == sa.bindparam("number"))
_CLOSE_TURN = Statement(sa.update(turns).where(*_THIS_TURN), "status", "last_seq", "usage")
_INSERT_EVENT = Statement(sa.insert(events), *events.c.keys())
_STATE_HERE = states.c.session_pk == sa.bindparam("key")
_STATE = Statement(sa.select(states.c.state).where(_STATE_HERE))
_STORE_STATE = Statement(sa.update(states).where(_STATE_HERE), "state", "updated_time")
_LIVE_EVENTS = Statement(
    sa.select(*EVENT_COLUMNS)
    .where(
        events.c.session_pk == sa.bindparam("key"),
        events.c.seq > sa.bindparam("after"),
        events.c.withdrawn.is_(sa.false()),
    )
    .order_by(events.c.seq)
)
_SUMMARY = Statement(
    sa.select(compactions.c.summary, compactions.c.through_seq, compactions.c.literals).where(
        compactions.c.pk == sa.bindparam("head")
    )
)


def take(
    connection: sa.Connection, names: Names, owner: str, ttl_ms: int, begins: bool
) -> t.Sequence[t.Any] | None:
    """Take the lease if it is free; with ``begins``, only if no turn is open, and count one.

    :return: the lease's columns.
    """
    values = {**names, "new_owner": owner, "ttl_ms": ttl_ms, "moment": now()}
    if connection.dialect.update_returning:
        returning = _TAKE_AND_BEGIN_RETURNING if begins else _TAKE_RETURNING
        return returning(connection, values).first()
    update = _TAKE_AND_BEGIN if begins else _TAKE
    return _LEASE(connection, names).one() if update(connection, values).rowcount == 1 else None


def open_turn(connection: sa.Connection, names: Names) -> sa.Row[t.Any] | None:
    """The number of the session's open turn, in a row; ``None`` if there is no session."""
    return _OPEN_TURN(connection, names).first()


def insert_session(
    connection: sa.Connection, names: Names, owner: str, ttl_ms: int, begins: bool
) -> tuple[t.Any, ...]:
    """Make a session whose lease is taken; with ``begins``, a turn is counted.

    :return: the lease's columns.
    """
    moment, counted = now(), int(begins)
    values = {
        "agent": names["own_agent"],
        "user_id": names["own_user"],
        "session_id": names["own_session"],
        "last_seq": counted,
        "last_turn": counted,
        "open_turn": counted or None,
        "owner": owner,
        "fence": 1,
        "ttl_ms": ttl_ms,
        "created_time": moment,
        "updated_time": moment,
    }
    key = _INSERT_SESSION.insert(connection, values)
    return (key, owner, 1, counted, counted, counted or None, None)


def count_turn(connection: sa.Connection, lease: Lease) -> None:
    """Count one more turn under a lease that is held.

    :raises LeaseLost: if it is not held any more.
    """
    if _COUNT_TURN(connection, _held(lease)).rowcount != 1:
        raise LeaseLost("Another worker has taken this session over.")


def insert_turn(
    connection: sa.Connection, key: int, number: int, seq: int, fence: int, turn: NewTurn
) -> None:
    """Write a turn that has been counted, with its user message as event ``seq``."""
    values = {
        "session_pk": key,
        "turn": number,
        "task_id": turn.task_id,
        "status": "open",
        "withdrawn": False,
        "first_seq": seq,
        "last_seq": seq,
        "fence": fence,
        "created_time": now(),
    }
    _INSERT_TURN(connection, values)
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


def advance(connection: sa.Connection, lease: Lease, count: int) -> None:
    """Make room for ``count`` more events.

    :raises LeaseLost: if the lease is not held any more.
    """
    _go_on(_ADVANCE, connection, lease, count)


def advance_and_close(connection: sa.Connection, lease: Lease, count: int, release: bool) -> None:
    """Make room for ``count`` more events, with which the open turn ends.

    :param release: give the lease back.
    :raises LeaseLost: if the lease is not held any more.
    """
    statement = _ADVANCE_CLOSE_AND_RELEASE if release else _ADVANCE_AND_CLOSE
    _go_on(statement, connection, lease, count)


def _go_on(statement: Statement, connection: sa.Connection, lease: Lease, count: int) -> None:
    known = {**_held(lease), "known_seq": lease.last_seq}
    ended = {"open_turn": None, "owner": None, "lease_until": 0}
    values = {**known, **ended, "last_seq": lease.last_seq + count}
    if statement(connection, values).rowcount != 1:
        raise LeaseLost("Another worker has taken this session over.")


def _held(lease: Lease) -> dict[str, t.Any]:
    """The values of :data:`_HELD`."""
    return {"key": lease.key, "held_fence": lease.fence, "held_owner": lease.owner}


def held(lease: Lease) -> Own:
    """Whether a lease is still held."""
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
    if len(rows) == 1:
        _INSERT_EVENT(connection, rows[0])
    else:
        connection.execute(sa.insert(events), rows)


def close_turn(
    connection: sa.Connection, key: int, number: int, last_seq: int, closing: Closing
) -> None:
    """Write how a turn ended."""
    which = {"key": key, "number": number}
    values = {"status": closing.status, "last_seq": last_seq, "usage": closing.usage}
    _CLOSE_TURN(connection, {**which, **values})
    if closing.withdrawn:
        found = sa.select(turns.c.task_id).where(*_THIS_TURN)
        task_id = connection.execute(found, which).scalar_one()
        withdraw(connection, key, task_id)


def state(fetch: Fetch, key: int) -> str | None:
    """A session's state as JSON text."""
    rows = fetch(_STATE, {"key": key})
    return rows[0][0] if rows else None


def store_state(connection: sa.Connection, key: int, state: str) -> None:
    """Write a session's state. The lease on the session keeps others out."""
    values = {"state": state, "updated_time": now()}
    if _STORE_STATE(connection, {"key": key, **values}).rowcount == 0:
        connection.execute(sa.insert(states).values(session_pk=key, **values))


def context(fetch: Fetch, key: int, head: int | None) -> Context:
    """The summary in force and the events after it that are not withdrawn."""
    summary = _summary(fetch, head) if head is not None else None
    after = summary.through_seq if summary else 0
    rows = fetch(_LIVE_EVENTS, {"key": key, "after": after})
    return Context(summary, list(itertools.starmap(Event, rows)))


def _summary(fetch: Fetch, head: int) -> Summary:
    ((text, through_seq, literals),) = fetch(_SUMMARY, {"head": head})
    return Summary(text, through_seq, tuple(msgspec.json.decode(literals, type=list[str])))
