"""Measuring an agent's memory: appending turns, and loading the live context."""

from __future__ import annotations

import itertools
import typing as t

from flask_mesh_sessions.agents.log import Closing, Entry, Lease, NewTurn
from flask_mesh_sessions.agents.messages import to_messages
from flask_mesh_sessions.agents.sql import SqlAgentSessions

from . import filling
from .filling import new_id
from .handwritten import HandMemory, Message
from .measure import Comparison, Measured, Sizes, Work, compare
from .world import AGENT, ANSWER, QUESTION, USER, World

TTL_MS = 30_000
APPEND_TARGET = 2.5
CONTEXT_TARGET = 3.0
#: How many events are live behind a compaction.
LIVE = 20
#: Contexts from this size on are loaded once in a round.
LARGE = 1_000

Row = tuple[str, Comparison, float | None]
Turn = t.Callable[[str], None]


def measure(world: World, sizes: Sizes) -> t.Iterator[Measured]:
    """The rows of an agent's memory."""
    memory = _Memory(world, sizes)
    rows = itertools.chain(_new_sessions(memory), _long_sessions(memory), _contexts(memory))
    for operation, comparison, target in rows:
        yield Measured(world.name, operation, comparison, target)


class _Memory:
    """One agent's memory, and the two ways to it."""

    def __init__(self, world: World, sizes: Sizes) -> None:
        self.sizes = sizes
        self.sessions = SqlAgentSessions(AGENT, world.agent)
        self.by_hand = HandMemory(world.hand(world.agent))
        self.filling = world.hand(world.agent)

    def turn(self, session_id: str) -> None:
        """Append a turn as the runtime does."""
        lease = self.begun(session_id)
        self.sessions.close(lease, Closing("completed", Entry("agent", ANSWER)))

    def turn_by_hand(self, session_id: str) -> None:
        """Append a turn in the same two transactions."""
        self.by_hand.turn(session_id, new_id(), QUESTION, ANSWER)

    def turn_at_once(self, session_id: str) -> None:
        """Append a turn in one transaction."""
        self.by_hand.turn_at_once(session_id, new_id(), QUESTION, ANSWER)

    def begun(self, session_id: str) -> Lease:
        """A lease on a session with a turn that has begun."""
        lease = self.sessions.acquire(USER, session_id, TTL_MS, NewTurn(new_id(), QUESTION))
        assert lease is not None and lease.began
        return lease

    def compared(self, ours: Work, by_hand: Work) -> Comparison:
        """Two ways of doing something short."""
        return compare(ours, by_hand, self.sizes.rounds, self.sizes.each)


def _new_sessions(memory: _Memory) -> t.Iterator[Row]:
    def turn_in(session_ids: t.Iterator[str], turn: Turn) -> Work:
        return lambda: turn(next(session_ids))

    count = 2 * (memory.sizes.rounds + 1) * memory.sizes.each
    unknown = (new_id() for _ in itertools.count())
    fresh = iter(filling.sessions(memory.filling, count, 2))
    for which, ids in (("new session", unknown), ("fresh session", fresh)):
        ours, by_hand = turn_in(ids, memory.turn), turn_in(ids, memory.turn_by_hand)
        yield f"append a turn: {which}", memory.compared(ours, by_hand), APPEND_TARGET


def _long_sessions(memory: _Memory) -> t.Iterator[Row]:
    events = memory.sizes.history
    one, other = filling.sessions(memory.filling, 2, events)
    after = f"after {events:,} events"

    def ours() -> None:
        memory.turn(one)

    comparison = memory.compared(ours, lambda: memory.turn_by_hand(other))
    yield f"append a turn: {after}", comparison, APPEND_TARGET
    comparison = memory.compared(ours, lambda: memory.turn_at_once(other))
    yield f"append a turn: {after}; by hand at once", comparison, None
    yield f"append an event: {after}", _append_event(memory, one, other), APPEND_TARGET


def _append_event(memory: _Memory, one: str, other: str) -> Comparison:
    lease, by_hand = memory.begun(one), memory.begun(other)
    seq, entry = itertools.count(by_hand.last_seq), Entry("agent", ANSWER)
    return memory.compared(
        lambda: memory.sessions.append(lease, [entry]),
        lambda: memory.by_hand.append(by_hand.key, by_hand.last_turn, next(seq), *entry[:2]),
    )


def _contexts(memory: _Memory) -> t.Iterator[Row]:
    for events in memory.sizes.contexts:
        (session_id,) = filling.sessions(memory.filling, 1, events)
        each = 1 if events >= LARGE else memory.sizes.each
        yield f"live context of {events:,} events", _context(memory, session_id, each), None
    for past in memory.sizes.pasts:
        (session_id,) = filling.sessions(memory.filling, 1, past + LIVE)
        filling.compact(memory.filling, session_id, past)
        comparison = _context(memory, session_id, memory.sizes.each)
        yield f"live context of {LIVE} events behind {past:,}", comparison, CONTEXT_TARGET


def _context(memory: _Memory, session_id: str, each: int) -> Comparison:
    lease = memory.sessions.acquire(USER, session_id, TTL_MS)
    assert lease is not None
    key, head = lease.key, lease.head_compaction

    def ours() -> list[dict[str, t.Any]]:
        return to_messages(memory.sessions.context(lease))

    def by_hand() -> list[Message]:
        return memory.by_hand.messages(key, head)

    # But for the wording around a summary, both are the same.
    assert ours()[1:] == by_hand()[1:]
    return compare(ours, by_hand, memory.sizes.rounds, each)
