"""Telling the gateway, and then the listeners, how a job ended. Once."""

from __future__ import annotations

import logging

import msgspec

from ..gateway.records import ChatTask
from ..gateway.turns import Ledger, Outcome
from .job import Job

log = logging.getLogger("flask_mesh_sessions.runtime")


class Finishing:
    """Ends the jobs of one process.

    :param runner: the process's name in the gateway.
    """

    def __init__(self, ledger: Ledger, runner: str) -> None:
        self._ledger = ledger
        self._runner = runner

    def finish(self, job: Job, outcome: Outcome) -> None:
        """End a job's task, unless that has been done, here or by another process.

        :raises StorageUnavailable: if the gateway's database cannot be reached.
        """
        with job.finishing:
            if job.settled:
                return
            streamed = job.flushed >= 0
            task = self._ledger.finish(job.accepted, self._runner, outcome, streamed)
            job.stream.finish(task or self._as_others_ended_it(job))
            job.settled = True

    def _as_others_ended_it(self, job: Job) -> ChatTask:
        log.warning("The task %s was settled by another process.", job.task.task_id)
        found = self._ledger.find(job.accepted.user_id, job.task.task_id)
        if found is None:  # its session has been deleted
            return msgspec.structs.replace(job.task, status="cancelled")
        return found.task
