"""A bounded pool of daemon threads.

The standard library's pool is joined when the interpreter ends: an agent function that
never returns would keep the process alive for ever.
"""

from __future__ import annotations

import collections
import logging
import threading
import typing as t

log = logging.getLogger("flask_mesh_sessions.runtime")

IDLE_SECONDS = 30.0


class Pool:
    """At most ``size`` threads, started when they are needed.

    :param size: how many threads at most.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._changed = threading.Condition()
        self._work: collections.deque[t.Callable[[], None]] = collections.deque()
        self._threads = 0
        self._idle = 0

    def submit(self, work: t.Callable[[], None]) -> None:
        """Run ``work`` as soon as a thread is free."""
        with self._changed:
            self._work.append(work)
            if self._idle >= len(self._work):
                self._changed.notify()
            elif self._threads < self._size:
                self._threads += 1
                threading.Thread(target=self._run, name="mesh-turn", daemon=True).start()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._idle += 1
                self._changed.wait_for(lambda: bool(self._work), IDLE_SECONDS)
                self._idle -= 1
                if not self._work:
                    self._threads -= 1
                    return
                work = self._work.popleft()
            try:
                work()
            except BaseException:
                log.exception("A turn could not be ended.")
