"""Views of the app itself: what it is set up for, whether it lives, whether it is ready."""

from __future__ import annotations

from flask import Response

from . import who
from .answers import answer
from .types import ClientConfig, Health, Limits, Readiness

#: What Agent Mesh's client can do without and must be told so, or it offers it.
FEATURES_OFF = (
    "artifactsPage",
    "background_tasks",
    "binaryArtifactPreview",
    "chatSharing",
    "logout",
    "mentions",
    "projects",
    "promptAIAssisted",
    "promptLibrary",
    "promptSharing",
    "promptVersionHistory",
    "scheduler",
    "speechToText",
    "taskLogging",
    "textToSpeech",
)


def client_config() -> Response:
    """What a client needs to know before it starts."""
    state = who.state()
    config = state.config
    persistent = config.session_service.type == "sql"
    limits = Limits(
        message_bytes=config.limits.message_bytes,
        body_bytes=config.limits.body_bytes,
        max_waiting=config.turns.max_waiting,
    )
    shown = ClientConfig(
        frontend_collect_feedback=persistent,
        frontend_feature_enablement=dict.fromkeys(FEATURES_OFF, False),
        persistence_enabled=persistent,
        agents=state.agent_names,
        scenarios=state.scenarios(),
        limits=limits,
    )
    return answer(shown)


def health() -> Response:
    """Whether the process lives."""
    return answer(Health())


def ready() -> Response:
    """Whether every database can be used."""
    state = who.state()
    unready = state.unready()
    databases = {**dict.fromkeys(state.roles(), "ok"), **unready}
    if unready or state.behind:
        return answer(Readiness("unavailable", databases), 503)
    return answer(Readiness("ok", databases))
