"""The body and the query of a request, as types."""

from __future__ import annotations

import contextlib
import re
import typing as t

import msgspec
from flask import request
from werkzeug.exceptions import RequestEntityTooLarge

from ..errors import InvalidInput, TooLarge
from .types import field_names

S = t.TypeVar("S", bound=msgspec.Struct)

# What msgspec says is wrong, and where.
_WHERE = re.compile(r"(?P<why>.*?)(?: - at `\$\.?(?P<path>.*)`)?", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(?P<field>[^`]*)`")


def body(type_: type[S], *, optional: bool = False, snake_case: bool = False) -> S:
    """The JSON body of this request.

    :param optional: whether no body at all is an empty object.
    :param snake_case: whether fields may be spelt like that as well.
    :raises InvalidInput: naming the field that is wrong and what is allowed.
    :raises TooLarge: if it is larger than the limit.
    """
    value = _json(_content(), optional)
    if snake_case and isinstance(value, dict):
        names = field_names(type_)
        value = {**{names.get(key, key): given for key, given in value.items()}, **value}
    return _convert(value, type_)


def no_body() -> None:
    """Read past the body of a request that needs none.

    :raises TooLarge: if it is larger than the limit all the same.
    """
    _read()


def query(type_: type[S]) -> S:
    """The query of this request.

    :raises InvalidInput: naming the parameter that is wrong and what is allowed.
    """
    with naming_the_query():
        return _convert(request.args.to_dict(), type_, strict=False)


@contextlib.contextmanager
def naming_the_query() -> t.Iterator[None]:
    """Say of what is refused meanwhile that it stood in the query."""
    try:
        yield
    except InvalidInput as error:
        named = {f"query.{key}": why for key, why in error.details.items()}
        raise InvalidInput(error.message, named) from error


def _content() -> bytes:
    # A form cannot send JSON: what says it is something else is not read as JSON.
    kind = request.mimetype
    if kind and kind != "application/json" and not kind.endswith("+json"):
        _read()
        raise _refused("must be JSON, sent as application/json")
    return _read()


def limit_body(limit: int) -> None:
    """Set how many bytes the body of this request may have, whatever the host allows its own."""
    # A body whose length was not announced is cut off here without a word.
    request.max_content_length = limit + 1


def _read() -> bytes:
    limit = (request.max_content_length or 1) - 1
    try:
        content = request.get_data(cache=False)
    except RequestEntityTooLarge:
        raise _too_large(limit) from None
    if len(content) > limit:
        raise _too_large(limit)
    return content


def _too_large(limit: int) -> TooLarge:
    why = f"must be at most {limit} bytes"
    return TooLarge(f"The body {why}.", {"body": [why]})


def _json(content: bytes, optional: bool) -> t.Any:
    if not content.strip():
        if optional:
            return {}
        raise _refused("is required")
    try:
        return msgspec.json.decode(content.decode())
    except (ValueError, RecursionError):
        raise _refused("must be JSON in UTF-8, not nested too deeply") from None


def _convert(value: t.Any, type_: type[S], strict: bool = True) -> S:
    try:
        return msgspec.convert(value, type_, strict=strict)
    except msgspec.ValidationError as error:
        raise _explained(str(error)) from None


def _explained(text: str) -> InvalidInput:
    found = _WHERE.fullmatch(text)
    why, path = (found["why"], found["path"]) if found else (text, None)
    missing = _MISSING.fullmatch(why)
    if missing:
        why, path = "is required", ".".join(filter(None, (path, missing["field"])))
    return InvalidInput("Validation error", {path or "body": [why]})


def _refused(why: str) -> InvalidInput:
    return InvalidInput("Validation error", {"body": [why]})
