"""Measuring an agent's memory: appending turns, and loading the live context."""

from __future__ import annotations

import itertools
import typing as t
import uuid

import sqlalchemy as sa

from flask_mesh_sessions.agents.log import Closing, Entry, Lease, NewTurn
from flask_mesh_sessions.agents.messages import Message, to_messages
from flask_mesh_sessions.agents.sql import SqlAgentSessions
from flask_mesh_sessions.agents.tables import agent_sessions as sessions

from .handwritten import HandMemory, now
from .measure import Comparison, Measured, Sizes, compare
from .world import AGENT, ANSWER, QUESTION, USER, World

TTL_MS = 30_000
APPEND_TARGET = 2.5
CONTEXT_TARGET = 3.0
#: How many events are live behind a compaction.
LIVE = 20

Turn = t.Callable[[str], None]


class Memory:
    """One agent's memory, and the two ways to it."""

    def __init__(self, world: World) -> None:
        self.sessions = SqlAgentSessions(AGENT, world.agent)
        self._world = world
        self._filling = world.hand(world.agent)
        self.by_hand = HandMemory(world.hand(world.agent))

    def turn(self, session_id: str) -> None:
        """Append a turn as the runtime does."""
        lease = self.begun(session_id)
        self.sessions.close(lease, Closing("completed", Entry("agent", ANSWER)))

    def turn_by_hand(self, session_id: str) -> None:
        """Append a turn in the same two transactions."""
        self.by_hand.turn(session_id, _id(), QUESTION, ANSWER)

    def turn_at_once(self, session_id: str) -> None:
        """Append a turn in one transaction."""
        self.by_hand.turn_at_once(session_id, _id(), QUESTION, ANSWER)

    def begun(self, session_id: str) -> Lease:
        """A lease on a session with a turn that has begun."""
        lease = self.sessions.acquire(USER, session_id, TTL_MS, NewTurn(_id(), QUESTION))
        assert lease is not None and lease.began
        return lease

    def filled(self, events: int) -> str:
        """A new session that already holds ``events`` events, two for each turn."""
        session_id = _id()
        key, numbers, moment = self._made(session_id, events), range(1, events // 2 + 1), now()
        if not numbers:
            return session_id
        turn = {"session_pk": key, "status": "completed", "withdrawn": False, "fence": 0}
        self._filling.insert(
            "agent_turns",
            [
                {**turn, "turn": n, "task_id": _id(), "first_seq": 2 * n - 1, "last_seq": 2 * n}
                | {"created_time": moment}
                for n in numbers
            ],
        )
        event = {"session_pk": key, "withdrawn": False, "created_time": moment}
        said = (("user", QUESTION), ("agent", ANSWER))
        self._filling.insert(
            "agent_events",
            [
                {**event, "turn": n, "seq": 2 * n - 1 + i, "kind": kind, "content": text}
                for n in numbers
                for i, (kind, text) in enumerate(said)
            ],
        )
        return session_id

    def compact(self, session_id: str, through: int) -> None:
        """Let a summary stand for the events up to ``through``."""
        lease = self.sessions.acquire(USER, session_id, TTL_MS)
        assert lease is not None
        self.sessions.release(lease)
        compaction = {"session_pk": lease.key, "version": 1, "through_seq": through}
        text = {"summary": ANSWER, "literals": "[]", "created_time": now()}
        tokens = {"tokens_before": 9_000, "tokens_after": 900, "trigger": "manual"}
        if self._filling.backend == "mysql":
            tokens["`trigger`"] = tokens.pop("trigger")
        self._filling.insert("agent_compactions", [{**compaction, **text, **tokens}])
        self._filling.begin()
        self._filling.execute(
            self._filling.sql(
                "UPDATE agent_sessions SET head_compaction ="
                " (SELECT pk FROM agent_compactions WHERE session_pk = ?) WHERE pk = ?"
            ),
            (lease.key, lease.key),
        )
        self._filling.commit()

    def _made(self, session_id: str, events: int) -> int:
        moment = now()
        counts = {"last_seq": events, "last_turn": events // 2, "fence": 0, "lease_until": 0}
        names = {"agent": AGENT, "user_id": USER, "session_id": session_id}
        times = {"created_time": moment, "updated_time": moment}
        self._filling.insert("agent_sessions", [{**names, **counts, **times}])
        found = sa.select(sessions.c.pk).where(sessions.c.session_id == session_id)
        key: int = self._world.agent.read(lambda c: c.execute(found).scalar_one())
        return key


def measure(world: World, sizes: Sizes) -> t.Iterator[Measured]:
    """The rows of an agent's memory."""
    memory = Memory(world)
    for operation, comparison, target in [*_appends(memory, sizes), *_contexts(memory, sizes)]:
        yield Measured(world.name, operation, comparison, target)


Row = tuple[str, Comparison, float | None]


def _appends(memory: Memory, sizes: Sizes) -> t.Iterator[Row]:
    ours, by_hand, at_once = memory.turn, memory.turn_by_hand, memory.turn_at_once
    # Two ways, a round that is not counted.
    count = 2 * (sizes.rounds + 1) * sizes.each

    def on_new(turn: Turn) -> t.Callable[[], None]:
        return lambda: turn(_id())

    yield "append a turn: the first", _compared(sizes, on_new(ours), on_new(by_hand)), 2.5
    fresh = iter([memory.filled(2) for _ in range(count)])

    def on_fresh(turn: Turn) -> t.Callable[[], None]:
        return lambda: turn(next(fresh))

    comparison = _compared(sizes, on_fresh(ours), on_fresh(by_hand))
    yield "append a turn: fresh session", comparison, APPEND_TARGET
    long = [memory.filled(sizes.history) for _ in range(2)]
    after = f"after {sizes.history:,} events"
    comparison = _compared(sizes, lambda: ours(long[0]), lambda: by_hand(long[1]))
    yield f"append a turn: {after}", comparison, APPEND_TARGET
    comparison = _compared(sizes, lambda: ours(long[0]), lambda: at_once(long[1]))
    yield f"append a turn: {after}, by hand in one transaction", comparison, None
    yield f"append an event: {after}", _append_event(memory, sizes), APPEND_TARGET


def _append_event(memory: Memory, sizes: Sizes) -> Comparison:
    lease, other = (memory.begun(memory.filled(sizes.history)) for _ in range(2))
    seq = itertools.count(other.last_seq)
    entry = Entry("tool_result", ANSWER)
    key, number = other.key, other.last_turn
    return _compared(
        sizes,
        lambda: memory.sessions.append(lease, [entry]),
        lambda: memory.by_hand.append(key, number, next(seq), entry.kind, entry.content),
    )


def _contexts(memory: Memory, sizes: Sizes) -> t.Iterator[Row]:
    for events in sizes.contexts:
        comparison = _context(memory, sizes, memory.filled(events))
        yield f"live context of {events:,} events", comparison, None
    for past in sizes.pasts:
        session_id = memory.filled(past + LIVE)
        memory.compact(session_id, past)
        comparison = _context(memory, sizes, session_id)
        yield f"live context of {LIVE} events behind {past:,}", comparison, CONTEXT_TARGET


def _context(memory: Memory, sizes: Sizes, session_id: str) -> Comparison:
    lease = memory.sessions.acquire(USER, session_id, TTL_MS)
    assert lease is not None
    head = lease.head_compaction

    def ours() -> list[dict[str, t.Any]]:
        return to_messages(memory.sessions.context(lease))

    def by_hand() -> list[Message]:
        return memory.by_hand.messages(lease.key, head)

    assert len(ours()) == len(by_hand())
    each = 1 if lease.last_seq > 1000 and head is None else sizes.each
    return compare(ours, by_hand, sizes.rounds, each)


def _compared(
    sizes: Sizes, ours: t.Callable[[], object], by_hand: t.Callable[[], object]
) -> Comparison:
    return compare(ours, by_hand, sizes.rounds, sizes.each)


def _id() -> str:
    return f"web-session-{uuid.uuid4().hex}"
