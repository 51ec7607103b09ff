"""JSON answers."""

from __future__ import annotations

import typing as t

import msgspec
from flask import Response, current_app

from .types import ErrorBody


def answer(
    value: object, status: int = 200, headers: t.Mapping[str, str] | None = None
) -> Response:
    """An answer with ``value`` as its JSON body."""
    body = msgspec.json.encode(value)
    return current_app.response_class(body, status, headers, mimetype="application/json")


def refusal(
    message: str,
    status: int,
    details: dict[str, list[str]] | None = None,
    headers: t.Mapping[str, str] | None = None,
) -> Response:
    """The answer to a request that failed.

    :param message: what was wrong.
    :param details: the reasons, by field.
    """
    return answer(ErrorBody(message, message, details), status, headers)
