"""A chat task that this process has accepted and has to bring to its end."""

from __future__ import annotations

import threading
import time
import typing as t

from ..agents.log import Lease
from ..gateway.records import Status, TaskError
from ..gateway.turns import LedgerTask
from .agent import Agent
from .stream import Stream


class Job:
    """A chat task of this process, from its acceptance to its end.

    How it ends is decided once, by whoever is first: the agent's answer, a cancellation
    or the time limit.
    """

    def __init__(self, accepted: LedgerTask, agent: Agent) -> None:
        self.accepted = accepted
        self.task = accepted.task
        self.agent = agent
        self.memory_id = agent.memory_id(self.task.session_id, self.task.task_id)
        self.stream = Stream()
        self.cancelled = threading.Event()
        self.lease: Lease | None = None
        #: When a worker took it up, by the monotonic clock.
        self.started: float | None = None
        #: The number of the last piece stored for other processes.
        self.flushed = -1
        #: How it ends, once that is decided, and what had been streamed by then.
        self.decision: Status | None = None
        self.error: TaskError | None = None
        self.partial = ""
        #: Whether it ends without waiting for the agent's function to return.
        self.cut_short = False
        #: Whether its listeners have been told to look to another process.
        self.handed_over = False
        #: Whether the gateway knows how it ended. Guarded by ``finishing``.
        self.settled = False
        self.finishing = threading.Lock()
        self._lock = threading.Lock()

    @property
    def pk(self) -> int:
        """The chat task's key in the gateway."""
        return self.accepted.pk

    @property
    def queue(self) -> tuple[str, str, str]:
        """What it takes turns with: the tasks of the same user, session and agent."""
        return (self.accepted.user_id, self.task.session_id, self.agent.name)

    @property
    def text(self) -> str:
        """What the user said."""
        return t.cast(str, self.task.user_message)

    def start(self) -> None:
        """Say that a worker runs it now."""
        self.started = time.monotonic()

    def decide(self, status: Status, error: TaskError | None = None) -> bool:
        """Decide how it ends.

        :return: False if that has been decided already.
        """
        with self._lock:
            if self.decision is not None:
                return False
            self.decision = status
            self.error = error
            self.partial = self.stream.text
        if status != "completed":
            self.cancelled.set()
        return True
