"""What went wrong, as an answer: the same body for every error of every route."""

from __future__ import annotations

import logging
import uuid

from flask import Blueprint, Response, current_app, got_request_exception
from werkzeug.exceptions import HTTPException, default_exceptions

from ..errors import (
    Conflict,
    InvalidInput,
    MeshError,
    NotFound,
    NotPersistent,
    StorageUnavailable,
    TooLarge,
    TooManyWaiting,
    Unauthorized,
)
from .answers import refusal

log = logging.getLogger("flask_mesh_sessions.web")

#: Seconds after which a database may be back.
RETRY_AFTER = 2

_STATUSES: dict[type[MeshError], int] = {
    InvalidInput: 422,
    TooLarge: 413,
    Unauthorized: 401,
    NotFound: 404,
    Conflict: 409,
    TooManyWaiting: 429,
    NotPersistent: 501,
    StorageUnavailable: 503,
}


def register(blueprint: Blueprint) -> None:
    """Answer every error of ``blueprint``'s routes, whatever the host does with its own."""
    # For a status the host has a handler for, its handler would be asked before one for all.
    for status in default_exceptions:
        blueprint.register_error_handler(status, refused)
    blueprint.register_error_handler(HTTPException, refused)
    blueprint.register_error_handler(MeshError, failed)
    blueprint.register_error_handler(Exception, unexpected)


def refused(error: Exception) -> Response:
    """The answer to an HTTP error, the host's own ``abort()`` too."""
    assert isinstance(error, HTTPException)
    own = error.description != type(error).description
    message = str(error.description) if own and error.description else error.name
    headers = {k: v for k, v in error.get_headers() if k.lower() != "content-type"}
    return refusal(message, error.code or 500, headers=headers)


def failed(error: MeshError) -> Response:
    """The answer to an error this package raises on purpose."""
    status = next((_STATUSES[kind] for kind in type(error).__mro__ if kind in _STATUSES), None)
    if status is None:
        return unexpected(error)
    details = error.details if isinstance(error, InvalidInput) else None
    return refusal(error.message, status, details, _headers(error))


def _headers(error: MeshError) -> dict[str, str] | None:
    if isinstance(error, TooManyWaiting):
        return {"Retry-After": str(error.retry_after)}
    if isinstance(error, StorageUnavailable):
        return {"Retry-After": str(RETRY_AFTER)}
    return None


def unexpected(error: Exception) -> Response:
    """The answer to anything else: an id under which the log tells more."""
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    got_request_exception.send(app, _async_wrapper=app.ensure_sync, exception=error)
    return refusal(f"Internal error. Error id {logged(error)}", 500)


def logged(error: Exception) -> str:
    """Log an error nobody expected; the id it is found under."""
    error_id = uuid.uuid4().hex
    log.error("Error %s", error_id, exc_info=error)
    return error_id
