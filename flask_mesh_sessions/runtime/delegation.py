"""One agent asks another, in the same session, in its own thread."""

from __future__ import annotations

import random
import time
import typing as t

from .. import faults, ids
from ..agents.log import Lease, NewTurn
from ..errors import ContextOverflow, DelegationCycle, DelegationTimeout, LeaseLost, TurnFailed
from . import closing, overflowing, reply
from .agent import Agent
from .leases import Leases
from .timing import Timing
from .turn import Turn, changed_state, usage_of


class Delegation:
    """Runs sub-turns.

    :param find: gives the agent of a name, or raises AgentNotFound.
    :param close_open: closes the turn that a process left open when it died.
    """

    def __init__(
        self,
        find: t.Callable[[str], Agent],
        leases: Leases,
        timing: Timing,
        close_open: t.Callable[[Agent, Lease], None],
    ) -> None:
        self._find = find
        self._leases = leases
        self._timing = timing
        self._close_open = close_open

    def ask(self, turn: Turn, task_id: str, name: str, text: str) -> str:
        """Answer :meth:`.turn.Turn.ask`."""
        agent, text = self._find(name), ids.storable(text)
        if name in turn.chain:
            path = " -> ".join((*turn.chain, name))
            raise DelegationCycle(f"An agent cannot be asked inside its own answer: {path}.")
        memory_id = agent.memory_id(turn.session_id, task_id)
        lease = self._begun(agent, turn, memory_id, NewTurn(task_id, text))
        faults.point("asked")
        try:
            with self._leases.holding(agent.sessions, lease):
                answer = self._run(agent, turn, lease, task_id, text)
        except (LeaseLost, reply.Cancelled) as error:
            if turn.cancelled:
                raise
            raise TurnFailed(f"The agent {name!r} was taken over.") from error
        finally:
            if agent.run_based:
                agent.sessions.forget(turn.user_id, memory_id)
        faults.point("told")
        return answer

    def _begun(self, agent: Agent, turn: Turn, memory_id: str, new: NewTurn) -> Lease:
        end = time.monotonic() + self._timing.delegate
        pause = self._timing.poll_first
        while True:
            lease = agent.sessions.acquire(turn.user_id, memory_id, self._timing.lease_ms, new)
            if lease is not None:
                if not lease.began:
                    self._close_open(agent, lease)
                    agent.sessions.begin(lease, new)
                return lease
            if time.monotonic() >= end or turn.cancelled:
                raise DelegationTimeout(f"The agent {agent.name!r} is busy in this session.")
            time.sleep(random.uniform(0.5, 1.0) * pause)
            pause = min(pause * 2, self._timing.poll_last)

    def _run(self, agent: Agent, turn: Turn, lease: Lease, task_id: str, text: str) -> str:
        said: list[str] = []
        sub = turn.delegated(agent.sessions, lease, task_id, text)
        try:
            overflowing.answer(agent, sub, lease, said.append, said.clear)
            answer = "".join(said)
            ending = closing.completed(answer, changed_state(sub), usage_of(sub))
        except BaseException as error:
            stopped = isinstance(error, reply.Cancelled)
            status: t.Literal["failed", "cancelled"] = "cancelled" if stopped else "failed"
            withdrawn = isinstance(error, ContextOverflow)
            ending = closing.without_answer(
                status, "".join(said), usage_of(sub), withdrawn=withdrawn
            )
            agent.sessions.close(lease, ending)
            if stopped:
                raise
            raise TurnFailed(f"The agent {agent.name!r} did not answer.") from error
        agent.sessions.close(lease, ending)
        return answer
