"""Flask's ``session`` object: loaded when it is first looked at, and aware of its changes."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from flask.sessions import SessionMixin

from .cookie import PERMANENT, SignedCookie

#: The session key of the anonymous user's id.
ANONYMOUS_KEY = "mesh_user"
#: The session key of the current conversation's id.
CONVERSATION_KEY = "mesh_session"
#: Flask-Login's session key of the user who signed in.
LOGIN_KEY = "_user_id"

#: What Flask, Flask-Login and Flask-WTF keep for a visitor who has not signed in.
_NOBODYS = frozenset({PERMANENT, "_flashes", "_fresh", "_id", "_remember", "next", "csrf_token"})


class Codec(t.Protocol):
    """What writes and reads the data of a session: Flask's TaggedJSONSerializer."""

    def dumps(self, value: t.Any) -> str: ...

    def loads(self, value: str) -> t.Any: ...


@dataclass(frozen=True)
class Row:
    """A living row of a web session."""

    sid: str
    #: The session's data, encoded.
    text: str
    #: Epoch milliseconds.
    expires: int
    owner: str | None
    #: The adopted row that ends with this one.
    origin: str | None


@dataclass(frozen=True)
class Change:
    """What one request did to a session."""

    values: t.Mapping[str, t.Any]
    removed: t.AbstractSet[str] = frozenset()
    #: An anonymous id was made where there was none.
    minted: bool = False
    #: Flask-Login signed somebody in.
    login: bool = False

    def __bool__(self) -> bool:
        return bool(self.values or self.removed)

    def apply(self, data: dict[str, t.Any]) -> dict[str, t.Any]:
        """``data`` with this change made. Of two anonymous ids the first one stays."""
        merged = {key: value for key, value in data.items() if key not in self.removed}
        merged.update(self.values)
        if self.minted and ANONYMOUS_KEY in data:
            merged[ANONYMOUS_KEY] = data[ANONYMOUS_KEY]
        return merged


NOTHING = Change({})


def worth_keeping(data: t.Mapping[str, t.Any]) -> bool:
    """Whether there is more in ``data`` than the flag that it is permanent."""
    return bool(data.keys() - {PERMANENT})


def has_host_data(data: t.Mapping[str, t.Any]) -> bool:
    """Whether the host keeps something of its own in a session.

    Flashes, form tokens and what Flask-Login notes about visitors who have not signed in
    do not count.
    """
    return bool(data.keys() - _NOBODYS - {ANONYMOUS_KEY, CONVERSATION_KEY})


def is_permanent(data: t.Mapping[str, t.Any]) -> bool:
    """Whether the cookie of a session with ``data`` outlives the browser window.

    What the host set counts. Where it set nothing, an anonymous conversation is permanent
    as long as the host keeps nothing of its own beside it.
    """
    if PERMANENT in data:
        return bool(data[PERMANENT])
    return ANONYMOUS_KEY in data and not has_host_data(data)


class WebSession(SessionMixin):
    """Flask's ``session``.

    :param codec: writes and reads its data.
    :param cookie: the cookie that came with the request.
    :param load: called once, with this session, when it is first looked at.
    """

    #: Whether it was written to. Set it after changing a value in place.
    modified = False
    #: Whether it was looked at.
    accessed = False
    #: Whether its row could not be read: it looks empty, and nothing of it will be stored.
    lost = False
    #: Whether :meth:`clear` was called since it was loaded or stored.
    cleared = False
    #: Whether it is to get a new id.
    rotating = False
    #: Whether its old id is then to lead to the new one for a while.
    forwarding = True
    #: Whether the browser is to be sent a cookie, whatever else happens.
    send = False
    #: Whether the browser's cookie leads nowhere any more because of this request.
    dropped = False
    #: The id of its row, or of the one it is to be adopted into.
    sid: str | None = None
    #: Its row, if there is one.
    row: Row | None = None
    #: Who is asking, if this request found out; "" is nobody.
    user_id: str | None = None

    def __init__(
        self,
        codec: Codec,
        cookie: SignedCookie | None = None,
        load: t.Callable[[WebSession], None] | None = None,
    ) -> None:
        self.cookie = cookie
        self._codec = codec
        self._load = load
        self._data: dict[str, t.Any] = {}
        self._before = codec.dumps({})

    @property
    def loaded(self) -> bool:
        """Whether anything has looked at it."""
        return self._load is None

    @property
    def permanent(self) -> bool:
        """Whether its cookie outlives the browser window."""
        return is_permanent(self.look())

    @permanent.setter
    def permanent(self, value: bool) -> None:
        self[PERMANENT] = bool(value)

    @property
    def owner(self) -> str | None:
        """The user to whom its row is to belong."""
        if self.user_id is None:
            return self.row.owner if self.row else None
        return self.user_id or None

    def look(self) -> dict[str, t.Any]:
        """Its data, loaded if nothing has looked at it yet."""
        if self._load is not None:
            load, self._load = self._load, None
            load(self)
        return self._data

    def hold(self, data: dict[str, t.Any]) -> None:
        """Begin with ``data``."""
        self._data = data
        self._before = self._codec.dumps(data)

    def settle(self, row: Row) -> None:
        """Go on from what ``row`` holds; values that are the same stay the same objects."""
        stored = self._codec.loads(row.text)
        for key in self._data.keys() - stored.keys():
            del self._data[key]
        for key, value in stored.items():
            if key not in self._data or not self._same(self._data[key], value):
                self._data[key] = value
        self._before = row.text
        self.sid, self.row = row.sid, row

    def forget(self) -> None:
        """Go on as a session that was never stored."""
        self.sid = self.row = None
        self._before = self._codec.dumps({})
        self.cleared = self.rotating = False

    def change(self) -> Change:
        """What was done to it since it was loaded or stored."""
        if not self.modified:
            return NOTHING
        before, after = self._codec.loads(self._before), self._data
        values = {
            key: value
            for key, value in after.items()
            if key not in before or not self._same(before[key], value)
        }
        minted = ANONYMOUS_KEY in values and ANONYMOUS_KEY not in before
        return Change(values, before.keys() - after.keys(), minted, LOGIN_KEY in values)

    def _same(self, one: t.Any, other: t.Any) -> bool:
        return self._codec.dumps(one) == self._codec.dumps(other)

    def __getitem__(self, key: str) -> t.Any:
        return self.look()[key]

    def __setitem__(self, key: str, value: t.Any) -> None:
        self.look()[key] = value
        self.modified = True

    def __delitem__(self, key: str) -> None:
        del self.look()[key]
        self.modified = True

    def __contains__(self, key: object) -> bool:
        return key in self.look()

    def __iter__(self) -> t.Iterator[str]:
        return iter(self.look())

    def __len__(self) -> int:
        return len(self.look())

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.look()!r}>"

    def __or__(self, other: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
        return {**self.look(), **other}

    def __ior__(self, other: t.Mapping[str, t.Any]) -> WebSession:
        self.update(other)
        return self

    def copy(self) -> dict[str, t.Any]:
        """Its data as a plain dict."""
        return dict(self.look())

    def clear(self) -> None:
        """Remove everything. Its row ends; what is put in afterwards goes into a new one."""
        self.look().clear()
        self.modified = self.cleared = True
