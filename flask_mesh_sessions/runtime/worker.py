"""Running one turn in a thread of the pool: call the agent, then close the turn."""

from __future__ import annotations

import contextlib
import logging
import time
import typing as t
import uuid

from .. import faults
from ..agents.log import Closing
from ..errors import ContextOverflow, LeaseLost, MeshError, StorageUnavailable
from ..gateway.records import TaskError
from ..gateway.turns import Outcome
from . import closing, overflowing, reply
from .delegation import Delegation
from .finishing import Finishing
from .job import Job
from .leases import Leases
from .timing import Timing
from .turn import Turn, changed_state, tools_of, usage_of

log = logging.getLogger("flask_mesh_sessions.runtime")

T = t.TypeVar("T")


class Worker:
    """Runs the turns of one process.

    :param app_context: gives a fresh application context.
    :param lost: is told of a job that somebody else has taken over.
    """

    def __init__(
        self,
        finishing: Finishing,
        leases: Leases,
        delegation: Delegation,
        timing: Timing,
        app_context: t.Callable[[], t.ContextManager[t.Any]],
        lost: t.Callable[[Job], None],
    ) -> None:
        self._finishing = finishing
        self._leases = leases
        self._delegation = delegation
        self._timing = timing
        self._app_context = app_context
        self._lost = lost

    def run(self, job: Job) -> None:
        """Run a job whose turn has begun, to its end. Raises nothing."""
        try:
            with contextlib.suppress(_Abandoned):
                self._run(job)
                return
        except BaseException:
            log.exception("The task %s could not be closed.", job.task.task_id)
        self._lost(job)

    def _run(self, job: Job) -> None:
        lease = job.lease
        assert lease is not None
        turn = Turn(
            job.agent.sessions,
            lease,
            session_id=job.task.session_id,
            task_id=job.task.task_id,
            text=job.text,
            cancelled=job.cancelled,
            ask=self._delegation.ask,
        )
        try:
            ending, outcome = self._answer(job, turn)
            self._insist(lambda: job.agent.sessions.close(lease, ending), job)
        finally:
            self._leases.discard(lease)
        faults.point("closed")
        self._insist(lambda: self._finishing.finish(job, outcome), job)
        faults.point("finished")
        if job.agent.run_based:
            job.agent.sessions.forget(lease.user_id, lease.memory_id)

    def _answer(self, job: Job, turn: Turn) -> tuple[Closing, Outcome]:
        usage, withdrawn = usage_of(turn), False
        try:
            with self._app_context():
                self._call(job, turn)
            state = changed_state(turn)
            if job.decide("completed"):
                outcome = closing.outcome(
                    job.task, "completed", job.partial, usage=usage, tools=tools_of(turn)
                )
                return closing.completed(job.partial, state, usage), outcome
        except LeaseLost:
            raise _Abandoned from None
        except reply.Cancelled:
            if turn.lost:
                raise _Abandoned from None
            job.decide("cancelled")
        except BaseException as error:  # an agent's sys.exit() must not end the worker
            job.decide("failed", _reported(error, job))
            withdrawn = isinstance(error, ContextOverflow)
        status = t.cast(t.Literal["failed", "cancelled"], job.decision)
        outcome = closing.outcome(
            job.task, status, job.partial, error=job.error, usage=usage, tools=tools_of(turn)
        )
        ending = closing.without_answer(status, job.partial, usage, withdrawn=withdrawn)
        return ending, outcome

    def _call(self, job: Job, turn: Turn) -> None:
        assert job.lease is not None
        emit, reset = job.stream.emit, job.stream.reset
        overflowing.answer(job.agent, turn, job.lease, emit, reset)

    def _insist(self, write: t.Callable[[], T], job: Job) -> T:
        """Try a write for as long as the lease may hold, should the database be away."""
        end = time.monotonic() + self._timing.lease
        while True:
            try:
                return write()
            except LeaseLost:
                raise _Abandoned from None
            except StorageUnavailable:
                if time.monotonic() > end:
                    raise
                log.warning("The task %s waits for its database.", job.task.task_id)
                time.sleep(self._timing.watch)


class _Abandoned(Exception):
    """Somebody else has taken the job over."""


def _reported(error: BaseException, job: Job) -> TaskError:
    """Log what went wrong in an agent, and what the user is told of it."""
    if isinstance(error, ContextOverflow):
        log.warning("The task %s does not fit: %s", job.task.task_id, error.message)
        return TaskError(code="context_overflow", message=error.message)
    error_id = uuid.uuid4().hex[:12]
    log.error(
        "The agent %s failed in the task %s of the session %s. Error id %s",
        job.agent.name,
        job.task.task_id,
        job.task.session_id,
        error_id,
        exc_info=error,
    )
    if isinstance(error, MeshError):
        return TaskError(code="agent_error", message=error.message)
    return TaskError(code="agent_error", message=f"The agent failed. Error id {error_id}")
