"""An agent's memory in this process, bounded: the least recently used session goes first."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
import typing as t
import uuid
from collections import OrderedDict
from dataclasses import asdict, dataclass, field, replace

from ..clock import now
from ..errors import Conflict, LeaseLost
from .log import (
    Closing,
    Compaction,
    Context,
    Entry,
    Event,
    Lease,
    NewCompaction,
    NewTurn,
    Summary,
    Turn,
    TurnStatus,
)
from .service import check_entries

SESSIONS = 1000

#: Fences grow over the whole process, so that a session that was dropped and made anew
#: cannot be written to with an old lease.
_fences = itertools.count(1)


@dataclass
class _Turn:
    task_id: str
    status: TurnStatus = "open"
    withdrawn: bool = False
    usage: str | None = None


@dataclass
class _Session:
    lease: Lease | None = None
    lease_until: float = 0.0
    events: list[Event] = field(default_factory=list)
    turns: list[_Turn] = field(default_factory=list)
    open_turn: int | None = None
    state: str | None = None
    compactions: list[Compaction] = field(default_factory=list)
    head: int | None = None


class MemoryAgentSessions:
    """The session service of one agent. See :class:`.service.AgentSessions`.

    :param agent: the agent's name.
    :param keep: how many sessions are kept.
    """

    def __init__(self, agent: str, keep: int = SESSIONS) -> None:
        self.agent = agent
        self._keep = keep
        self._lock = threading.RLock()
        self._sessions: OrderedDict[tuple[str, str], _Session] = OrderedDict()

    def acquire(
        self, user_id: str, memory_id: str, ttl_ms: int, begin: NewTurn | None = None
    ) -> Lease | None:
        with self._lock:
            session = self._sessions.setdefault((user_id, memory_id), _Session())
            self._sessions.move_to_end((user_id, memory_id))
            if session.lease is not None and session.lease_until > time.monotonic():
                return None
            lease = Lease(
                self.agent,
                user_id,
                memory_id,
                key=id(session),
                owner=uuid.uuid4().hex,
                fence=next(_fences),
                last_seq=len(session.events),
                last_turn=len(session.turns),
                open_turn=session.open_turn,
                head_compaction=session.head,
            )
            session.lease = lease
            session.lease_until = time.monotonic() + ttl_ms / 1000
            if begin is not None and session.open_turn is None:
                self.begin(lease, begin)
                lease.began = True
            self._forget_oldest()
            return lease

    def begin(self, lease: Lease, turn: NewTurn) -> None:
        with self._held(lease) as session:
            if any(known.task_id == turn.task_id for known in session.turns):
                raise Conflict(f"The agent has seen the task {turn.task_id} before.")
            if turn.withdraws is not None:
                self._withdraw(session, turn.withdraws)
            session.turns.append(_Turn(turn.task_id))
            session.open_turn = lease.open_turn = lease.last_turn = len(session.turns)
            self._append(session, lease, [Entry("user", turn.text)])

    def append(self, lease: Lease, entries: t.Sequence[Entry]) -> None:
        check_entries(entries)
        with self._held(lease) as session:
            self._append(session, lease, entries)

    def _append(self, session: _Session, lease: Lease, entries: t.Sequence[Entry]) -> None:
        for entry in entries:
            session.events.append(Event(len(session.events) + 1, lease.last_turn, *entry))
        lease.last_seq = len(session.events)

    def close(self, lease: Lease, closing: Closing, release: bool = True) -> None:
        entries = [closing.entry] if closing.entry else []
        check_entries(entries)
        with self._held(lease) as session:
            self._append(session, lease, entries)
            turn = session.turns[t.cast(int, session.open_turn) - 1]
            turn.status, turn.usage = closing.status, closing.usage
            if closing.withdrawn:
                self._withdraw(session, turn.task_id)
            if closing.state is not None:
                session.state = closing.state
            session.open_turn = lease.open_turn = None
            if release:
                session.lease = None

    def _withdraw(self, session: _Session, task_id: str) -> None:
        for turn in session.turns:
            if turn.task_id == task_id:
                turn.withdrawn = True

    def release(self, lease: Lease) -> None:
        with self._lock:
            session = self._sessions.get((lease.user_id, lease.memory_id))
            if session is not None and session.lease is lease:
                session.lease = None

    def renew(self, leases: t.Sequence[Lease], ttl_ms: int) -> None:
        with self._lock:
            for lease in leases:
                session = self._sessions.get((lease.user_id, lease.memory_id))
                if session is None or session.lease is not lease:
                    lease.lost = True
                else:
                    session.lease_until = time.monotonic() + ttl_ms / 1000

    def context(self, lease: Lease) -> Context:
        with self._lock:
            session = self._sessions.get((lease.user_id, lease.memory_id), _Session())
            live = [not turn.withdrawn for turn in session.turns]
            summary = None
            if session.head is not None:
                head = session.compactions[session.head - 1]
                summary = Summary(head.summary, head.through_seq, head.literals)
            after = session.events[summary.through_seq if summary else 0 :]
            return Context(summary, [event for event in after if live[event.turn - 1]])

    def state(self, lease: Lease) -> str | None:
        with self._lock:
            session = self._sessions.get((lease.user_id, lease.memory_id))
            return session.state if session else None

    def turn(self, user_id: str, memory_id: str, task_id: str) -> Turn | None:
        with self._lock:
            session = self._sessions.get((user_id, memory_id), _Session())
            for number, turn in enumerate(session.turns, 1):
                if turn.task_id == task_id:
                    return self._described(session, number)
            return None

    def open_turn(self, lease: Lease) -> Turn | None:
        with self._lock:
            session = self._sessions.get((lease.user_id, lease.memory_id), _Session())
            return self._described(session, session.open_turn) if session.open_turn else None

    def _described(self, session: _Session, number: int) -> Turn:
        turn = session.turns[number - 1]
        said = [event for event in session.events if event.turn == number]
        answer = said[-1].content if said and said[-1].kind == "agent" else None
        return Turn(number, turn.task_id, turn.status, turn.usage, answer)

    def events(
        self, user_id: str, memory_id: str, after: int = 0, limit: int = 100
    ) -> t.Sequence[Event]:
        with self._lock:
            session = self._sessions.get((user_id, memory_id), _Session())
            return session.events[after : after + limit]

    def compact(self, lease: Lease, new: NewCompaction) -> None:
        with self._held(lease) as session:
            version = len(session.compactions) + 1
            session.compactions.append(
                Compaction(
                    **asdict(new),
                    key=version,
                    version=version,
                    parent=session.head,
                    created_time=now(),
                )
            )
            session.head = lease.head_compaction = version

    def move_head(self, lease: Lease, head: int | None) -> None:
        with self._held(lease) as session:
            session.head = lease.head_compaction = head

    def compactions(self, user_id: str, memory_id: str) -> list[Compaction]:
        with self._lock:
            session = self._sessions.get((user_id, memory_id), _Session())
            return [replace(c, in_force=c.key == session.head) for c in session.compactions]

    def forget(self, user_id: str, memory_id: str) -> bool:
        with self._lock:
            session = self._sessions.get((user_id, memory_id))
            if session is None or session.lease is not None:
                return False
            del self._sessions[user_id, memory_id]
            return True

    def _forget_oldest(self) -> None:
        idle = [key for key, session in self._sessions.items() if session.lease is None]
        for key in idle[: max(0, len(self._sessions) - self._keep)]:
            del self._sessions[key]

    @contextlib.contextmanager
    def _held(self, lease: Lease) -> t.Iterator[_Session]:
        with self._lock:
            session = self._sessions.get((lease.user_id, lease.memory_id))
            if session is None or session.lease is not lease:
                raise LeaseLost("Another worker has taken this session over.")
            yield session
