"""Storing streamed text a few times a second, so that other processes can follow it."""

from __future__ import annotations

import logging
import threading
import time
import typing as t

from .. import faults
from ..errors import StorageUnavailable
from ..gateway.turns import Ledger
from .job import Job
from .timing import Timing

log = logging.getLogger("flask_mesh_sessions.runtime")


class Publisher:
    """One thread that stores what the running jobs have streamed.

    A turn that ends within the first interval is never stored in pieces.

    :param jobs: the jobs that have not ended.
    """

    def __init__(
        self, ledger: Ledger, runner: str, jobs: t.Callable[[], list[Job]], timing: Timing
    ) -> None:
        self._ledger = ledger
        self._runner = runner
        self._jobs = jobs
        self._timing = timing
        self._wanted = threading.Event()
        self._stopped = False

    def start(self) -> None:
        """Start the thread."""
        threading.Thread(target=self._run, name="mesh-publisher", daemon=True).start()

    def wake(self) -> None:
        """Say that a job runs."""
        self._wanted.set()

    def stop(self) -> None:
        """Let the thread end."""
        self._stopped = True
        self._wanted.set()

    def _run(self) -> None:
        while not self._stopped:
            self._wanted.wait()
            time.sleep(self._timing.flush)
            jobs = [job for job in self._jobs() if job.started is not None and not job.settled]
            if not jobs:
                self._wanted.clear()
                if self._jobs():
                    self._wanted.set()
            for job in jobs:
                if time.monotonic() >= t.cast(float, job.started) + self._timing.flush:
                    self._flush(job)

    def _flush(self, job: Job) -> None:
        pieces = job.stream.pieces(job.flushed)
        if not pieces:
            return
        with job.finishing:
            if job.settled:
                return
            try:
                if self._ledger.flush(job.pk, self._runner, pieces):
                    job.flushed = pieces[-1].seq
                    faults.point("flushed")
            except StorageUnavailable as error:
                log.warning("The stream of %s waits: %s", job.task.task_id, error.message)
            except Exception:
                log.exception("The stream of %s could not be stored.", job.task.task_id)
