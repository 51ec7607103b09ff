"""What one process has in hand: its jobs and the threads that move them on."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import socket
import threading
import time
import typing as t
import uuid
import weakref

from .. import faults
from ..agents.log import Lease, NewTurn
from ..errors import Conflict, LeaseLost, StorageUnavailable
from ..gateway.records import TaskError
from ..gateway.turns import Accepted, Ledger
from . import closing
from .agent import Agent
from .delegation import Delegation
from .finishing import Finishing
from .job import Job
from .keeper import Keeper
from .leases import Leases
from .pool import Pool
from .publisher import Publisher
from .queue import Queue
from .settling import Settling
from .tails import Tails
from .timing import Timing
from .worker import Worker

log = logging.getLogger("flask_mesh_sessions.runtime")

_processes: weakref.WeakSet[Process]


class Process:
    """The machinery of one process. A forked child makes its own.

    :param find: gives the agent of a name, or raises AgentNotFound.
    :param app_context: gives a fresh application context.
    :param workers: how many turns run at a time.
    :param timeout: how long a turn may run, in seconds.
    """

    def __init__(
        self,
        ledger: Ledger,
        find: t.Callable[[str], Agent],
        app_context: t.Callable[[], t.ContextManager[t.Any]],
        timing: Timing,
        workers: int,
        timeout: float,
    ) -> None:
        self.pid = os.getpid()
        self.runner = f"{socket.gethostname()[:20]}-{self.pid}-{uuid.uuid4().hex[:16]}"
        self._ledger = ledger
        self._timing = timing
        self._find = find
        self._lock = threading.Lock()
        self._jobs: dict[tuple[str, str], Job] = {}
        self._leases = Leases()
        self._pool = Pool(workers)
        self._queue = Queue(self._advance, timing)
        self.settling = Settling(ledger, find, timing)
        self.tails = Tails(ledger, self.settling, timing)
        self._finishing = Finishing(ledger, self.runner)
        delegation = Delegation(find, self._leases, timing, self.settling.close_open)
        self._worker = Worker(
            self._finishing, self._leases, delegation, timing, app_context, self._lost
        )
        self._publisher = Publisher(ledger, self.runner, self._all, timing)
        self._keeper = Keeper(
            ledger,
            self.runner,
            self._all,
            self._leases,
            self._finishing,
            self.settling,
            self._lost,
            timing,
            timeout,
        )
        self._keeper.start()
        self._publisher.start()
        _processes.add(self)

    def job(self, user_id: str, task_id: str) -> Job | None:
        """The job of a task that this process has not ended yet."""
        with self._lock:
            return self._jobs.get((user_id, task_id))

    def take(self, accepted: Accepted) -> None:
        """Bring a task that was just accepted to its end."""
        task = accepted.task
        job = Job(task, self._find(t.cast(str, task.task.agent)))
        with self._lock:
            if self._jobs.setdefault((task.user_id, task.task.task_id), job) is not job:
                return
        self._keeper.wake()
        if accepted.queued or not self._try_now(job):
            self._queue.add(job)

    def cancel(self, job: Job) -> None:
        """End a job without its answer."""
        self._keeper.cancel(job)
        self._queue.poke(job.queue)

    def drain(self) -> None:
        """Wait for the running turns, then interrupt what is left."""
        end = time.monotonic() + self._timing.drain
        while time.monotonic() < end and any(job.started for job in self._all()):
            time.sleep(0.05)
        for job in self._all():
            try:
                self._interrupt(job)
            except Exception:
                log.exception("The task %s could not be interrupted.", job.task.task_id)

    def stop(self) -> None:
        """Let the threads end."""
        self._queue.stop()
        self._publisher.stop()
        self._keeper.stop()

    def _all(self) -> list[Job]:
        with self._lock:
            return list(self._jobs.values())

    def _try_now(self, job: Job) -> bool:
        try:
            return self._begin(job)
        except StorageUnavailable as error:
            log.warning("The task %s waits: %s", job.task.task_id, error.message)
        except Exception:
            log.exception("The task %s cannot be started now.", job.task.task_id)
        return False

    def _advance(self, job: Job) -> bool:
        """Try a waiting job.

        :return: False if it has to wait on.
        """
        if job.decision is not None:
            return self._end_unrun(job)
        if job.lease is None and not self._first(job):
            return False
        return self._begin(job)

    def _first(self, job: Job) -> bool:
        """Whether nothing that was accepted earlier is still under way."""
        ahead = self._ledger.ahead(job.accepted)
        return all(task.expired and self.settling.settle(task) for task in ahead)

    def _begin(self, job: Job) -> bool:
        try:
            if job.lease is None and not self._lease(job):
                return False
            if not self._ledger.start(job.pk, self.runner, self._timing.lease_ms):
                return self._refused(job)
        except LeaseLost:
            return False
        except Conflict as error:
            self._keeper.cancel(job, "failed", TaskError(code="conflict", message=error.message))
            self._drop(job)
            return True
        faults.point("running")
        job.stream.start()
        self._pool.submit(lambda: self._run(job))
        return True

    def _lease(self, job: Job) -> bool:
        """Take the lease of a job's session and begin its turn."""
        sessions, user_id = job.agent.sessions, job.accepted.user_id
        new = NewTurn(job.task.task_id, job.text, job.task.retry_of)
        lease = sessions.acquire(user_id, job.memory_id, self._timing.lease_ms, new)
        if lease is None:
            return False
        if not lease.began and not self._begun_before(job, lease):
            self.settling.close_open(job.agent, lease)
            sessions.begin(lease, new)
        faults.point("begun")
        self._leases.add(sessions, lease)
        job.lease = lease
        return True

    def _begun_before(self, job: Job, lease: Lease) -> bool:
        """Whether a job's turn has begun already: only the answer to that was lost."""
        turn = job.agent.sessions.open_turn(lease)
        return turn is not None and turn.task_id == job.task.task_id

    def _refused(self, job: Job) -> bool:
        """The gateway does not let a job run: it is cancelled, or somebody else's."""
        if job.pk in self._ledger.cancelled([job.pk]):
            self._keeper.cancel(job)
        if job.decision is not None:
            return self._end_unrun(job)
        self._withdraw(job)
        self._drop(job)
        self._lost(job)
        return True

    def _end_unrun(self, job: Job) -> bool:
        """End a job whose end was decided before it ran.

        :return: False as long as the gateway has not been told, which the keeper does.
        """
        self._withdraw(job)
        if not job.settled:
            return False
        self._drop(job)
        return True

    def _withdraw(self, job: Job) -> None:
        """End in the log, if it has begun there, what never ran."""
        if job.lease is None:
            return
        status = t.cast(t.Literal["failed", "cancelled"], job.decision or "cancelled")
        with contextlib.suppress(LeaseLost):
            ending = closing.without_answer(status, "", withdrawn=True)
            job.agent.sessions.close(job.lease, ending)
        self._leases.discard(job.lease)
        job.lease = None

    def _run(self, job: Job) -> None:
        job.start()
        self._publisher.wake()
        try:
            self._worker.run(job)
        finally:
            self._drop(job)

    def _drop(self, job: Job) -> None:
        with self._lock:
            self._jobs.pop((job.accepted.user_id, job.task.task_id), None)
        self._queue.poke(job.queue)

    def _lost(self, job: Job) -> None:
        """Somebody else ends this job: its listeners hear from there."""
        if job.handed_over or job.stream.task is not None:
            return
        job.handed_over = True
        log.warning("The task %s was taken over by another process.", job.task.task_id)
        self.tails.adopt(job.accepted, job.stream)

    def _interrupt(self, job: Job) -> None:
        if not job.decide("interrupted", closing.INTERRUPTED):
            return
        if job.lease is not None:
            ending = closing.without_answer("interrupted", job.partial)
            job.agent.sessions.close(job.lease, ending)
        outcome = closing.outcome(job.task, "interrupted", job.partial, error=closing.INTERRUPTED)
        self._finishing.finish(job, outcome)


def _drain_all() -> None:
    for process in list(_processes):
        if process.pid == os.getpid():
            process.drain()


_processes = weakref.WeakSet()
atexit.register(_drain_all)
