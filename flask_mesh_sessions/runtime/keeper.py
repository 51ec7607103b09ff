"""The heartbeat of one process: leases renewed, cancellations and time limits seen."""

from __future__ import annotations

import logging
import threading
import time
import typing as t

from .. import faults
from ..errors import StorageUnavailable
from ..gateway.records import Status, TaskError
from ..gateway.turns import Ledger
from . import closing
from .finishing import Finishing
from .job import Job
from .leases import Leases
from .settling import Settling
from .timing import Timing

log = logging.getLogger("flask_mesh_sessions.runtime")


class Keeper:
    """One thread that keeps what this process has in hand.

    :param jobs: the jobs that have not ended.
    :param timeout: how long a turn may run, in seconds.
    """

    def __init__(
        self,
        ledger: Ledger,
        runner: str,
        jobs: t.Callable[[], list[Job]],
        leases: Leases,
        finishing: Finishing,
        settling: Settling,
        timing: Timing,
        timeout: float,
    ) -> None:
        self._ledger = ledger
        self._runner = runner
        self._jobs = jobs
        self._leases = leases
        self._finishing = finishing
        self._settling = settling
        self._timing = timing
        self._timeout = timeout
        self._wanted = threading.Event()
        self._stopped = False
        self._renewed = 0.0
        # What was orphaned just before this process started has expired by then.
        self._sweeps = [time.monotonic(), time.monotonic() + timing.lease + timing.watch]

    def start(self) -> None:
        """Start the thread."""
        threading.Thread(target=self._run, name="mesh-keeper", daemon=True).start()

    def wake(self) -> None:
        """Say that there is something to keep."""
        self._wanted.set()

    def stop(self) -> None:
        """Let the thread end."""
        self._stopped = True
        self._wanted.set()

    def cancel(
        self, job: Job, status: Status = "cancelled", error: TaskError | None = None
    ) -> None:
        """End a job without its answer. The agent's function may go on for a while."""
        if job.decide(status, error):
            job.cut_short = True
            self._tell(job)

    def _run(self) -> None:
        while not self._stopped:
            for step in (self._sweep, self._renew, self._watch):
                try:
                    step()
                except StorageUnavailable as error:
                    log.warning("The runtime waits for a database: %s", error.message)
                except Exception:
                    log.exception("The runtime could not look after its turns.")
            self._rest()

    def _rest(self) -> None:
        if self._jobs() or self._leases:
            time.sleep(self._timing.watch)
            return
        self._wanted.clear()
        if not self._jobs() and not self._leases:
            next_sweep = min(self._sweeps, default=None)
            pause = None if next_sweep is None else max(0.0, next_sweep - time.monotonic())
            self._wanted.wait(pause)

    def _sweep(self) -> None:
        if self._sweeps and time.monotonic() >= self._sweeps[0]:
            self._settling.sweep()
            self._sweeps.pop(0)

    def _renew(self) -> None:
        if time.monotonic() < self._renewed + self._timing.renew:
            return
        self._renewed = time.monotonic()
        for sessions, leases in self._leases.by_agent():
            try:
                sessions.renew(leases, self._timing.lease_ms)
            except StorageUnavailable as error:
                log.warning("The leases of %s wait: %s", sessions.agent, error.message)
        unsettled = [job.pk for job in self._jobs() if not job.settled]
        if unsettled:
            self._ledger.renew(unsettled, self._runner, self._timing.lease_ms)

    def _watch(self) -> None:
        jobs = [job for job in self._jobs() if not job.settled]
        for job in jobs:
            if job.cut_short:
                self._tell(job)
            elif job.started is not None and time.monotonic() > job.started + self._timeout:
                message = f"The answer took longer than {self._timeout:g} s."
                self.cancel(job, "failed", TaskError(code="timeout", message=message))
        if jobs:
            asked = self._ledger.cancelled([job.pk for job in jobs])
            for job in jobs:
                if job.pk in asked:
                    self.cancel(job)

    def _tell(self, job: Job) -> None:
        ending = closing.outcome(
            job.task, t.cast(Status, job.decision), job.partial, error=job.error
        )
        self._finishing.finish(job, ending)
        faults.point("cut-short")
