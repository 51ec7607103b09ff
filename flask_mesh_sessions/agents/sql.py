"""An agent's memory in a database."""

from __future__ import annotations

import typing as t
import uuid
from dataclasses import replace

import sqlalchemy as sa

from ..errors import Conflict
from ..storage.database import Database
from ..storage.schema import now_ms
from . import compactions, statements
from .log import (
    Closing,
    Compaction,
    Context,
    Entry,
    Event,
    Lease,
    NewCompaction,
    NewTurn,
    Turn,
)
from .service import check_entries
from .statements import EVENT_COLUMNS, LEASE_COLUMNS, Own
from .tables import agent_events as events
from .tables import agent_sessions as sessions
from .tables import agent_turns as turns


class SqlAgentSessions:
    """The session service of one agent. See :class:`.service.AgentSessions`.

    :param agent: the agent's name; agents that share a database are kept apart by it.
    :param database: where its memory is.
    """

    def __init__(self, agent: str, database: Database) -> None:
        self.agent = agent
        self.database = database

    def acquire(
        self, user_id: str, memory_id: str, ttl_ms: int, begin: NewTurn | None = None
    ) -> Lease | None:
        owner = uuid.uuid4().hex
        names = {"own_agent": self.agent, "own_user": user_id, "own_session": memory_id}

        def lease(row: t.Any) -> Lease:
            return Lease(self.agent, user_id, memory_id, *row)

        def work(connection: sa.Connection) -> Lease | None:
            row = statements.take(connection, names, owner, ttl_ms, begins=begin is not None)
            if row is not None:
                return _with_turn(connection, lease(row), begin)
            known = statements.open_turn(connection, names)
            if known is None:
                made = statements.insert_session(
                    connection, names, owner, ttl_ms, begins=begin is not None
                )
                return _with_turn(connection, lease(made), begin)
            if begin is None or known.open_turn is None:
                return None
            row = statements.take(connection, names, owner, ttl_ms, begins=False)
            return lease(row) if row is not None else None

        def written(connection: sa.Connection) -> Lease | None:
            own = self._own(user_id, memory_id)
            found = sa.select(*LEASE_COLUMNS).where(*own, sessions.c.owner == owner)
            row = connection.execute(found).first()
            return _with_began(connection, lease(row), begin) if row else None

        try:
            return self.database.write(work, written)
        except sa.exc.IntegrityError:
            if begin is not None and self.turn(user_id, memory_id, begin.task_id) is not None:
                raise Conflict(f"The agent has seen the task {begin.task_id} before.") from None
            return None  # somebody else has just made the session

    def begin(self, lease: Lease, turn: NewTurn) -> None:
        def written(connection: sa.Connection) -> Lease | None:
            found = self._read_back(connection, lease)
            return found if found and found.last_turn > lease.last_turn else None

        begun = self.database.write(lambda c: _begun(c, lease, turn), written)
        lease.last_turn, lease.last_seq = begun.last_turn, begun.last_seq
        lease.open_turn = begun.open_turn

    def append(self, lease: Lease, entries: t.Sequence[Entry]) -> None:
        check_entries(entries)
        with lease.writing:
            self._append(lease, entries)

    def _append(self, lease: Lease, entries: t.Sequence[Entry]) -> None:
        last = lease.last_seq + len(entries)

        def work(connection: sa.Connection) -> int:
            statements.advance(connection, lease, len(entries))
            first = lease.last_seq + 1
            statements.insert_events(connection, lease.key, lease.last_turn, first, entries)
            return last

        def written(connection: sa.Connection) -> int | None:
            found = self._read_back(connection, lease)
            return last if found and found.last_seq == last else None

        lease.last_seq = self.database.write(work, written)

    def close(self, lease: Lease, closing: Closing, release: bool = True) -> None:
        entries = [closing.entry] if closing.entry else []
        check_entries(entries)
        with lease.writing:
            self._close(lease, closing, entries, release)

    def _close(
        self, lease: Lease, closing: Closing, entries: t.Sequence[Entry], release: bool
    ) -> None:
        number, last = t.cast(int, lease.open_turn), lease.last_seq + len(entries)

        def work(connection: sa.Connection) -> bool:
            statements.advance_and_close(connection, lease, len(entries), release)
            if entries:
                first = lease.last_seq + 1
                statements.insert_events(connection, lease.key, number, first, entries)
            statements.close_turn(connection, lease.key, number, last, closing)
            if closing.state is not None:
                statements.store_state(connection, lease.key, closing.state)
            return True

        def written(connection: sa.Connection) -> bool | None:
            found = sa.select(turns.c.turn).where(
                turns.c.session_pk == lease.key,
                turns.c.turn == number,
                turns.c.status == closing.status,
            )
            return True if connection.execute(found).first() else None

        self.database.write(work, written)
        lease.last_seq, lease.open_turn = last, None

    def release(self, lease: Lease) -> None:
        statement = (
            sa.update(sessions)
            .where(sessions.c.pk == lease.key, sessions.c.owner == lease.owner)
            .values(owner=None, lease_until=0)
        )
        self.database.write(lambda c: c.execute(statement), lambda c: None)

    def renew(self, leases: t.Sequence[Lease], ttl_ms: int) -> None:
        held = sa.and_(
            sessions.c.pk.in_([lease.key for lease in leases]),
            sessions.c.owner.in_([lease.owner for lease in leases]),
        )
        extend = sa.update(sessions).where(held).values(lease_until=now_ms() + ttl_ms)
        count = self.database.write(lambda c: c.execute(extend).rowcount, lambda c: None)
        if count == len(leases):
            return
        mine = sa.select(sessions.c.owner).where(held)
        owners = set(self.database.read(lambda c: c.execute(mine).scalars().all()))
        for lease in leases:
            lease.lost = lease.owner not in owners

    def context(self, lease: Lease) -> Context:
        key, head = lease.key, lease.head_compaction
        return self.database.glance(lambda fetch: statements.context(fetch, key, head))

    def state(self, lease: Lease) -> str | None:
        return self.database.glance(lambda fetch: statements.state(fetch, lease.key))

    def turn(self, user_id: str, memory_id: str, task_id: str) -> Turn | None:
        return self._turn(user_id, memory_id, turns.c.task_id == task_id)

    def open_turn(self, lease: Lease) -> Turn | None:
        return self._turn(lease.user_id, lease.memory_id, turns.c.turn == lease.open_turn)

    def _turn(self, user_id: str, memory_id: str, which: sa.ColumnElement[bool]) -> Turn | None:
        answer = (
            sa.select(events.c.content)
            .where(
                events.c.session_pk == turns.c.session_pk,
                events.c.turn == turns.c.turn,
                events.c.seq == turns.c.last_seq,
                events.c.kind == "agent",
            )
            .scalar_subquery()
        )
        statement = (
            sa.select(turns.c.turn, turns.c.task_id, turns.c.status, turns.c.usage, answer)
            .join_from(turns, sessions)
            .where(*self._own(user_id, memory_id), which)
        )
        row = self.database.read(lambda c: c.execute(statement).first())
        return Turn(*row) if row else None

    def events(
        self, user_id: str, memory_id: str, after: int = 0, limit: int = 100
    ) -> t.Sequence[Event]:
        statement = (
            sa.select(*EVENT_COLUMNS)
            .join_from(events, sessions)
            .where(*self._own(user_id, memory_id), events.c.seq > after)
            .order_by(events.c.seq)
            .limit(limit)
        )
        return self.database.read(lambda c: [Event._make(row) for row in c.execute(statement)])

    def compact(self, lease: Lease, new: NewCompaction) -> None:
        lease.head_compaction = self._head_moved(lease, lambda c: compactions.add(c, lease, new))

    def move_head(self, lease: Lease, head: int | None) -> None:
        def work(connection: sa.Connection) -> int | None:
            compactions.move_head(connection, lease, head)
            return head

        lease.head_compaction = self._head_moved(lease, work)

    def _head_moved(
        self, lease: Lease, work: t.Callable[[sa.Connection], int | None]
    ) -> int | None:
        def written(connection: sa.Connection) -> tuple[int | None] | None:
            head = compactions.head_of(connection, lease)
            return (head,) if head != lease.head_compaction else None

        return self.database.write(lambda c: (work(c),), written)[0]

    def compactions(self, user_id: str, memory_id: str) -> list[Compaction]:
        own = self._own(user_id, memory_id)
        return self.database.read(lambda c: compactions.all_of(c, own))

    def forget(self, user_id: str, memory_id: str) -> bool:
        statement = sa.delete(sessions).where(
            *self._own(user_id, memory_id), sessions.c.lease_until < now_ms()
        )
        return self.database.write(lambda c: c.execute(statement).rowcount > 0, lambda c: None)

    def _own(self, user_id: str, memory_id: str) -> Own:
        return (
            sessions.c.agent == self.agent,
            sessions.c.user_id == user_id,
            sessions.c.session_id == memory_id,
        )

    def _read_back(self, connection: sa.Connection, lease: Lease) -> Lease | None:
        found = sa.select(*LEASE_COLUMNS).where(
            sessions.c.pk == lease.key, sessions.c.owner == lease.owner
        )
        row = connection.execute(found).first()
        return Lease(lease.agent, lease.user_id, lease.memory_id, *row) if row else None


def _begun(connection: sa.Connection, lease: Lease, turn: NewTurn) -> Lease:
    """Begin a turn under a lease that is held, and return the lease as it then is."""
    statements.count_turn(connection, lease)
    number = lease.last_turn + 1
    begun = replace(
        lease, last_turn=number, open_turn=number, last_seq=lease.last_seq + 1, began=True
    )
    _write_turn(connection, begun, turn)
    return begun


def _with_turn(connection: sa.Connection, lease: Lease, turn: NewTurn | None) -> Lease:
    """Write the turn that was counted with the lease, if there is one."""
    if turn is None:
        return lease
    _write_turn(connection, lease, turn)
    return replace(lease, began=True)


def _write_turn(connection: sa.Connection, lease: Lease, turn: NewTurn) -> None:
    statements.insert_turn(
        connection, lease.key, lease.last_turn, lease.last_seq, lease.fence, turn
    )


def _with_began(connection: sa.Connection, lease: Lease, turn: NewTurn | None) -> Lease:
    if turn is None:
        return lease
    found = sa.select(turns.c.turn).where(
        turns.c.session_pk == lease.key,
        turns.c.turn == lease.open_turn,
        turns.c.task_id == turn.task_id,
    )
    return replace(lease, began=connection.execute(found).first() is not None)
