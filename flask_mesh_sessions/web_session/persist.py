"""Storing a session in its row: which of the row's verbs what happened to it calls for."""

from __future__ import annotations

from ..clock import now
from .cookie import is_guessable, new_id
from .rows import Found, Missing, Rows
from .session import Change, WebSession, worth_keeping


def persist(rows: Rows, session: WebSession, refresh: bool) -> None:
    """Store what happened to a session that was looked at.

    :param refresh: whether being looked at makes a row live longer.
    """
    if session.cleared:
        _end(rows, session)
    change = session.change()
    if session.row is None:
        _create(rows, session, change)
    elif change.login or (change.minted and is_guessable(session.row.sid)):
        # Who has a copy of the old cookie must not share what begins here.
        _settle(session, rows.replace(session.row.sid, change, session.owner))
        session.rotating = False
    elif not session.rotating and (change or _due(rows, session, refresh)):
        _merge(rows, session, session.row.sid, change)
    if session.rotating and session.row is not None:
        move = rows.rotate if session.forwarding else rows.replace
        _settle(session, move(session.row.sid, session.change(), session.owner))
        session.rotating = False


def _create(rows: Rows, session: WebSession, change: Change) -> None:
    if not worth_keeping(session):
        if session.sid is not None and session.modified:
            _end(rows, session)
        return
    sid, origin = session.sid or new_id(), None
    if session.sid and (change.login or (change.minted and is_guessable(sid))):
        sid, origin = new_id(), sid
    row = rows.create(sid, session.copy(), session.owner, origin)
    if row is None:
        _merge(rows, session, sid, change)
    else:
        _settle(session, row)


def _merge(rows: Rows, session: WebSession, sid: str, change: Change) -> None:
    found = rows.merge(sid, change, session.owner)
    if isinstance(found, Missing) and change.minted:
        found = rows.replace(sid, change, session.owner)
    _settle(session, found)


def _settle(session: WebSession, found: Found) -> None:
    if isinstance(found, Missing):
        # It ended while this request was under way: what it wrote goes with it.
        session.forget()
        session.send = False
    else:
        session.settle(found)
        session.send = True


def _end(rows: Rows, session: WebSession) -> None:
    if session.sid is not None:
        rows.end(session.sid)
        session.dropped = True
    session.forget()


def _due(rows: Rows, session: WebSession, refresh: bool) -> bool:
    """Whether the row must be written although the data did not change."""
    assert session.row is not None
    if session.owner != session.row.owner:
        return True
    lifetime = rows.lifetime.total_seconds() * 1000
    return refresh and worth_keeping(session) and session.row.expires - now() < 0.9 * lifetime
