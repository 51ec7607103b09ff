"""What every agent's session service can do, with a database or without."""

from __future__ import annotations

import typing as t

from ..errors import TooLarge
from .log import (
    EVENT_BYTES,
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


class AgentSessions(t.Protocol):
    """The memory of one agent. Every write needs a lease on the session."""

    agent: str

    def acquire(
        self, user_id: str, memory_id: str, ttl_ms: int, begin: NewTurn | None = None
    ) -> Lease | None:
        """Take the lease on a session, making the session if there is none.

        :param ttl_ms: how long the lease holds if it is not renewed.
        :param begin: begin this turn in the same transaction, unless one is open.
        :return: ``None`` if somebody else holds it.
        :raises Conflict: if a turn of this task id is in the log already.
        """

    def begin(self, lease: Lease, turn: NewTurn) -> None:
        """Begin a turn: its user message is in the log after this.

        :raises LeaseLost: if the lease has been taken over.
        """

    def append(self, lease: Lease, entries: t.Sequence[Entry]) -> None:
        """Append to the open turn, all of ``entries`` or none.

        :raises LeaseLost: if the lease has been taken over; nothing is written.
        :raises TooLarge: if an entry is larger than 4 MiB.
        """

    def close(self, lease: Lease, closing: Closing, release: bool = True) -> None:
        """End the open turn and, with ``release``, give the lease back.

        :raises LeaseLost: if the lease has been taken over; nothing is written.
        """

    def release(self, lease: Lease) -> None:
        """Give the lease back."""

    def renew(self, leases: t.Sequence[Lease], ttl_ms: int) -> None:
        """Extend these leases, and mark those that have been taken over as ``lost``."""

    def context(self, lease: Lease) -> Context:
        """The live context."""

    def state(self, lease: Lease) -> str | None:
        """The session's state as JSON text."""

    def turn(self, user_id: str, memory_id: str, task_id: str) -> Turn | None:
        """What the log says of a turn."""

    def open_turn(self, lease: Lease) -> Turn | None:
        """What the log says of the turn that is open under this lease."""

    def events(
        self, user_id: str, memory_id: str, after: int = 0, limit: int = 100
    ) -> t.Sequence[Event]:
        """A page of the log, in order.

        :param after: the number of the last event already seen.
        :param limit: how many events at most.
        """

    def compact(self, lease: Lease, new: NewCompaction) -> None:
        """Let a summary stand for the first events. Nothing is deleted.

        :raises LeaseLost: if the lease has been taken over; nothing is written.
        """

    def move_head(self, lease: Lease, head: int | None) -> None:
        """Let another compaction count, by its key, or none.

        :raises LeaseLost: if the lease has been taken over; nothing is written.
        """

    def compactions(self, user_id: str, memory_id: str) -> list[Compaction]:
        """The compactions of a session, the oldest first."""

    def forget(self, user_id: str, memory_id: str) -> bool:
        """Remove a session for good, unless somebody holds its lease."""


def check_entries(entries: t.Sequence[Entry]) -> None:
    """Refuse entries that are too large to be kept.

    :raises TooLarge: naming the kind and the limit.
    """
    for entry in entries:
        if len(entry.content) > EVENT_BYTES // 4 and len(entry.content.encode()) > EVENT_BYTES:
            raise TooLarge(f"A {entry.kind} holds at most {EVENT_BYTES} bytes.")
