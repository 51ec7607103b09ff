"""What an agent's memory is made of."""

from __future__ import annotations

import threading
import typing as t
from dataclasses import dataclass, field

Kind = t.Literal["user", "agent", "tool_call", "tool_result"]
TurnStatus = t.Literal["open", "completed", "failed", "interrupted", "cancelled"]

#: One event holds at most this many bytes of UTF-8.
EVENT_BYTES = 4 * 1024 * 1024


class Entry(t.NamedTuple):
    """Something that is about to be appended to the log."""

    kind: Kind
    content: str
    #: A tool's name; for an agent's entry, how its turn ended if without an answer.
    name: str | None = None
    call_id: str | None = None


class Event(t.NamedTuple):
    """An entry of the log, numbered 1, 2, 3 … per session."""

    seq: int
    turn: int
    kind: Kind
    content: str
    name: str | None
    call_id: str | None


@dataclass(frozen=True)
class Summary:
    """What stands for the events before ``through_seq`` and including it."""

    text: str
    through_seq: int
    literals: tuple[str, ...] = ()


@dataclass(frozen=True)
class Context:
    """The live context: the summary in force, then the events after it."""

    summary: Summary | None
    events: t.Sequence[Event]


Trigger = t.Literal["overflow", "threshold", "manual"]


@dataclass(frozen=True)
class NewCompaction:
    """A summary that is to stand for the events through ``through_seq``."""

    through_seq: int
    summary: str
    literals: tuple[str, ...]
    tokens_before: int
    tokens_after: int
    trigger: Trigger
    #: What making the summary took, as JSON text; None if no model was asked.
    cost: str | None = None


@dataclass(frozen=True)
class Compaction(NewCompaction):
    """A compaction as it is stored."""

    key: int = 0
    #: 1, 2, 3 … per session.
    version: int = 0
    #: The compaction that was in force before it.
    parent: int | None = None
    #: Epoch milliseconds.
    created_time: int = 0
    #: Whether it is the one that counts.
    in_force: bool = False


@dataclass(frozen=True)
class NewTurn:
    """A turn that is about to begin."""

    task_id: str
    text: str
    #: The task id of the turn this one supersedes, if any.
    withdraws: str | None = None


@dataclass(frozen=True)
class Turn:
    """What the log says of one turn."""

    number: int
    task_id: str
    status: TurnStatus
    #: What was used, as JSON text.
    usage: str | None
    #: The agent's last words in it.
    answer: str | None


@dataclass
class Lease:
    """The right to write to one session of one agent, proven by a number that only grows."""

    agent: str
    user_id: str
    memory_id: str
    key: int
    #: A token of this lease alone.
    owner: str
    fence: int
    last_seq: int
    last_turn: int
    #: The turn that has begun and not ended, if any.
    open_turn: int | None = None
    head_compaction: int | None = None
    #: Whether the turn that was to begin with the lease has begun; not if another was open.
    began: bool = field(default=False, compare=False)
    #: Set once somebody else is known to hold the session.
    lost: bool = field(default=False, compare=False)
    #: Held while something is written: an agent may use its turn in several threads.
    writing: threading.Lock = field(default_factory=threading.Lock, compare=False, repr=False)


@dataclass(frozen=True)
class Closing:
    """How a turn ends."""

    status: TurnStatus
    entry: Entry | None
    #: The state as JSON text, if it has changed.
    state: str | None = None
    #: What was used, as JSON text.
    usage: str | None = None
    withdrawn: bool = False
