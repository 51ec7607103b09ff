"""Flask's ``session``: a signed cookie, and in sql mode a row that it points to."""

from __future__ import annotations

import typing as t

from flask import Flask, current_app
from flask.sessions import SecureCookieSessionInterface

from ..errors import StorageUnavailable
from ..storage.database import Database
from .interface import MeshSessionInterface as MeshSessionInterface
from .outage import UNAVAILABLE
from .rows import delete_expired as delete_expired
from .rows import web_sessions as web_sessions
from .session import ANONYMOUS_KEY as ANONYMOUS_KEY
from .session import CONVERSATION_KEY as CONVERSATION_KEY
from .session import WebSession as WebSession
from .session import has_host_data as has_host_data


def install(app: Flask, database: t.Callable[[], Database | None]) -> bool:
    """Replace the session interface of ``app`` if it is Flask's own.

    :param database: gives the gateway's database, or ``None`` in memory mode.
    :return: whether it was replaced. A host's own interface stays.
    """
    if type(app.session_interface) is not SecureCookieSessionInterface:
        return False
    interface = MeshSessionInterface(database)
    vars(interface).update(vars(app.session_interface))
    app.session_interface = interface
    return True


def rotate(session: t.MutableMapping[str, t.Any], forward: bool = True) -> None:
    """Give the session a new id and signature at the end of this request.

    Call it with ``forward=False`` when a user signs in, unless that is done by Flask-Login
    or with ``session.clear()`` before: those are noticed. A session of another interface is
    left alone.

    :param session: Flask's ``session``.
    :param forward: whether the old id leads to the new one for a minute, for requests that
        are under way. If not, it is dead at once.
    """
    if isinstance(session, WebSession) and session:
        session.rotating = session.cookie is not None
        session.forwarding = forward


def store(session: t.MutableMapping[str, t.Any]) -> None:
    """Store the session now instead of at the end of this request.

    :param session: Flask's ``session``. One of another interface is left alone.
    :raises StorageUnavailable: if its row cannot be read or written.
    """
    interface = current_app.session_interface
    if isinstance(session, WebSession) and isinstance(interface, MeshSessionInterface):
        interface.store(current_app._get_current_object(), session)  # type: ignore[attr-defined]


def require(session: t.MutableMapping[str, t.Any]) -> None:
    """Refuse to go on with a session that only looks empty.

    :param session: Flask's ``session``.
    :raises StorageUnavailable: if its row could not be read.
    """
    if isinstance(session, WebSession) and session.loaded and session.lost:
        raise StorageUnavailable(UNAVAILABLE)
