"""The table of routes."""

from __future__ import annotations

import typing as t

from flask import Response

from . import session_views, status_views, task_views, turn_views

Method = t.Literal["GET", "POST", "PATCH", "DELETE"]


class Route(t.NamedTuple):
    """One route, below the prefix."""

    method: Method
    path: str
    view: t.Callable[..., Response]
    #: Whether it makes no sense without the gateway's database.
    persistent: bool = False
    #: Whether it is for everybody at any time, also before the databases are migrated.
    open: bool = False

    @property
    def endpoint(self) -> str:
        """Its name in the blueprint."""
        return self.view.__name__


_SESSION = "/sessions/<session_id>"
_TASK = f"{_SESSION}/chat-tasks/<task_id>"

ROUTES = (
    Route("POST", "/sessions", session_views.create_session),
    Route("GET", "/sessions", session_views.list_sessions, persistent=True),
    Route("GET", "/sessions/search", session_views.search_sessions, persistent=True),
    Route("GET", _SESSION, session_views.get_session, persistent=True),
    Route("PATCH", _SESSION, session_views.rename_session, persistent=True),
    Route("DELETE", _SESSION, session_views.delete_session, persistent=True),
    Route("POST", f"{_SESSION}/restore", session_views.restore_session, persistent=True),
    Route("POST", f"{_SESSION}/viewed", session_views.session_viewed, persistent=True),
    Route("GET", f"{_SESSION}/messages", task_views.list_messages, persistent=True),
    Route("POST", f"{_SESSION}/messages", turn_views.send_message),
    Route("GET", f"{_SESSION}/chat-tasks", task_views.list_chat_tasks, persistent=True),
    Route("POST", f"{_SESSION}/chat-tasks", task_views.save_chat_task, persistent=True),
    Route("GET", f"{_TASK}/events", turn_views.chat_task_events),
    Route("POST", f"{_TASK}/cancel", turn_views.cancel_chat_task),
    Route("POST", f"{_TASK}/retry", turn_views.retry_chat_task, persistent=True),
    Route("POST", "/feedback", task_views.give_feedback),
    Route("GET", "/config", status_views.client_config, open=True),
    Route("GET", "/health", status_views.health, open=True),
    Route("GET", "/ready", status_views.ready, open=True),
)
