"""What answers: a function of a turn, with its settings and its memory."""

from __future__ import annotations

import hashlib
import typing as t
from dataclasses import dataclass

from .. import ids
from ..agents.service import AgentSessions
from ..compaction.compactor import Summarizer
from ..config import AgentConfig
from ..errors import ConfigError

if t.TYPE_CHECKING:
    from .turn import Turn

#: What an agent function gives: a str, an iterator of str, or either of them awaited.
Reply = t.Any
AgentFunction = t.Callable[["Turn"], Reply]
F = t.TypeVar("F", bound=t.Callable[..., t.Any])


@dataclass(frozen=True)
class Agent:
    """One agent of one app."""

    name: str
    function: AgentFunction
    config: AgentConfig
    sessions: AgentSessions
    #: Makes the summaries of its compactions; without one they are extracts.
    summarizer: Summarizer | None = None

    @property
    def run_based(self) -> bool:
        """Whether it starts with an empty memory in every turn."""
        return self.config.session_service.default_behavior == "RUN_BASED"

    def memory_id(self, session_id: str, task_id: str) -> str:
        """The id under which it remembers."""
        if len(task_id) > ids.TASK_ID_LENGTH:  # delegated by a task whose id is as long as can be
            task_id = hashlib.sha256(task_id.encode()).hexdigest()
        return f"{session_id}:{task_id}:run" if self.run_based else session_id


class Registry:
    """The agent functions that have been registered, in that order."""

    def __init__(self) -> None:
        self._functions: dict[str, AgentFunction] = {}
        self._summarizers: dict[str, Summarizer] = {}
        #: Makes the summaries of agents that have no summarizer of their own.
        self.summarizer: Summarizer | None = None

    def register(self, name: str, summarizer: Summarizer | None = None) -> t.Callable[[F], F]:
        """Register an agent function, as a decorator.

        :param name: 1 to 64 visible ASCII characters.
        :param summarizer: makes the summaries of the agent's compactions.
        :raises ConfigError: if the name is malformed or taken.
        """
        if not ids.is_agent_name(name):
            raise ConfigError(f"An agent's name is 1 to 64 visible ASCII characters, not {name!r}.")

        def decorate(function: F) -> F:
            if self._functions.setdefault(name, function) is not function:
                raise ConfigError(f"An agent named {name!r} is registered already.")
            if summarizer is not None:
                self._summarizers[name] = summarizer
            return function

        return decorate

    def get(self, name: str) -> AgentFunction | None:
        """The function registered under ``name``."""
        return self._functions.get(name)

    def summarizer_of(self, name: str) -> Summarizer | None:
        """What makes an agent's summaries: its own, else the one for all."""
        return self._summarizers.get(name, self.summarizer)

    def names(self) -> list[str]:
        """The names, in the order of registration."""
        return list(self._functions)
