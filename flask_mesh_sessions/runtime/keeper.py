"""The heartbeat of one process: leases renewed, cancellations and time limits seen."""

from __future__ import annotations

import logging
import threading
import time
import typing as t

from .. import faults
from ..agents.log import Lease
from ..agents.service import AgentSessions
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
    :param lost: is told of a job that somebody else has taken over.
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
        lost: t.Callable[[Job], None],
        timing: Timing,
        timeout: float,
    ) -> None:
        self._ledger = ledger
        self._runner = runner
        self._jobs = jobs
        self._leases = leases
        self._finishing = finishing
        self._settling = settling
        self._lost = lost
        self._timing = timing
        self._timeout = timeout
        self._wanted = threading.Event()
        self._stopped = threading.Event()
        self._renewed = 0.0

    def start(self) -> None:
        """Start the thread, and one that settles what others left behind."""
        threading.Thread(target=self._run, name="mesh-keeper", daemon=True).start()
        threading.Thread(target=self._sweep, name="mesh-sweep", daemon=True).start()

    def wake(self) -> None:
        """Say that there is something to keep."""
        self._wanted.set()

    def stop(self) -> None:
        """Let the threads end."""
        self._stopped.set()
        self._wanted.set()

    def cancel(
        self, job: Job, status: Status = "cancelled", error: TaskError | None = None
    ) -> None:
        """End a job without its answer. The agent's function may go on for a while."""
        if job.decide(status, error):
            job.cut_short = True
            self._tell(job)

    def _run(self) -> None:
        while not self._stopped.is_set():
            for step in (self._renew, self._watch):
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
            self._wanted.wait()

    def _sweep(self) -> None:
        # What was orphaned just before this process started has expired by the second time.
        for pause in (0.0, self._timing.lease + self._timing.watch):
            if self._stopped.wait(pause):
                return
            while not self._swept():
                if self._stopped.wait(self._timing.watch):
                    return

    def _swept(self) -> bool:
        try:
            self._settling.sweep()
        except StorageUnavailable as error:
            log.warning("What other processes left waits: %s", error.message)
            return False
        except Exception:
            log.exception("What other processes left could not be settled.")
        return True

    def _renew(self) -> None:
        if time.monotonic() < self._renewed + self._timing.renew:
            return
        began = time.monotonic()
        renewed = [self._renew_leases(*held) for held in self._leases.by_agent()]
        unsettled = [job.pk for job in self._jobs() if not job.settled]
        if unsettled:
            self._ledger.renew(unsettled, self._runner, self._timing.lease_ms)
        if all(renewed):  # else it is tried again at once
            self._renewed = began

    def _renew_leases(self, sessions: AgentSessions, leases: list[Lease]) -> bool:
        try:
            sessions.renew(leases, self._timing.lease_ms)
        except StorageUnavailable as error:
            log.warning("The leases of %s wait: %s", sessions.agent, error.message)
            return False
        except Exception:
            log.exception("The leases of %s cannot be renewed.", sessions.agent)
            return False
        return True

    def _watch(self) -> None:
        jobs = [job for job in self._jobs() if not job.settled]
        for job in jobs:
            if job.cut_short:
                self._tell(job)
            elif self._has_lost(job.lease):
                self._lost(job)
            elif job.started is not None and time.monotonic() > job.started + self._timeout:
                message = f"The answer took longer than {self._timeout:g} s."
                self.cancel(job, "failed", TaskError(code="timeout", message=message))
        if jobs:
            asked = self._ledger.cancelled([job.pk for job in jobs])
            for job in jobs:
                if job.pk in asked:
                    self.cancel(job)

    def _has_lost(self, lease: Lease | None) -> bool:
        # One that was given back is not anybody else's.
        return lease is not None and lease.lost and self._leases.holds(lease)

    def _tell(self, job: Job) -> None:
        ending = closing.outcome(
            job.task, t.cast(Status, job.decision), job.partial, error=job.error
        )
        self._finishing.finish(job, ending)
        faults.point("cut-short")
