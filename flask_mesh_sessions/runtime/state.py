"""Everything that belongs to one app: its settings, databases, services and runtime."""

from __future__ import annotations

import logging
import threading
import typing as t
from collections.abc import Mapping

import sqlalchemy as sa

from ..agents.memory import MemoryAgentSessions
from ..agents.service import AgentSessions
from ..agents.sql import SqlAgentSessions
from ..compaction.compactor import Summarizer
from ..config import MeshConfig, Model
from ..errors import AgentNotFound, MeshError, MigrationError
from ..gateway.ledger import SqlLedger
from ..gateway.memory import MemoryLedger
from ..gateway.service import GatewayService
from ..identity import Identity
from ..storage.database import Database, Databases
from ..storage.migrations import Target, pending
from ..storage.readiness import Readiness
from .agent import Agent, AgentFunction, Registry
from .runtime import Runtime
from .timing import Timing

log = logging.getLogger("flask_mesh_sessions")

#: Make the function and the summarizer of a configured agent that is nothing but a model.
ModelAgent = t.Callable[[Model], AgentFunction]
ModelSummarizer = t.Callable[[Model], Summarizer]


class MeshState:
    """The state of one app, in ``app.extensions["mesh_sessions"]``.

    :param registry: the agent functions.
    :param model_agent: makes the function of an agent that is nothing but a model.
    :param model_summarizer: makes its summarizer.
    :param app_context: gives a fresh application context.
    :param migrate: whether the databases are migrated when they are first needed.
    """

    def __init__(
        self,
        config: MeshConfig,
        registry: Registry,
        model_agent: ModelAgent,
        model_summarizer: ModelSummarizer,
        app_context: t.Callable[[], t.ContextManager[t.Any]],
        timing: Timing,
        migrate: bool,
    ) -> None:
        self.config = config
        self.identity = Identity(config.anonymous)
        self.databases = Databases(config.pool)
        #: Whether the databases are migrated.
        self.readiness = Readiness(self.migration_targets, migrate)
        self._registry = registry
        self._model_agent = model_agent
        self._model_summarizer = model_summarizer
        self._lock = threading.Lock()
        self._sessions: dict[str, AgentSessions] = {}
        self._agents: dict[str, Agent] = {}
        database = self.gateway_database
        #: The gateway's session service; None without a database.
        self.gateway = GatewayService(database) if database else None
        ledger = SqlLedger(database) if database else MemoryLedger()
        self.runtime = Runtime(
            ledger, config, self.agent, lambda: self.agent_names, app_context, timing
        )
        if self.gateway is not None:
            self.gateway.settle = self.runtime.settle

    @property
    def behind(self) -> bool:
        """Whether a database is away or lacks migrations. Our routes answer 503 then."""
        try:
            return not self.readiness.check()
        except MigrationError:
            log.exception("A database cannot be migrated.")
            return True

    @property
    def gateway_database(self) -> Database | None:
        """The gateway's database, if it has one."""
        url = self.config.session_service.database_url
        return self.databases.get(url) if url else None

    @property
    def agent_names(self) -> list[str]:
        """The agents that can answer, in the order they are configured, then registered."""
        configured = [agent.name for agent in self.config.agents]
        named = dict.fromkeys([*configured, *self._registry.names()])
        return [name for name in named if self._function(name) is not None]

    def agent(self, name: str) -> Agent:
        """The agent of this name.

        :raises AgentNotFound: if none of this name can answer.
        """
        found = self._agents.get(name)
        if found is not None:
            return found
        function = self._function(name)
        if function is None:
            raise AgentNotFound(f"There is no agent named {name!r} that can answer.")
        config, summarizer = self.config.agent(name), self._registry.summarizer_of(name)
        if summarizer is None and self._registry.get(name) is None and config.model is not None:
            summarizer = self._model_summarizer(config.model)
        agent = Agent(name, function, config, self.sessions(name), summarizer)
        return self._agents.setdefault(name, agent)

    def sessions(self, name: str) -> AgentSessions:
        """The session service of an agent, whether it can answer or not."""
        with self._lock:
            if name not in self._sessions:
                url = self.config.agent(name).session_service.database_url
                self._sessions[name] = (
                    SqlAgentSessions(name, self.databases.get(url))
                    if url
                    else MemoryAgentSessions(name)
                )
            return self._sessions[name]

    def scenarios(self) -> dict[str, str]:
        """For each agent who persists: ``A`` both, ``B`` neither, ``C`` only it, ``D`` not it."""
        named = [agent.name for agent in self.config.agents]
        names = dict.fromkeys([*named, *self._registry.names()])
        return {name: self.config.scenario(name) for name in names}

    def migration_targets(self) -> list[Target]:
        """Every schema in every database of this app."""
        urls = [("gateway", self.config.session_service.database_url)]
        urls += [("agent", agent.session_service.database_url) for agent in self.config.agents]
        urls.append(("agent", self.config.agent_session_service.database_url))
        urls.append(("platform", self.config.platform_database_url))
        targets = [Target(t.cast(t.Any, schema), url) for schema, url in urls if url]
        return list(dict.fromkeys(targets))

    def close(self) -> None:
        """Wait for the running turns, then let go of threads and connections."""
        self.runtime.stop()
        self.databases.dispose()

    def binds(self) -> dict[str, Database]:
        """The databases by the keys under which a host's Flask-SQLAlchemy knows them."""
        keys = {role: f"mesh_{role.replace(':', '_')}" for role in self._roles()}
        return {keys[role]: self.databases.get(t.url) for role, t in self._roles().items()}

    def unready(self) -> dict[str, str]:
        """What keeps each database from being used, by its role. Empty if nothing does."""
        problems: dict[str, str] = {}
        for role, target in self._roles().items():
            try:
                if pending([target]):
                    problems[role] = "not migrated"
            except (MeshError, sa.exc.SQLAlchemyError):
                problems[role] = "unreachable"
        return problems

    def roles(self) -> list[str]:
        """The roles that have a database."""
        return list(self._roles())

    def _roles(self) -> Mapping[str, Target]:
        found: dict[str, Target] = {}
        if self.config.session_service.database_url:
            found["gateway"] = Target("gateway", self.config.session_service.database_url)
        for name in self.scenarios():
            url = self.config.agent(name).session_service.database_url
            if url:
                found[f"agent:{name}"] = Target("agent", url)
        if self.config.platform_database_url:
            found["platform"] = Target("platform", self.config.platform_database_url)
        return found

    def _function(self, name: str) -> AgentFunction | None:
        function = self._registry.get(name)
        model = self.config.agent(name).model
        if function is None and model is not None:
            return self._model_agent(model)
        return function
