"""The signed cookie, and which row belongs to a cookie that holds the data itself."""

from __future__ import annotations

import base64
import hashlib
import secrets
import typing as t
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from itsdangerous import BadData, URLSafeTimedSerializer

from .. import ids

SID_LENGTH = 64

#: In a cookie that points to a row: the row's id.
SID = "_sid"
#: In a cookie that holds the data itself: a random id that stays the same. It is not called
#: ``_id``: that key is Flask-Login's, and equal for all who share an address and a browser.
BROWSER = "_mesh_id"
#: Flask's own key for ``session.permanent``.
PERMANENT = "_permanent"

#: Rows adopted from a cookie of ours, and from an older cookie of the host's. Random ids
#: have no dot.
_OWN = "own."
_HOST = "host."


def new_id() -> str:
    """A fresh random id, of a row or of a browser."""
    return secrets.token_urlsafe(32)


def is_adopted(sid: str) -> bool:
    """Whether this row's id derives from a cookie that may be sent again."""
    return "." in sid


def is_guessable(sid: str) -> bool:
    """Whether this row's id derives from a cookie without a random id in it.

    Two browsers that were given the same data in the same second have the same such cookie,
    so they meet in one row.
    """
    return sid.startswith(_HOST)


@dataclass(frozen=True)
class SignedCookie:
    """A session cookie whose signature is good."""

    value: str
    payload: dict[str, t.Any]
    #: When it was signed.
    signed: datetime
    #: Whether an older key signed it.
    stale: bool

    @property
    def points(self) -> bool:
        """Whether it points to a row instead of holding the data."""
        return SID in self.payload and self.payload.keys() <= {SID, PERMANENT}

    @property
    def browser(self) -> str:
        """The id that stays the same while the data in the cookie changes."""
        given = self.payload.get(BROWSER)
        if isinstance(given, str) and ids.is_public_id(given, SID_LENGTH):
            return given
        # Without the signature, which can be spelt in several ways that all verify.
        return _HOST + _digest(self.value.rpartition(".")[0])

    @property
    def sid(self) -> str | None:
        """The id of the row for this cookie, or ``None`` if there can be none."""
        if self.points:
            given = self.payload[SID]
            return given if ids.is_public_id(given, SID_LENGTH) else None
        return self.browser if is_guessable(self.browser) else _OWN + _digest(self.browser)

    @property
    def data(self) -> dict[str, t.Any]:
        """The session's data, as far as the cookie holds it."""
        if self.points:
            return {}
        return {key: value for key, value in self.payload.items() if key != BROWSER}

    def older_than(self, lifetime: timedelta) -> bool:
        """Whether it was signed more than ``lifetime`` ago."""
        return datetime.now(timezone.utc) - self.signed > lifetime


def read(
    value: str, newest: URLSafeTimedSerializer, every: URLSafeTimedSerializer
) -> SignedCookie | None:
    """The cookie ``value``, if one of the keys signed it.

    :param newest: verifies with the key that signs now.
    :param every: verifies with all keys.
    """
    for serializer, stale in ((newest, False), (every, True)):
        try:
            payload, signed = serializer.loads(value, return_timestamp=True)
        except BadData:
            continue
        return SignedCookie(value, payload, signed, stale) if isinstance(payload, dict) else None
    return None


def _digest(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
