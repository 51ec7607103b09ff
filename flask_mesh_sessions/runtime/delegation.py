"""One agent asks another, in the same session, in its own thread."""

from __future__ import annotations

import random
import time
import typing as t

from ..agents.log import Lease, NewTurn
from ..errors import DelegationCycle, DelegationTimeout, TurnFailed
from . import closing, reply
from .agent import Agent
from .leases import Leases
from .timing import Timing
from .turn import Turn, changed_state, delegated_id, usage_of


class Delegation:
    """Runs sub-turns.

    :param find: gives the agent of a name, or raises AgentNotFound.
    """

    def __init__(self, find: t.Callable[[str], Agent], leases: Leases, timing: Timing) -> None:
        self._find = find
        self._leases = leases
        self._timing = timing

    def ask(self, turn: Turn, name: str, text: str) -> str:
        """Answer :meth:`.turn.Turn.ask`."""
        agent = self._find(name)
        if name in turn.chain:
            path = " -> ".join((*turn.chain, name))
            raise DelegationCycle(f"An agent cannot be asked inside its own answer: {path}.")
        task_id = delegated_id(turn)
        memory_id = agent.memory_id(turn.session_id, task_id)
        lease = self._begun(agent, turn, memory_id, NewTurn(task_id, text))
        try:
            with self._leases.holding(agent.sessions, lease):
                return self._run(agent, turn, lease, task_id, text)
        finally:
            if agent.run_based:
                agent.sessions.forget(turn.user_id, memory_id)

    def _begun(self, agent: Agent, turn: Turn, memory_id: str, new: NewTurn) -> Lease:
        end = time.monotonic() + self._timing.delegate
        pause = self._timing.poll_first
        while True:
            lease = agent.sessions.acquire(turn.user_id, memory_id, self._timing.lease_ms, new)
            if lease is not None:
                if not lease.began:  # a process died in the middle of a turn
                    interrupted = closing.without_answer("interrupted", "")
                    agent.sessions.close(lease, interrupted, release=False)
                    agent.sessions.begin(lease, new)
                return lease
            if time.monotonic() >= end or turn.cancelled:
                raise DelegationTimeout(f"The agent {agent.name!r} is busy in this session.")
            time.sleep(random.uniform(0.5, 1.0) * pause)
            pause = min(pause * 2, self._timing.poll_last)

    def _run(self, agent: Agent, turn: Turn, lease: Lease, task_id: str, text: str) -> str:
        said: list[str] = []
        sub = Turn(
            agent.sessions,
            lease,
            session_id=turn.session_id,
            task_id=task_id,
            text=text,
            cancelled=turn._cancelled,
            ask=self.ask,
            chain=turn.chain,
        )
        try:
            reply.answer(agent.function, sub, said.append)
            answer = "".join(said)
            ending = closing.completed(answer, changed_state(sub), usage_of(sub))
        except BaseException as error:
            stopped = isinstance(error, reply.Cancelled)
            status: t.Literal["failed", "cancelled"] = "cancelled" if stopped else "failed"
            ending = closing.without_answer(status, "".join(said), usage_of(sub))
            agent.sessions.close(lease, ending)
            if stopped:
                raise
            raise TurnFailed(f"The agent {agent.name!r} did not answer.") from error
        agent.sessions.close(lease, ending)
        return answer
