"""The two ways of going through a long list."""

from __future__ import annotations

import base64
import binascii
import typing as t
from dataclasses import dataclass

from .. import ids
from ..errors import InvalidInput

PAGE_NUMBERS = range(1, 2**31)
PAGE_SIZES = range(1, 101)
LIMITS = range(1, 1001)
_TIMES = range(2**63)

T = t.TypeVar("T")


@dataclass(frozen=True)
class Page(t.Generic[T]):
    """One page of a list by its number, with how many there are in all."""

    data: list[T]
    #: How many there are on all pages.
    count: int
    page_number: int
    page_size: int

    @property
    def total_pages(self) -> int:
        """How many pages there are; 0 when there is nothing."""
        return -(-self.count // self.page_size)

    @property
    def next_page(self) -> int | None:
        """The number of the next page, if there is one."""
        return self.page_number + 1 if self.page_number < self.total_pages else None


@dataclass(frozen=True)
class Walk(t.Generic[T]):
    """Some elements of a list, and where to go on."""

    data: list[T]
    #: To be handed in for what follows; ``None`` at the end.
    next_cursor: str | None


class Position(t.NamedTuple):
    """A place in the list of sessions, the latest first."""

    updated_time: int
    session_id: str


def check_page(page_number: int, page_size: int) -> None:
    """Refuse a page that cannot be.

    :raises InvalidInput: naming the parameter and what is allowed.
    """
    _check_range("pageNumber", page_number, PAGE_NUMBERS)
    check_page_size(page_size)


def check_page_size(page_size: int) -> None:
    """Refuse a page size that is not allowed.

    :raises InvalidInput: saying what is.
    """
    _check_range("pageSize", page_size, PAGE_SIZES)


def check_limit(limit: int | None) -> None:
    """Refuse a number of rows that makes no sense.

    :raises InvalidInput: saying what is allowed.
    """
    if limit is not None:
        _check_range("limit", limit, LIMITS)


def _check_range(field: str, value: int, allowed: range) -> None:
    if isinstance(value, bool) or value not in allowed:
        why = f"must be an integer from {allowed[0]} to {allowed[-1]}"
        raise InvalidInput(f"{field} {why}.", {field: [why]})


def cursor_after(position: Position) -> str:
    """The cursor of what follows ``position``."""
    text = f"{position.updated_time} {position.session_id}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def position_of(cursor: str) -> Position:
    """The place a cursor names.

    :raises InvalidInput: if it is not one of :func:`cursor_after`.
    """
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True).decode()
        time, _, session_id = text.partition(" ")
        position = Position(int(time), session_id)
    except (ValueError, binascii.Error):
        raise _bad_cursor() from None
    if position.updated_time not in _TIMES or not ids.is_public_id(session_id):
        raise _bad_cursor()
    return position


def _bad_cursor() -> InvalidInput:
    why = "must be empty or a nextCursor of an earlier answer"
    return InvalidInput(f"cursor {why}.", {"cursor": [why]})
