"""The extension: reads the settings and wires the parts into one app."""

from __future__ import annotations

import contextlib
import logging
import typing as t
import weakref
from collections.abc import Iterator, Mapping

from flask import Flask, current_app, has_request_context

from . import web, web_session
from .adapters.openai_chat import chat_agent, chat_summarizer
from .agents.service import AgentSessions
from .cli import db
from .cli.command import serving
from .cli.mesh import mesh_group
from .compaction.compactor import Summarizer
from .config import load_config
from .config_files import Source
from .errors import NotPersistent, Unauthorized
from .gateway.records import ChatTask
from .gateway.service import GatewayService
from .identity import Identity
from .keys import signing_keys, weak_keys
from .runtime.agent import F, Registry
from .runtime.state import MeshState
from .runtime.timing import Timing
from .storage import migrations

log = logging.getLogger("flask_mesh_sessions")

SummarizerFunction = t.TypeVar("SummarizerFunction", bound=Summarizer)
UserLoader = t.TypeVar("UserLoader", bound=t.Callable[[], t.Any])


class MeshSessions:
    """Session storage, chat history and agent memory for a Flask app.

    :param app: the app, or ``None`` to call :meth:`init_app` later, for any number of apps.
    :param config: the settings; see :meth:`init_app`.
    """

    #: How often things are looked at.
    timing = Timing()

    def __init__(self, app: Flask | None = None, config: Source = None) -> None:
        self._registry = Registry()
        self._user_loader: t.Callable[[], t.Any] | None = None
        self._identities: weakref.WeakSet[Identity] = weakref.WeakSet()
        if app is not None:
            self.init_app(app, config)

    def init_app(self, app: Flask, config: Source = None) -> None:
        """Add everything to an app.

        :param config: a mapping, or the path of a YAML file; by default
            ``app.config["MESH_SESSIONS"]``, else the environment's.
        :raises ConfigError: if a setting is wrong, naming its key.
        :raises MigrationError: if a database cannot be upgraded.
        :raises RuntimeError: if the app has the extension already.
        """
        if "mesh_sessions" in app.extensions:
            raise RuntimeError("MeshSessions has been initialised for this app already.")
        settings = load_config(
            app.config.get("MESH_SESSIONS") if config is None else config,
            instance_path=app.instance_path,
            root_path=app.root_path,
        )
        state = MeshState(
            settings,
            self._registry,
            chat_agent,
            chat_summarizer,
            _contexts(app),
            self.timing,
            migrate=settings.auto_migrate and serving(),
        )
        _report(app, state)
        self._identities.add(state.identity)
        state.identity.user_loader = self._user_loader
        if settings.web_session == "auto":
            _sign_sessions(app, state)
        if settings.url_prefix is not None:
            web.register(app, state)
        app.cli.add_command(mesh_group())
        db.install(app, state.migration_targets, settings.chain_upgrade)
        app.extensions["mesh_sessions"] = state
        if serving():
            state.readiness.check()
        _share_engines(app, state)

    def agent(self, name: str, summarizer: Summarizer | None = None) -> t.Callable[[F], F]:
        """Register an agent: a function of a turn, as a decorator.

        The function is given a :class:`Turn` and gives a ``str``, or an iterator of ``str``
        to stream. It may be ``async``. It runs in a worker thread with a fresh application
        context and no request context.

        :param name: 1 to 64 visible ASCII characters.
        :param summarizer: makes the summaries when its memory is compacted; by default
            :meth:`summarizer`'s, else the most telling sentences are taken.
        :raises ConfigError: if the name is malformed or taken.
        """
        return self._registry.register(name, summarizer)

    def summarizer(self, summarizer: SummarizerFunction) -> SummarizerFunction:
        """Register what makes the summaries of all agents, as a decorator.

        :param summarizer: is given a
            :class:`~flask_mesh_sessions.compaction.compactor.SummaryRequest` and gives a
            ``str``. It runs in the thread of the turn, and in no transaction.
        """
        self._registry.summarizer = summarizer
        return summarizer

    def user_loader(self, loader: UserLoader) -> UserLoader:
        """Register the function that says who is asking, as a decorator.

        :param loader: gives a user's id, or ``None`` for nobody. It runs in a request, and
            may ``abort``.
        """
        self._user_loader = loader
        for identity in self._identities:
            identity.user_loader = loader
        return loader

    @property
    def gateway(self) -> GatewayService:
        """The gateway's session service, of the current app.

        :raises NotPersistent: if the gateway has no database.
        """
        gateway = _state().gateway
        if gateway is None:
            raise NotPersistent
        return gateway

    @property
    def agents(self) -> Mapping[str, AgentSessions]:
        """The agents' session services by name, of the current app."""
        return _Agents(_state())

    def send(
        self,
        session_id: str,
        text: str,
        agent: str | None = None,
        user_id: str | None = None,
        task_id: str | None = None,
    ) -> ChatTask:
        """Run a turn, from a script, a job queue or a test, and wait for its end.

        :param text: what the user says.
        :param agent: who is to answer; by default the session's agent, else the first.
        :param user_id: who is asking; by default the current request's user.
        :param task_id: names the turn, so that sending twice sends once.
        :return: the finished task; a failed turn is one with the status ``failed``.
        :raises flask_mesh_sessions.errors.MeshError: as the runtime does.
        """
        state = _state()
        user = user_id
        if user is None and has_request_context():
            user = state.identity.current()
        if user is None:
            raise Unauthorized("Nobody is asking: user_id is needed here.")
        accepted = state.runtime.send(user, session_id, text, agent, task_id)
        return state.runtime.wait(user, session_id, accepted, sent=True)

    def upgrade(self) -> None:
        """Migrate every database of the current app.

        :raises MigrationError: if one cannot be upgraded.
        :raises StorageUnavailable: if one cannot be reached.
        """
        migrations.upgrade(_state().migration_targets())


class _Agents(Mapping[str, AgentSessions]):
    """The session services of one app's agents."""

    def __init__(self, state: MeshState) -> None:
        self._state = state

    def __getitem__(self, name: str) -> AgentSessions:
        if name not in self._state.scenarios():
            raise KeyError(name)
        return self._state.sessions(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._state.scenarios())

    def __len__(self) -> int:
        return len(self._state.scenarios())


def _state() -> MeshState:
    state: MeshState = current_app.extensions["mesh_sessions"]
    return state


def _contexts(app: Flask) -> t.Callable[[], contextlib.AbstractContextManager[t.Any]]:
    """Application contexts of an app that this does not keep alive."""
    reference = weakref.ref(app)

    def app_context() -> contextlib.AbstractContextManager[t.Any]:
        alive = reference()
        if alive is None:
            raise RuntimeError("The app is gone.")
        return alive.app_context()

    return app_context


def _report(app: Flask, state: MeshState) -> None:
    """Say at start what an operator would want to know."""
    for warning in state.config.warnings:
        log.warning("%s", warning)
    for name, scenario in state.scenarios().items():
        if scenario == "D":
            log.warning(
                "The agent %r has no database, but the gateway has one: users will see a"
                " history that the agent does not remember. Give it a session_service of"
                " type sql.",
                name,
            )


def _sign_sessions(app: Flask, state: MeshState) -> None:
    """Take over Flask's own session interface; a host's other one stays."""
    if not web_session.install(app, lambda: state.gateway_database):
        return
    keys = signing_keys(app)
    for weakness in [] if app.debug else weak_keys(keys):
        log.warning("%s", weakness)
    if not app.secret_key:  # Flask-Login, for one, signs with it and fails without
        app.secret_key = keys.newest


def _share_engines(app: Flask, state: MeshState) -> None:
    """Let the host's Flask-SQLAlchemy know our engines, if and when it is there."""

    shared = False

    def share() -> None:
        nonlocal shared
        host = app.extensions.get("sqlalchemy")
        if shared or host is None:
            return
        shared = True
        with app.app_context():
            for key, database in state.binds().items():
                host.engines.setdefault(key, database.engine)

    share()
    app.before_request(share)
