"""Whether the databases are there and migrated, and bringing them there."""

from __future__ import annotations

import logging
import threading
import time
import typing as t

from ..errors import StorageUnavailable
from . import migrations
from .migrations import Target

log = logging.getLogger("flask_mesh_sessions.migrations")

#: How long a bad answer is believed, in seconds.
RECHECK = 2.0


class Readiness:
    """Whether the databases of one app are at the version its code needs.

    :param targets: the databases.
    :param migrate: whether they are brought there, or only looked at.
    """

    def __init__(self, targets: t.Callable[[], t.Sequence[Target]], migrate: bool) -> None:
        self._targets = targets
        self._migrate = migrate
        self._lock = threading.Lock()
        self._ready = False
        self._checked = float("-inf")

    def check(self) -> bool:
        """Whether every database is migrated; migrates them if that is asked for.

        Once that is so it is not looked at again; a bad answer is believed for 2 s.

        :raises MigrationError: if a database cannot be upgraded.
        """
        if self._ready:
            return True
        with self._lock:
            if self._ready or time.monotonic() < self._checked + RECHECK:
                return self._ready
            try:
                self._ready = self._look()
            except StorageUnavailable as error:
                log.error("Not ready: %s", error.message)
            self._checked = time.monotonic()
            return self._ready

    def _look(self) -> bool:
        if self._migrate:
            migrations.upgrade(self._targets())
            return True
        behind = migrations.pending(self._targets())
        for found in behind:
            log.error(
                "Not ready: %s is at revision %s and has to be at %s. Run: flask mesh upgrade",
                found.target,
                found.current or "base",
                found.head,
            )
        return not behind
