"""What is checked before a view is asked, in this order whatever the route."""

from __future__ import annotations

from flask import request

from .. import ids
from ..errors import (
    NotPersistent,
    SessionNotFound,
    StorageUnavailable,
    TaskNotFound,
    Unauthorized,
)
from ..gateway.begin import is_session_id
from . import forgery, incoming, who
from .routes import ROUTES
from .unknown import UNKNOWN

_OPEN = frozenset(route.endpoint for route in ROUTES if route.open)
_PERSISTENT = frozenset(route.endpoint for route in ROUTES if route.persistent)
_OWN = frozenset(route.endpoint for route in ROUTES)


def check() -> None:
    """Let a request through to its view.

    :raises StorageUnavailable: while a database lacks migrations.
    :raises NotPersistent: if the route needs a database that is not configured.
    :raises werkzeug.exceptions.Forbidden: if another site makes the request.
    :raises Unauthorized: if nobody has signed in and anonymous use is off.
    :raises NotFound: if the path names what cannot be.
    :raises TooLarge: if a body is that nobody would have read.
    """
    endpoint = (request.endpoint or "").rpartition(".")[2]
    if endpoint in _OPEN:
        return
    state = who.state()
    if state.behind:
        raise StorageUnavailable("A database is not migrated.")
    state.runtime.start()  # what another process left behind is settled from then on
    if endpoint in UNKNOWN:
        return
    if endpoint in _PERSISTENT and state.gateway is None:
        raise NotPersistent
    forgery.check(request, state.config.trusted_origins)
    if endpoint in _OWN:
        _check_user(state.config.anonymous)
        _check_path()
    else:  # the cookie's routes, which serve everybody and need no body
        incoming.no_body()


def _check_user(anonymous: bool) -> None:
    if not anonymous and who.asking() is None:
        raise Unauthorized


def _check_path() -> None:
    named = request.view_args or {}
    if not is_session_id(named.get("session_id", "-")):
        raise SessionNotFound
    if not ids.is_public_id(named.get("task_id", "-"), ids.TASK_ID_LENGTH):
        raise TaskNotFound
