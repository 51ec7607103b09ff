"""A database that is down is noticed once, and asked by one request at a time if it is back."""

from __future__ import annotations

import logging
import threading
import typing as t

import sqlalchemy as sa

from ..errors import StorageUnavailable

log = logging.getLogger("flask_mesh_sessions.web_session")

T = t.TypeVar("T")

UNAVAILABLE = "The session database cannot be reached. Please retry."


class Outage:
    """What is known about the database of the web sessions."""

    def __init__(self) -> None:
        self._down = False
        self._noticing = threading.Lock()
        self._probing = threading.Lock()

    def run(self, work: t.Callable[[], T]) -> T:
        """Do ``work`` on the database.

        :raises StorageUnavailable: if it fails; or without trying, if it has failed and
            another request is finding out whether it still does. A host whose every page
            waited for the database would be down with it.
        """
        if not self._down:
            return self._attempt(work)
        if not self._probing.acquire(blocking=False):
            raise StorageUnavailable(UNAVAILABLE)
        try:
            return self._attempt(work)
        finally:
            self._probing.release()

    def _attempt(self, work: t.Callable[[], T]) -> T:
        try:
            result = work()
        except (StorageUnavailable, sa.exc.SQLAlchemyError) as error:
            self._failed(error)
            raise StorageUnavailable(UNAVAILABLE) from error
        self._worked()
        return result

    def _failed(self, error: Exception) -> None:
        with self._noticing:
            if self._down:
                return
            self._down = True
        log.warning(
            "Web sessions cannot be read or stored; until they can, visitors who have one"
            " are served without it and keep their cookies: %s",
            _reason(error),
        )

    def _worked(self) -> None:
        if not self._down:
            return
        with self._noticing:
            if not self._down:
                return
            self._down = False
        log.info("Web sessions can be read and stored again.")


def _reason(error: Exception) -> str:
    """What went wrong, without the statement and the data in it."""
    shown = getattr(error, "orig", None) or error
    if isinstance(shown, sa.exc.SQLAlchemyError):
        return type(shown).__name__
    return (str(shown).splitlines() or [type(shown).__name__])[0]
