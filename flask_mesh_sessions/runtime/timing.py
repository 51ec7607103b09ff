"""How often things are looked at, in seconds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Timing:
    """The runtime's intervals, in seconds."""

    #: How long a lease holds if it is not renewed.
    lease: float = 30.0
    #: How often leases are renewed.
    renew: float = 10.0
    #: How often a running task's cancellation and time limit are looked at.
    watch: float = 1.0
    #: How often streamed text is stored for other processes.
    flush: float = 0.25
    #: How often another process's task is looked at.
    tail: float = 0.25
    #: How soon, and at the latest, a task that waits for another process is tried again.
    poll_first: float = 0.02
    poll_last: float = 0.25
    #: How long a listener is left without a sign of life.
    keep_alive: float = 15.0
    #: How long an agent that holds a lease waits for another agent's.
    delegate: float = 10.0
    #: How long a process that ends waits for its running turns.
    drain: float = 20.0

    @property
    def lease_ms(self) -> int:
        """The lease in milliseconds."""
        return int(self.lease * 1000)
