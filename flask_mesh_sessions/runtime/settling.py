"""Bringing to an end what a process left behind when it died.

The agent's log decides: a turn that is closed there is completed in the history from it;
one that is open is closed there first; one that never began is interrupted and can be
retried.
"""

from __future__ import annotations

import logging
import threading
import typing as t

from .. import faults
from ..agents.log import Lease, Turn
from ..errors import AgentNotFound
from ..gateway.records import ChatTask
from ..gateway.turns import Ledger, LedgerTask, Outcome
from . import bubbles, closing
from .agent import Agent
from .timing import Timing

log = logging.getLogger("flask_mesh_sessions.runtime")


class Settling:
    """Settles tasks.

    :param find: gives the agent of a name, or raises AgentNotFound.
    """

    def __init__(self, ledger: Ledger, find: t.Callable[[str], Agent], timing: Timing) -> None:
        self._ledger = ledger
        self._find = find
        self._timing = timing
        self._lock = threading.Lock()

    def settle(self, task: LedgerTask) -> bool:
        """Settle a task whose runner is gone.

        :return: False if it is not gone after all, or another process is settling it.
        """
        with self._lock:  # a reader waits for the sweep, and sees what it did
            return self._settle(task)

    def _settle(self, task: LedgerTask) -> bool:
        agent = self._agent(task.task)
        if agent is None:
            return self._interrupt(task)
        memory_id = agent.memory_id(task.task.session_id, task.task.task_id)
        lease = agent.sessions.acquire(task.user_id, memory_id, self._timing.lease_ms)
        if lease is None:
            return False
        faults.point("settle-leased")
        try:
            turn = self._closed(agent, lease, task)
            faults.point("settle-closed")
            settled = self._finish(task, turn)
            faults.point("settle-finished")
        finally:
            agent.sessions.release(lease)
        if agent.run_based:
            agent.sessions.forget(task.user_id, memory_id)
        return settled

    def sweep(self) -> None:
        """Settle every task that nobody runs any more."""
        for task in self._ledger.expired(1000):
            try:
                self.settle(task)
            except Exception:
                log.exception("The task %s cannot be settled now.", task.task.task_id)

    def close_open(self, agent: Agent, lease: Lease) -> None:
        """Close the turn that is open under a lease that was just taken over."""
        turn = agent.sessions.open_turn(lease)
        if turn is not None:
            known = self._ledger.find(lease.user_id, turn.task_id)
            self._close(agent, lease, known)

    def _agent(self, task: ChatTask) -> Agent | None:
        try:
            return self._find(task.agent or "")
        except AgentNotFound:
            return None

    def _closed(self, agent: Agent, lease: Lease, task: LedgerTask) -> Turn | None:
        """The task's turn as the log has it, closed, or ``None`` if it never began."""
        if lease.open_turn is not None:
            self.close_open(agent, lease)
        return agent.sessions.turn(lease.user_id, lease.memory_id, task.task.task_id)

    def _close(self, agent: Agent, lease: Lease, task: LedgerTask | None) -> None:
        status: t.Literal["failed", "interrupted", "cancelled"] = "interrupted"
        partial = ""
        if task is not None and task.live:
            partial = self._streamed(task)
        elif task is not None:
            partial = bubbles.reply_in(task.task.message_bubbles)
            if task.task.status in ("failed", "cancelled"):
                status = task.task.status
        ending = closing.without_answer(status, partial)
        agent.sessions.close(lease, ending, release=False)

    def _streamed(self, task: LedgerTask) -> str:
        text = ""
        for piece in self._ledger.pieces(task.pk, -1):
            text = piece.text if piece.reset else text + piece.text
        return text

    def _finish(self, task: LedgerTask, turn: Turn | None) -> bool:
        if turn is None:
            return self._interrupt(task)
        return self._settled(task, closing.outcome_of(task.task, turn))

    def _interrupt(self, task: LedgerTask) -> bool:
        partial = self._streamed(task)
        ending = closing.outcome(task.task, "interrupted", partial, error=closing.INTERRUPTED)
        return self._settled(task, ending)

    def _settled(self, task: LedgerTask, outcome: Outcome) -> bool:
        settled = self._ledger.settle(task, outcome)
        if settled:
            log.info(
                "The task %s of the session %s was settled as %s after its process had gone.",
                task.task.task_id,
                task.task.session_id,
                outcome.status,
            )
        return settled
