"""Who is asking, found once per request."""

from __future__ import annotations

import contextlib
import typing as t

from flask import current_app, request, session
from flask.sessions import NullSession

from ..errors import InvalidInput, NotPersistent, SessionNotFound
from ..gateway.service import GatewayService
from ..runtime.state import MeshState
from ..web_session import CONVERSATION_KEY

_USER = "flask_mesh_sessions.user"


def state() -> MeshState:
    """The state of this app."""
    found: MeshState = current_app.extensions["mesh_sessions"]
    return found


def gateway() -> GatewayService:
    """The gateway's session service.

    :raises NotPersistent: if it has no database.
    """
    service = state().gateway
    if service is None:
        raise NotPersistent
    return service


def asking() -> str | None:
    """The user who is asking, or ``None``. Makes no identity."""
    # Not in `g`, which several requests can share, as in a test within an app context.
    if _USER not in request.environ:
        request.environ[_USER] = state().identity.current()
    user: str | None = request.environ[_USER]
    return user


def owner() -> str:
    """The user who is asking for what only a user can have.

    :raises SessionNotFound: if it is nobody, who has no sessions.
    """
    user = asking()
    if user is None:
        raise SessionNotFound
    return user


@contextlib.contextmanager
def owner_of(session_id: str) -> t.Iterator[str]:
    """The user who is asking for this session.

    What is refused meanwhile is refused only if the session is the user's: whoever may not
    know of it does not learn what could be done with it.

    :raises SessionNotFound: if it is nobody, or what they sent is refused and it is not theirs.
    """
    user = owner()
    try:
        yield user
    except InvalidInput:
        state().runtime.open_session(user, session_id)
        raise


def somebody() -> str:
    """The user who is asking; whoever is new becomes somebody.

    :raises Unauthorized: if nobody has signed in and anonymous use is off.
    """
    request.environ[_USER] = user = state().identity.ensure()
    return user


def enter(session_id: str) -> None:
    """Make a session the one this browser is in."""
    if isinstance(session, NullSession):
        return  # the host keeps no sessions
    if session.get(CONVERSATION_KEY) != session_id:
        session[CONVERSATION_KEY] = session_id


def stay(session_id: str) -> None:
    """Note where a browser is that is known already.

    A client without cookies is known by other means, and is not given one with every message.
    """
    if session:
        enter(session_id)
