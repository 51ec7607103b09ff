"""The tasks of this process that wait for their turn, and when each is tried again."""

from __future__ import annotations

import bisect
import logging
import random
import threading
import time
import typing as t
from collections import deque
from dataclasses import dataclass, field

from ..errors import StorageUnavailable
from .job import Job
from .timing import Timing

log = logging.getLogger("flask_mesh_sessions.runtime")

Key = tuple[str, str, str]


@dataclass
class _Line:
    """The waiting jobs of one session and agent, and when the first is tried again."""

    jobs: deque[Job] = field(default_factory=deque)
    due: float = 0.0
    pause: float = 0.0


class Queue:
    """Tries waiting jobs until each has left the queue, those of one session in order.

    :param advance: tries a job; True if it need not be tried again.
    """

    def __init__(self, advance: t.Callable[[Job], bool], timing: Timing) -> None:
        self._advance = advance
        self._timing = timing
        self._changed = threading.Condition()
        self._lines: dict[Key, _Line] = {}
        self._thread: threading.Thread | None = None
        self._stopped = False

    def add(self, job: Job) -> None:
        """Let a job wait for those of its session and agent that were accepted before it."""
        with self._changed:
            line = self._lines.setdefault(job.queue, _Line())
            # Threads may come here in another order than their tasks were accepted in, and
            # only the first of a line is tried: it has to be the one the others wait for.
            bisect.insort(line.jobs, job, key=lambda waiting: waiting.pk)
            if line.jobs[0] is job:
                line.due = line.pause = 0.0
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="mesh-queue", daemon=True)
                self._thread.start()
            self._changed.notify()

    def poke(self, key: Key) -> None:
        """Try the first job of this line now: the one before it has ended here."""
        with self._changed:
            line = self._lines.get(key)
            if line is not None:
                line.due = line.pause = 0.0
                self._changed.notify()

    def stop(self) -> None:
        """Let the thread end; what waits is not tried again."""
        with self._changed:
            self._stopped = True
            self._changed.notify()

    def _run(self) -> None:
        while True:
            found = self._next()
            if found is None:
                return
            key, job = found
            try:
                done = self._advance(job)
            except StorageUnavailable as error:
                log.warning("The task %s waits: %s", job.task.task_id, error.message)
                done = False
            except Exception:
                log.exception("The task %s cannot be started now.", job.task.task_id)
                done = False
            self._tried(key, job, done)

    def _next(self) -> tuple[Key, Job] | None:
        with self._changed:
            while True:
                if self._stopped:
                    return None
                due = min((line.due for line in self._lines.values()), default=None)
                wait = None if due is None else due - time.monotonic()
                if wait is not None and wait <= 0:
                    key = min(self._lines, key=lambda k: self._lines[k].due)
                    # Until it has been tried it is not due; a poke in between makes it so.
                    self._lines[key].due = float("inf")
                    return key, self._lines[key].jobs[0]
                self._changed.wait(wait if wait != float("inf") else None)

    def _tried(self, key: Key, job: Job, done: bool) -> None:
        with self._changed:
            line = self._lines[key]
            if done:
                line.jobs.remove(job)
                line.due = line.pause = 0.0
                if not line.jobs:
                    del self._lines[key]
            elif line.due == float("inf"):
                first, last = self._timing.poll_first, self._timing.poll_last
                line.pause = min(max(line.pause * 2, first), last)
                line.due = time.monotonic() + random.uniform(0.5, 1.0) * line.pause
