"""Server-sent events."""

from __future__ import annotations

import contextlib
import typing as t

import msgspec
from flask import Response, current_app

from ..errors import MeshError
from ..runtime.runtime import Event
from .failures import logged
from .types import ErrorBody

HEADERS = {
    "Cache-Control": "no-store",
    # Or a proxy such as nginx hands the answer on in one piece.
    "X-Accel-Buffering": "no",
}
KEEP_ALIVE = b": keep-alive\n\n"


def stream(events: t.Iterator[Event | None]) -> Response:
    """An answer that goes on for as long as there are events.

    A client that leaves ends the answer and nothing else.
    """
    return current_app.response_class(
        _lines(events), headers=HEADERS, content_type="text/event-stream; charset=utf-8"
    )


def _lines(events: t.Iterator[Event | None]) -> t.Iterator[bytes]:
    with contextlib.closing(t.cast(t.Generator[Event | None, None, None], events)):
        try:
            for event in events:
                yield KEEP_ALIVE if event is None else _line(event.name, event.data, event.id)
        except MeshError as error:
            yield _line("error", ErrorBody(error.message, error.message))
        except Exception as error:
            message = f"Internal error. Error id {logged(error)}"
            yield _line("error", ErrorBody(message, message))


def _line(name: str, data: object, event_id: str | None = None) -> bytes:
    number = f"id: {event_id}\n" if event_id is not None else ""
    return f"event: {name}\n{number}data: ".encode() + msgspec.json.encode(data) + b"\n\n"
