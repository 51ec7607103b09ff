"""The settings of one app: what they may be, and how they are read.

:func:`load_config` is the only reader. What it returns is complete and checked: database
URLs are ready for SQLAlchemy, sections that were left out have come from the environment,
and nothing is left that could be found wrong later.
"""

from __future__ import annotations

import os
import typing as t
from collections.abc import Mapping

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from . import ids, urls
from .config_errors import SECRETS, convert, naming
from .config_files import AgentSource, Document, Source, read_document
from .errors import ConfigError
from .references import References

Fraction = t.Annotated[float, Meta(ge=0.0, le=1.0)]
Trigger = t.Annotated[float, Meta(gt=0.0, le=1.0)]
Count = t.Annotated[int, Meta(ge=1, le=2**31 - 1)]
Overflow = t.Annotated[int, Meta(ge=0, le=2**31 - 1)]
Seconds = t.Annotated[float, Meta(gt=0.0, le=604_800.0)]
Batch = t.Annotated[int, Meta(ge=1, le=10_000)]
MessageBytes = t.Annotated[int, Meta(ge=1, le=4 * 1024 * 1024)]

_HIDDEN = SECRETS | {"platform_database_url"}
_TEXT_KEYS = SECRETS | {"agents", "name", "trusted_origins"}


class _Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    def __rich_repr__(self) -> list[tuple[str, t.Any]]:
        values = [(field, getattr(self, field)) for field in self.__struct_fields__]
        return [(f, "***" if value and f in _HIDDEN else value) for f, value in values]

    def __repr__(self) -> str:
        shown = ", ".join(f"{field}={value!r}" for field, value in self.__rich_repr__())
        return f"{type(self).__name__}({shown})"


class SessionService(_Settings, frozen=True, kw_only=True):
    """Where sessions are kept: in this process, or in a database."""

    type: t.Literal["memory", "sql"] = "memory"
    #: Ready for :func:`sqlalchemy.create_engine`; None in memory.
    database_url: str | None = None
    #: Whether an agent goes on with a session, or starts anew in every turn.
    default_behavior: t.Literal["PERSISTENT", "RUN_BASED"] = "PERSISTENT"


class AutoSummarization(_Settings, frozen=True, kw_only=True):
    """When and how much of an agent's history is compacted."""

    enabled: bool = True
    #: The fraction of the live history that a compaction takes. 0 means none.
    compaction_percentage: Fraction = 0.25
    #: The fraction of a known window at which to compact before the error comes.
    trigger_at: Trigger | None = None


class Model(_Settings, frozen=True, kw_only=True):
    """The model behind an agent that has no function."""

    name: t.Annotated[str, Meta(min_length=1)]
    #: The context window, in tokens.
    max_input_tokens: Count | None = None
    api_base: str | None = None
    api_key: str | None = None


class AgentConfig(_Settings, frozen=True, kw_only=True):
    """The settings of one agent, with the defaults of all agents filled in."""

    name: str
    session_service: SessionService = SessionService()
    auto_summarization: AutoSummarization = AutoSummarization()
    model: Model | None = None


class Turns(_Settings, frozen=True, kw_only=True):
    """How turns are run."""

    #: How many turns of one session may wait.
    max_waiting: Count = 16
    #: How many turns one process runs at a time.
    workers: Count = 8
    #: How long one turn may take, in seconds.
    timeout: Seconds = 600.0


class Limits(_Settings, frozen=True, kw_only=True):
    """How large what a client sends may be, in bytes."""

    message_bytes: MessageBytes = 1024 * 1024
    body_bytes: Count = 2 * 1024 * 1024


class Pool(_Settings, frozen=True, kw_only=True):
    """The connection pool of each distinct database URL, in SQLAlchemy's names."""

    pool_size: Count = 5
    max_overflow: Overflow = 5
    #: How long to wait for a connection, in seconds.
    pool_timeout: Seconds = 30.0
    #: The age in seconds at which a connection is replaced.
    pool_recycle: Count = 1800


class DataRetention(_Settings, frozen=True, kw_only=True):
    """How long data is kept, in Agent Mesh's names."""

    enabled: bool = True
    task_retention_days: Count = 90
    feedback_retention_days: Count = 90
    sse_event_retention_days: Count = 30
    conversion_cache_retention_hours: Count = 24
    cleanup_interval_hours: Count = 24
    #: How many rows one transaction removes.
    batch_size: Batch = 1000
    cleanup_tasks: bool = True
    cleanup_feedback: bool = True
    cleanup_sse_events: bool = True


class _Common(_Settings, frozen=True, kw_only=True):
    """The settings that are used as they are written."""

    #: For agents that do not say otherwise.
    auto_summarization: AutoSummarization = AutoSummarization()
    #: Whether databases are migrated when the app starts.
    auto_migrate: bool = True
    #: Whether Flask's own session interface is replaced.
    web_session: t.Literal["auto", "off"] = "auto"
    #: Whether there may be a conversation without a user.
    anonymous: bool = True
    turns: Turns = Turns()
    limits: Limits = Limits()
    pool: Pool = Pool()
    #: What ``flask db upgrade`` covers.
    chain_upgrade: t.Literal["all", "gateway", "host"] = "all"
    data_retention: DataRetention = DataRetention()


class MeshConfig(_Common, frozen=True, kw_only=True):
    """All settings of one app."""

    #: Of the gateway.
    session_service: SessionService = SessionService()
    #: Ready for :func:`sqlalchemy.create_engine`, or None.
    platform_database_url: str | None = None
    #: The configured agents.
    agents: tuple[AgentConfig, ...] = ()
    #: Of an agent that is registered but not configured.
    agent_session_service: SessionService = SessionService()
    #: None switches the HTTP side off.
    url_prefix: str | None = "/api/v1"
    #: None switches the interface off.
    ui: str | None = "/mesh"
    #: Lower case, without default ports, as browsers send them.
    trusted_origins: tuple[str, ...] = ()
    #: What is allowed but probably not meant, in words.
    warnings: tuple[str, ...] = ()

    def agent(self, name: str) -> AgentConfig:
        """The settings of an agent, whether it is configured or only registered.

        :param name: the agent's name.
        :raises ConfigError: if no agent can have this name.
        """
        for agent in self.agents:
            if agent.name == name:
                return agent
        return AgentConfig(
            name=_agent_name("The agent's name", name),
            session_service=self.agent_session_service,
            auto_summarization=self.auto_summarization,
        )

    def scenario(self, agent_name: str) -> t.Literal["A", "B", "C", "D"]:
        """Who persists: A both, B neither, C only the agent, D only the gateway (broken).

        :param agent_name: the agent's name.
        """
        gateway = self.session_service.type == "sql"
        if self.agent(agent_name).session_service.type == "sql":
            return "A" if gateway else "C"
        return "D" if gateway else "B"


class _PlatformSection(_Settings, frozen=True, kw_only=True):
    database_url: str | None = None


class _AgentSection(_Settings, frozen=True, kw_only=True):
    name: str
    session_service: SessionService | None = None
    auto_summarization: AutoSummarization | None = None
    model: Model | None = None


class _Sections(_Common, frozen=True, kw_only=True):
    """The settings as they are written."""

    session_service: SessionService | None = None
    platform_service: _PlatformSection | None = None
    agents: list[t.Any] = []
    url_prefix: str | bool = "/api/v1"
    ui: str | bool = "/mesh"
    trusted_origins: tuple[str, ...] = ()


def load_config(
    source: Source,
    *,
    instance_path: str,
    root_path: str,
    environ: Mapping[str, str] | None = None,
) -> MeshConfig:
    """Read, check and complete the settings.

    :param source: a mapping, the path of a YAML file, or None for no settings.
    :param instance_path: the folder of relative SQLite paths.
    :param root_path: the folder of relative paths that do not stand in a YAML file.
    :param environ: the environment variables; those of the process if None.
    :raises ConfigError: naming the whole path of the key that is wrong, and what is allowed.
        A password or key never appears in it.
    """
    environ = os.environ if environ is None else environ
    document = read_document(source, root_path, References(environ, _TEXT_KEYS))
    return _Builder(document, instance_path, environ).build()


class _Builder:
    """Turns one document into a :class:`MeshConfig`, gathering warnings on the way."""

    def __init__(self, document: Document, instance_path: str, environ: Mapping[str, str]) -> None:
        self.values = dict(document.values)
        self.sources = document.agents
        self.instance_path = instance_path
        self.environ = environ
        self.warnings: list[str] = []

    def build(self) -> MeshConfig:
        if self.values.get("web_session") is False:  # YAML reads a bare "off" as false
            self.values["web_session"] = "off"
        sections = convert(self.values, _Sections)
        self._warn_of_zero("auto_summarization", sections.auto_summarization)
        prefix, ui = _paths(sections)
        return MeshConfig(
            session_service=self._service(
                "session_service", sections.session_service, "WEB_UI_GATEWAY_DATABASE_URL"
            ),
            platform_database_url=self._platform(sections.platform_service),
            agents=self._agents(),
            agent_session_service=self._from_environment("AGENT_DATABASE_URL"),
            trusted_origins=_origins(sections.trusted_origins),
            url_prefix=prefix,
            ui=ui,
            **{field: getattr(sections, field) for field in _Common.__struct_fields__},
            # Last, when all of the above have had their say.
            warnings=tuple(self.warnings),
        )

    def _service(self, key: str, section: SessionService | None, variable: str) -> SessionService:
        if section is None:
            return self._from_environment(variable)
        if section.type == "memory":
            if section.database_url:
                self.warnings.append(f"{key}.database_url is not used, as type is memory.")
            return replace(section, database_url=None)
        url = self._url(f"{key}.database_url", section.database_url)
        if url is None:
            raise ConfigError(f"{key}.database_url: is required where type is sql.")
        return replace(section, database_url=url)

    def _from_environment(self, variable: str) -> SessionService:
        url = self._url(variable, self.environ.get(variable))
        return SessionService(type="sql" if url else "memory", database_url=url)

    def _platform(self, section: _PlatformSection | None) -> str | None:
        if section is None:
            variable = "PLATFORM_DATABASE_URL"
            return self._url(variable, self.environ.get(variable))
        return self._url("platform_service.database_url", section.database_url)

    def _url(self, key: str, given: str | None) -> str | None:
        if not given or given.isspace():
            return None
        return urls.database_url(key, given, self.instance_path)

    def _agents(self) -> tuple[AgentConfig, ...]:
        agents: dict[str, AgentConfig] = {}
        for index, source in enumerate(self.sources):
            with naming(source.file):
                agent = self._agent(f"agents[{index}]", source)
                if agent.name in agents:
                    raise ConfigError(f"agents[{index}].name: {agent.name} is there already.")
            agents[agent.name] = agent
        return tuple(agents.values())

    def _agent(self, key: str, source: AgentSource) -> AgentConfig:
        section = convert(source.values, _AgentSection, key)
        return AgentConfig(
            name=_agent_name(f"{key}.name", section.name),
            session_service=self._service(
                f"{key}.session_service", section.session_service, "AGENT_DATABASE_URL"
            ),
            auto_summarization=self._summarization(key, source),
            model=_model(section.model),
        )

    def _summarization(self, key: str, source: AgentSource) -> AutoSummarization:
        """The agent's own keys over those of all agents."""
        own = source.values.get("auto_summarization", {})
        merged = {**self.values.get("auto_summarization", {}), **own}
        settings = convert(merged, AutoSummarization, f"{key}.auto_summarization")
        if "compaction_percentage" in own:
            self._warn_of_zero(f"{key}.auto_summarization", settings)
        return settings

    def _warn_of_zero(self, key: str, settings: AutoSummarization) -> None:
        if settings.compaction_percentage == 0:
            self.warnings.append(
                f"{key}.compaction_percentage is 0: nothing is compacted, and a conversation"
                " that outgrows the model's window fails."
            )


def _agent_name(key: str, name: str) -> str:
    if not ids.is_agent_name(name):
        raise ConfigError(
            f"{key}: must be 1 to {ids.AGENT_NAME_LENGTH} visible ASCII characters,"
            f" not {name!r:.80}."
        )
    return name


def _model(model: Model | None) -> Model | None:
    if model is None:
        return None
    return replace(model, api_base=model.api_base or None, api_key=model.api_key or None)


def _origins(origins: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(
        urls.origin(f"trusted_origins[{index}]", given) for index, given in enumerate(origins)
    )


def _paths(sections: _Sections) -> tuple[str | None, str | None]:
    api = urls.url_path("url_prefix", sections.url_prefix)
    ui = urls.url_path("ui", sections.ui)
    if api and ui and f"{ui}/".startswith(f"{api}/"):
        raise ConfigError(f"ui: must not be inside of url_prefix ({api}), which answers there.")
    return api, ui
