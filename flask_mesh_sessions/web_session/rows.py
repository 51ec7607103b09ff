"""The rows of web sessions: found, made, merged, moved and ended in short transactions.

A row that ended stays for a while, empty: a request that is still under way must not bring
it back, and neither must a cookie from which it was adopted.
"""

from __future__ import annotations

import enum
import typing as t
from dataclasses import dataclass
from datetime import timedelta

import sqlalchemy as sa

from .. import ids
from ..clock import now
from ..storage.database import Database
from ..storage.schema import TABLE_OPTIONS, ascii_id, exact_text, gateway_metadata, long_text
from .cookie import SID_LENGTH, is_adopted, is_guessable, new_id
from .session import Change, Codec, Row, worth_keeping

#: How long the id of a row that was rotated leads to the new one, in milliseconds.
FORWARD = 60_000
#: How long an ended row that no cookie can bring back stays for requests under way.
LINGER = 600_000
#: How many rotations one old id is followed through.
HOPS = 8

web_sessions = sa.Table(
    "web_sessions",
    gateway_metadata,
    sa.Column("sid", ascii_id(SID_LENGTH), primary_key=True),
    sa.Column("user_id", exact_text(ids.USER_ID_LENGTH)),
    sa.Column("data", long_text()),
    # Epoch milliseconds after which the row counts as absent.
    sa.Column("expires", sa.BigInteger, nullable=False),
    # Of an ended row: the row it was rotated to, and until when that is followed.
    # Of a living row: the adopted row it was moved out of, which ends with it.
    sa.Column("forward_to", ascii_id(SID_LENGTH)),
    sa.Column("forward_until", sa.BigInteger),
    sa.Column("ended", sa.Boolean, nullable=False),
    sa.Index("ix_web_sessions_user_id", "user_id"),
    sa.Index("ix_web_sessions_expires", "expires"),
    **TABLE_OPTIONS,
)


class Missing(enum.Enum):
    """Why there is no row."""

    ABSENT = "absent"
    ENDED = "ended"


Found = Row | Missing


@dataclass(frozen=True)
class Rows:
    """The rows in one database.

    :param codec: writes and reads the data of a row.
    :param lifetime: how long a row lives that is not used.
    """

    database: Database
    codec: Codec
    lifetime: timedelta

    def load(self, sid: str) -> Found:
        """The row ``sid``, or the one it was rotated to."""
        return self.database.read(lambda connection: _find(connection, sid))

    def create(
        self, sid: str, data: dict[str, t.Any], owner: str | None, origin: str | None = None
    ) -> Row | None:
        """Insert a row, or return ``None`` if there is one.

        :param origin: an adopted row that is to end with this one.
        """
        row = Row(sid, self.codec.dumps(data), self._expires(sid, data), owner, origin)

        def work(connection: sa.Connection) -> Row | None:
            connection.execute(
                web_sessions.delete().where(
                    web_sessions.c.sid == sid, web_sessions.c.expires <= now()
                )
            )
            _insert(connection, row)
            return row

        try:
            # If the answer to the commit was lost, the second try meets the row: a conflict.
            return self.database.write(work, written=lambda connection: None)
        except sa.exc.IntegrityError:
            return None

    def merge(self, sid: str, change: Change, owner: str | None) -> Found:
        """Apply ``change`` to what the row holds now, and let it live on."""

        def work(connection: sa.Connection) -> Found:
            found = _find(connection, sid, lock=True)
            return self._merged(connection, found, change, owner)

        return self.database.write(work, written=lambda connection: None)

    def rotate(self, sid: str, change: Change, owner: str | None) -> Found:
        """Move the row to a new id; for a minute the old one leads there."""
        target = new_id()

        def work(connection: sa.Connection) -> Found:
            found = _find(connection, sid, lock=True)
            if isinstance(found, Missing) or found.sid != sid:
                return self._merged(connection, found, change, owner)
            moved = self._moved(connection, target, found, change, owner, found.origin)
            self._close(connection, sid, forward_to=target)
            return moved

        return self.database.write(work, written=lambda connection: None)

    def replace(self, sid: str, change: Change, owner: str | None) -> Row:
        """Put ``change`` on top of the row into a new one, to which the old id does not lead.

        If the row has ended, the new one holds nothing but the change.
        """
        target = new_id()

        def work(connection: sa.Connection) -> Row:
            found = _find(connection, sid, lock=True)
            if isinstance(found, Missing):
                return self._moved(connection, target, None, change, owner, None)
            if is_guessable(found.sid):
                return self._moved(connection, target, found, change, owner, found.sid)
            moved = self._moved(connection, target, found, change, owner, found.origin)
            self._close(connection, found.sid)
            return moved

        def written(connection: sa.Connection) -> Row | None:
            found = _find(connection, target)
            return found if isinstance(found, Row) else None

        return self.database.write(work, written)

    def end(self, sid: str) -> None:
        """Empty the row for good, with the one it was adopted from."""

        def work(connection: sa.Connection) -> None:
            found = _find(connection, sid, lock=True)
            if isinstance(found, Row):
                self._close(connection, found.sid)
                if found.origin is not None:
                    self._close(connection, found.origin)
            elif found is Missing.ABSENT:
                self._close(connection, sid)

        try:
            self.database.write(work, written=lambda connection: None)
        except sa.exc.IntegrityError:  # somebody inserted the row meanwhile
            self.database.write(work, written=lambda connection: None)

    def _merged(
        self, connection: sa.Connection, found: Found, change: Change, owner: str | None
    ) -> Found:
        if isinstance(found, Missing):
            return found
        data = change.apply(self.codec.loads(found.text))
        expires = self._expires(found.sid, data)
        row = Row(found.sid, self.codec.dumps(data), expires, owner, found.origin)
        values = {"data": row.text, "expires": row.expires, "user_id": row.owner}
        connection.execute(_at(row.sid).values(values))
        return row

    def _moved(
        self,
        connection: sa.Connection,
        target: str,
        found: Row | None,
        change: Change,
        owner: str | None,
        origin: str | None,
    ) -> Row:
        data = change.apply(self.codec.loads(found.text) if found else {})
        expires = self._expires(target, data)
        row = Row(target, self.codec.dumps(data), expires, owner, origin)
        _insert(connection, row)
        return row

    def _close(self, connection: sa.Connection, sid: str, forward_to: str | None = None) -> None:
        values = {
            "user_id": None,
            "data": None,
            "expires": self._expires(sid, {}),
            "forward_to": forward_to,
            "forward_until": now() + FORWARD if forward_to else None,
            "ended": True,
        }
        found = connection.execute(_at(sid).values(values)).rowcount
        if not found and is_adopted(sid):
            connection.execute(web_sessions.insert().values(sid=sid, **values))

    def _expires(self, sid: str, data: dict[str, t.Any]) -> int:
        if not worth_keeping(data) and not is_adopted(sid):
            return now() + LINGER
        return now() + int(self.lifetime.total_seconds() * 1000)


def delete_expired(database: Database, limit: int = 1000) -> int:
    """Delete the web sessions that have expired.

    :param limit: how many rows one transaction deletes.
    :return: how many were deleted.
    """
    total, count = 0, limit
    while count == limit:
        count = database.write(lambda connection: _delete_batch(connection, limit))
        total += count
    return total


def _delete_batch(connection: sa.Connection, limit: int) -> int:
    expired = web_sessions.c.expires <= now()
    query = sa.select(web_sessions.c.sid).where(expired).limit(limit)
    sids = connection.execute(query).scalars().all()
    # Looked at again: one of them may have been used since.
    connection.execute(web_sessions.delete().where(web_sessions.c.sid.in_(sids), expired))
    return len(sids)


def _find(connection: sa.Connection, sid: str, lock: bool = False) -> Found:
    missing = Missing.ABSENT
    for _ in range(HOPS):
        query = sa.select(web_sessions).where(web_sessions.c.sid == sid)
        row = connection.execute(query.with_for_update() if lock else query).first()
        if row is None or row.expires <= now():
            return missing
        if not row.ended:
            return Row(row.sid, row.data, row.expires, row.user_id, row.forward_to)
        missing = Missing.ENDED
        if row.forward_to is None or row.forward_until <= now():
            return missing
        sid = row.forward_to
    return missing


def _at(sid: str) -> sa.Update:
    return web_sessions.update().where(web_sessions.c.sid == sid)


def _insert(connection: sa.Connection, row: Row) -> None:
    values = {
        "sid": row.sid,
        "user_id": row.owner,
        "data": row.text,
        "expires": row.expires,
        "forward_to": row.origin,
        "ended": False,
    }
    connection.execute(web_sessions.insert().values(values))
