"""Who is asking: the host's user, or one anonymous id per browser."""

from __future__ import annotations

import typing as t

import flask

from . import ids, web_session
from .errors import Unauthorized
from .web_session import ANONYMOUS_KEY, CONVERSATION_KEY


class Identity:
    """Who is asking, in one app.

    A ``user_loader`` decides alone where there is one, else Flask-Login where the app has it.
    Whom they do not name is known by an anonymous id in Flask's ``session``. Both are kept
    apart: the id of a user who signed in must not begin with ``anonymous-``.

    :param anonymous: whether somebody who has not signed in may be served.
    """

    def __init__(self, anonymous: bool) -> None:
        self.anonymous = anonymous
        #: Gives the id of the user who is asking, or ``None``.
        self.user_loader: t.Callable[[], t.Any] | None = None

    def current(self) -> str | None:
        """The id of who is asking, or ``None``. Makes no identity.

        Outside of a request nobody is asking.

        :raises RuntimeError: if the host names a user by an id that cannot be one.
        :raises StorageUnavailable: if it stands in a session that cannot be read.
        """
        if not flask.has_request_context():
            return None
        user = self._signed_in()
        if user is None and self.anonymous:
            user = _anonymous_id()
        if user is None:
            # Whoever cannot be recognised for an outage is not nobody.
            web_session.require(flask.session)
        else:
            _note(user)
        return user

    def ensure(self) -> str:
        """The id of who is asking. Somebody new gets an anonymous id, stored at once.

        :raises Unauthorized: if nobody has signed in and anonymous use is off.
        :raises RuntimeError: if the host names a user by an id that cannot be one.
        :raises StorageUnavailable: if the session cannot be read or stored.
        """
        user = self.current()
        if user is not None:
            return user
        if not self.anonymous or not flask.has_request_context():
            raise Unauthorized()
        return _mint()

    def is_anonymous(self, user_id: str) -> bool:
        """Whether this is the id of a browser, not of a user who signed in."""
        return user_id.startswith(ids.ANONYMOUS_PREFIX)

    def forget(self) -> None:
        """Sign out of the anonymous identity, and forget the current conversation.

        Where the host keeps nothing of its own in the session, the session ends: its row
        stays dead, and its cookie is deleted. What the host keeps there stays, a login too.

        :raises StorageUnavailable: if the session cannot be read or stored.
        """
        session = flask.session
        found = [key for key in (ANONYMOUS_KEY, CONVERSATION_KEY) if key in session]
        web_session.require(session)
        if session and not web_session.has_host_data(session):
            session.clear()
        for key in found:
            session.pop(key, None)
        if found:
            _note(self._signed_in() or "")
        web_session.store(session)

    def _signed_in(self) -> str | None:
        if self.user_loader is not None:
            return _checked(self.user_loader(), "user_loader")
        if not hasattr(flask.current_app, "login_manager"):
            return None
        from flask_login import current_user

        if not current_user.is_authenticated:
            return None
        return _checked(current_user.get_id(), "Flask-Login's get_id()")


def _anonymous_id() -> str | None:
    found = flask.session.get(ANONYMOUS_KEY)
    if not isinstance(found, str) or not ids.is_user_id(found):
        return None
    return found if found.startswith(ids.ANONYMOUS_PREFIX) else None


def _mint() -> str:
    session = flask.session
    permanent = not web_session.has_host_data(session)
    user = ids.new_anonymous_user()
    session[ANONYMOUS_KEY] = user
    _note(user)
    if permanent and not isinstance(session, web_session.WebSession):
        session.permanent = True
    # Stored before anything is stored under it. Another tab may have been first.
    web_session.store(session)
    first: str = session[ANONYMOUS_KEY]
    _note(first)
    return first


def _note(user: str) -> None:
    """Tell the session to whom its row belongs, so that it can be found with the user's data."""
    if isinstance(flask.session, web_session.WebSession):
        flask.session.user_id = user


def _checked(given: t.Any, source: str) -> str | None:
    """The id the host gave, as text.

    :raises RuntimeError: naming ``source``, if it cannot be an id.
    """
    if given is None:
        return None
    user = str(given)
    if not ids.is_user_id(user):
        raise RuntimeError(
            f"{source} must give None or an id of 1 to {ids.USER_ID_LENGTH} characters"
            f" without control characters or outer spaces, not {user[:300]!r}."
        )
    if user.startswith(ids.ANONYMOUS_PREFIX):
        raise RuntimeError(
            f"{source} gave {user!r}, but ids that begin with {ids.ANONYMOUS_PREFIX!r} are"
            " kept for browsers nobody has signed in on."
        )
    return user
