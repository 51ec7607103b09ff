"""The session interface: where Flask's ``session`` comes from and where it goes."""

from __future__ import annotations

import typing as t
from datetime import datetime, timezone

from flask import Flask, Request, Response, has_request_context
from flask import request as current_request
from flask.sessions import SecureCookieSessionInterface, SessionMixin
from itsdangerous import URLSafeTimedSerializer

from ..errors import ConfigError, StorageUnavailable
from ..keys import signing_keys
from ..storage.database import Database
from .cookie import BROWSER, PERMANENT, SID, SignedCookie, is_guessable, new_id, read
from .outage import UNAVAILABLE, Outage
from .persist import persist
from .rows import Missing, Rows
from .session import Row, WebSession, is_permanent, worth_keeping


class MeshSessionInterface(SecureCookieSessionInterface):
    """Flask's own session cookie, with the data in it or in a row of the gateway's database.

    :param database: gives the gateway's database, or ``None``: then the cookie holds the
        data itself.
    """

    def __init__(self, database: t.Callable[[], Database | None]) -> None:
        self._database = database
        self._outage = Outage()

    def get_cookie_samesite(self, app: Flask) -> str | None:
        """``SESSION_COOKIE_SAMESITE``; ``Lax`` where the host set none."""
        return super().get_cookie_samesite(app) or "Lax"

    def get_cookie_secure(self, app: Flask) -> bool:
        """``SESSION_COOKIE_SECURE``; where that is not set, true for HTTPS outside debug."""
        if super().get_cookie_secure(app):
            return True
        return not app.debug and has_request_context() and current_request.is_secure

    def get_signing_serializer(self, app: Flask) -> URLSafeTimedSerializer | None:
        """What signs with the newest key and verifies with all, or ``None`` without a key."""
        try:
            keys = signing_keys(app).keys
        except ConfigError:
            return None
        return self._serializer(keys)

    def open_session(self, app: Flask, request: Request) -> WebSession | None:  # type: ignore[override]
        """The session of ``request``. Its row is read when it is first looked at."""
        every = self.get_signing_serializer(app)
        if every is None:
            return None
        cookie = self._cookie(app, request, every)
        if cookie is None:
            return WebSession(self.serializer)
        rows = self._rows(app)
        if rows is not None:
            return WebSession(self.serializer, cookie, lambda new: self._load(rows, new, cookie))
        session = WebSession(self.serializer, cookie)
        session.hold(cookie.data)
        return session

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Store what changed, and send a cookie if the browser needs another one."""
        assert isinstance(session, WebSession)
        if session.accessed:
            response.vary.add("Cookie")
        if session.lost:
            return
        rows = self._rows(app)
        if not session.loaded:
            self._sign_again(app, session, response)
        elif rows is None:
            self._save_in_cookie(app, session, response)
        else:
            self._save_in_row(app, rows, session, response)

    def store(self, app: Flask, session: WebSession) -> None:
        """Store the session now instead of at the end of the request.

        :raises StorageUnavailable: if its row cannot be read or written.
        """
        rows = self._rows(app)
        session.look()
        if session.lost:
            raise StorageUnavailable(UNAVAILABLE)
        if rows is not None:
            self._outage.run(lambda: persist(rows, session, refresh=False))

    def _rows(self, app: Flask) -> Rows | None:
        database = self._database()
        if database is None:
            return None
        return Rows(database, self.serializer, app.permanent_session_lifetime)

    def _serializer(self, keys: t.Sequence[t.Any]) -> URLSafeTimedSerializer:
        return URLSafeTimedSerializer(
            list(keys),
            salt=self.salt,
            serializer=self.serializer,
            signer_kwargs={
                "key_derivation": self.key_derivation,
                "digest_method": self.digest_method,
            },
        )

    def _cookie(
        self, app: Flask, request: Request, every: URLSafeTimedSerializer
    ) -> SignedCookie | None:
        value = request.cookies.get(self.get_cookie_name(app))
        cookie = read(value, self._serializer(every.secret_keys[-1:]), every) if value else None
        # A row knows when it expires: its cookie is not signed again at every request.
        if cookie and not cookie.points and cookie.older_than(app.permanent_session_lifetime):
            return None
        return cookie

    def _load(self, rows: Rows, session: WebSession, cookie: SignedCookie) -> None:
        sid = cookie.sid
        if sid is None:
            return
        try:
            found = self._outage.run(lambda: rows.load(sid))
        except StorageUnavailable:
            session.lost = True
            return
        if isinstance(found, Row):
            session.settle(found)
            session.send = not cookie.points or found.sid != sid
        elif found is Missing.ABSENT and not cookie.points:
            session.sid = sid
            session.hold(cookie.data)

    def _sign_again(self, app: Flask, session: WebSession, response: Response) -> None:
        """Finish a rotation of the key without asking the database."""
        cookie = session.cookie
        if cookie is None or not cookie.stale:
            return
        if cookie.points:
            permanent = bool(cookie.payload.get(PERMANENT))
            self._send(app, response, cookie.payload, permanent)
        else:
            payload = {**cookie.data, BROWSER: cookie.browser}
            self._send(app, response, payload, is_permanent(cookie.data))

    def _save_in_cookie(self, app: Flask, session: WebSession, response: Response) -> None:
        cookie, data = session.cookie, session.copy()
        if not worth_keeping(data):
            if session.modified and cookie is not None:
                self._delete(app, response)
            return
        stale = cookie is not None and cookie.stale
        if stale or session.rotating or self.should_set_cookie(app, session):
            payload = {**data, BROWSER: _browser(session)}
            self._send(app, response, payload, session.permanent)

    def _save_in_row(self, app: Flask, rows: Rows, session: WebSession, response: Response) -> None:
        refresh = app.config["SESSION_REFRESH_EACH_REQUEST"]
        try:
            self._outage.run(lambda: persist(rows, session, refresh))
        except StorageUnavailable:
            if session.row is not None and session.send:
                self._point(app, session.row, session, response)
            elif session.row is None and session.cookie is None:
                # Nothing stood in a row before, so the cookie may hold it until one can.
                self._save_in_cookie(app, session, response)
            return
        stale = session.cookie is not None and session.cookie.stale
        if session.row is not None and worth_keeping(session):
            if session.send or stale:
                self._point(app, session.row, session, response)
        elif session.dropped or (session.row is not None and session.modified):
            self._delete(app, response)

    def _point(self, app: Flask, row: Row, session: WebSession, response: Response) -> None:
        payload: dict[str, t.Any] = {SID: row.sid}
        if session.permanent:
            payload[PERMANENT] = True
        self._send(app, response, payload, session.permanent)

    def _send(
        self, app: Flask, response: Response, payload: dict[str, t.Any], permanent: bool
    ) -> None:
        serializer = self.get_signing_serializer(app)
        assert serializer is not None
        lifetime = app.permanent_session_lifetime if permanent else None
        response.set_cookie(
            self.get_cookie_name(app),
            serializer.dumps(payload),
            max_age=lifetime,
            expires=datetime.now(timezone.utc) + lifetime if lifetime else None,
            **self._attributes(app),
        )
        response.vary.add("Cookie")

    def _delete(self, app: Flask, response: Response) -> None:
        response.delete_cookie(self.get_cookie_name(app), **self._attributes(app))
        response.vary.add("Cookie")

    def _attributes(self, app: Flask) -> dict[str, t.Any]:
        return {
            "domain": self.get_cookie_domain(app),
            "path": self.get_cookie_path(app),
            "secure": self.get_cookie_secure(app),
            "httponly": self.get_cookie_httponly(app),
            "samesite": self.get_cookie_samesite(app),
            "partitioned": self.get_cookie_partitioned(app),
        }


def _browser(session: WebSession) -> str:
    """The id for the cookie: the same, unless a copy of the old cookie must not share it."""
    browser = session.cookie.browser if session.cookie else None
    change = session.change()
    anew = session.cleared or session.rotating or change.login or change.minted
    if browser is None or anew or (session.modified and is_guessable(browser)):
        return new_id()
    return browser
