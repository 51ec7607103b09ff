"""The leases this process holds, renewed together."""

from __future__ import annotations

import contextlib
import threading
import typing as t

from ..agents.log import Lease
from ..agents.service import AgentSessions


class Leases:
    """The leases this process holds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[str, tuple[AgentSessions, Lease]] = {}

    def add(self, sessions: AgentSessions, lease: Lease) -> None:
        """Renew this lease from now on."""
        with self._lock:
            self._held[lease.owner] = (sessions, lease)

    def discard(self, lease: Lease) -> None:
        """Do not renew this lease any more."""
        with self._lock:
            self._held.pop(lease.owner, None)

    @contextlib.contextmanager
    def holding(self, sessions: AgentSessions, lease: Lease) -> t.Iterator[None]:
        """Renew this lease inside a ``with`` block."""
        self.add(sessions, lease)
        try:
            yield
        finally:
            self.discard(lease)

    def holds(self, lease: Lease) -> bool:
        """Whether this lease is being renewed."""
        return lease.owner in self._held

    def __bool__(self) -> bool:
        return bool(self._held)

    def by_agent(self) -> list[tuple[AgentSessions, list[Lease]]]:
        """The leases, those of one session service together."""
        with self._lock:
            held = list(self._held.values())
        services = {id(sessions): sessions for sessions, _ in held}
        return [
            (service, [lease for sessions, lease in held if sessions is service])
            for service in services.values()
        ]
