"""What an exception, an error body or an answer says about itself, read without its package.

Nothing here raises, reads from a network, or goes on for ever, whatever it is given.
"""

from __future__ import annotations

import collections.abc as c
import dataclasses
import json
import re
import typing as t

#: What one call looks at, at most.
NODES, DEPTH, ITEMS, CHARS = 150, 10, 60, 60_000
#: A text up to this many characters is parsed where it looks like JSON.
PARSED = 1_000_000

#: Where errors keep their text, their code, and what they are made of. What a model was asked
#: or has answered (``content``, ``input``, ``output`` …) is never looked at: people talk about
#: context windows too.
_FIELDS = (
    "error", "errors", "error_code", "error_message", "error_msg", "error_type", "errormessage",
    "errorcode", "errortype", "code", "type", "status", "status_code", "statuscode", "http_status",
    "reason", "message", "msg", "detail", "details", "description", "title", "body", "response",
    "metadata", "raw", "data", "delta", "choices", "candidates", "result", "cause", "inner_error",
    "innererror", "originalmessage", "originalstatuscode", "incomplete_details", "finish_reason",
    "finishreason", "native_finish_reason", "stop_reason", "stopreason", "doc", "output_error",
    "fault", "faultstring", "exception", "original_exception", "orig", "response_body",
    "responsebody", "n_ctx", "n_prompt_tokens", "__type", "object",
)  # fmt: skip
_KNOWN = frozenset(_FIELDS)
_ENDINGS = frozenset({"stop_reason", "stopreason", "finish_reason", "finishreason"})
_NUMBERS = {"n_ctx": "limit", "n_prompt_tokens": "used"}
#: Clients whose response attributes may read from the network.
_CLIENTS = frozenset({"aiohttp", "http", "httpx", "httpx2", "requests", "tornado", "urllib3"})
#: Packages whose exceptions are never a model's, but may quote what a user has said.
_FOREIGN = frozenset(
    {"alembic", "flask", "psycopg", "psycopg2", "pymysql", "redis", "sqlalchemy", "sqlite3"}
    | {"jinja2", "werkzeug"}
)
_PLAIN = (str, bytes, bytearray, int, float, bool, type(None), type, complex)


@dataclasses.dataclass
class Clue:
    """What one exception or body says: its texts, its codes, its HTTP statuses, its numbers."""

    texts: list[str] = dataclasses.field(default_factory=list)
    codes: list[str] = dataclasses.field(default_factory=list)
    statuses: set[int] = dataclasses.field(default_factory=set)
    numbers: dict[str, int] = dataclasses.field(default_factory=dict)
    nodes: int = NODES
    chars: int = CHARS

    def spend(self) -> bool:
        self.nodes -= 1
        return self.nodes >= 0


def clue(thing: object) -> Clue:
    """All that ``thing`` itself says, without what caused it."""
    found = Clue()
    _read(thing, found, 0)
    return found


def causes(thing: object) -> list[BaseException]:
    """The exceptions an exception was raised from, wraps or groups."""
    if not issubclass(type(thing), BaseException):
        return []
    error = t.cast(BaseException, thing)
    near: list[object] = [error.__cause__]
    if not error.__suppress_context__:
        near.append(error.__context__)
    for name in ("exceptions", "args", "original_exception", "orig", "reason", "error"):
        value = _get(error, name)
        near += value[:ITEMS] if isinstance(value, (tuple, list)) else [value]
    return [t.cast(BaseException, e) for e in near if issubclass(type(e), BaseException)]


def _read(thing: object, found: Clue, depth: int) -> None:
    kind = type(thing)
    if thing is None or not _honest(thing) or (depth and issubclass(kind, BaseException)):
        return
    if depth > DEPTH or not found.spend():
        return
    if issubclass(kind, (str, bytes, bytearray, memoryview)):
        _read_text(_text(thing), found, depth)
    elif issubclass(kind, c.Mapping):
        _read_mapping(t.cast("c.Mapping[object, object]", thing), found, depth)
    elif issubclass(kind, (list, tuple)):
        for item in t.cast("list[object]", thing)[:ITEMS]:
            _read(item, found, depth + 1)
    elif not issubclass(kind, _PLAIN):
        _read_object(thing, found, depth)


def _text(thing: object) -> str:
    if isinstance(thing, str):
        return str(thing)
    return bytes(t.cast("bytes | bytearray | memoryview", thing)).decode("utf-8", "replace")


def _read_text(text: str, found: Clue, depth: int) -> None:
    documents = list(_documents(text))
    for document in documents:
        _read(document, found, depth + 1)
    if documents or found.chars <= 0:
        return
    # Only the ends of a long text are read: a short copy of it is all that need be kept.
    found.texts.append(
        text if len(text) <= CHARS else f"{text[: CHARS // 2]} {text[-CHARS // 2 :]}"
    )
    found.chars -= min(len(text), CHARS // 4)
    if len(text) <= 100 and not re.search(r"\s", text):
        found.codes.append(text)


def _documents(text: str) -> t.Iterator[object]:
    """The JSON in a text that is nothing else, or a stream of server-sent events."""
    if len(text) > PARSED:
        return
    start = text.lstrip()[:1]
    if start in ("{", "["):
        yield from _parsed(text)
    elif text.lstrip()[:6] in ("data: ", "event:") or text.lstrip()[:5] == "data:":
        lines = [line for line in text.splitlines() if line.startswith("data:")]
        for line in lines[-ITEMS:]:
            yield from _parsed(line[5:])


def _parsed(text: str) -> t.Iterator[object]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return
    if isinstance(document, (dict, list)):
        yield document


def _read_mapping(body: c.Mapping[object, object], found: Clue, depth: int) -> None:
    try:
        items = [(key, body[key]) for key, _ in zip(body, range(4 * ITEMS), strict=False)]
    except Exception:
        return
    fields = {key.casefold(): value for key, value in items if isinstance(key, str)}
    # What has a role is said in a conversation: only how it ended is of interest.
    known = _ENDINGS if "role" in fields else _KNOWN
    for name in sorted(known & fields.keys()):
        _read_field(name, fields[name], found, depth)


def _read_object(thing: object, found: Clue, depth: int) -> None:
    kind = type(thing)
    package = str(kind.__module__).partition(".")[0]
    if package in _FOREIGN:
        return
    if package in _CLIENTS and not issubclass(kind, BaseException):
        _read_response(thing, found, depth)
        return
    if issubclass(kind, BaseException):
        _read_exception(t.cast(BaseException, thing), found, depth)
    for name in _FIELDS:
        _read_field(name, _get(thing, name), found, depth)
    if not issubclass(kind, BaseException):
        _read_body(thing, found, depth)


def _read_exception(error: BaseException, found: Clue, depth: int) -> None:
    found.codes += [kind.__name__ for kind in type(error).__mro__[:ITEMS]]
    args = _args(error)
    # The text of an exception that carries a body is only that body's representation.
    told = type(error).__str__ is BaseException.__str__ and any(
        issubclass(type(arg), (c.Mapping, list)) for arg in args
    )
    parts: list[object] = [*args] if told else [_said(error), *args]
    if {"code", "details"} <= set(dir(type(error))):  # gRPC keeps these behind methods.
        parts += [_call(error, "code"), _call(error, "details")]
    for part in parts:
        if not issubclass(type(part), int):
            _read(part, found, depth + 1)


def _args(error: BaseException) -> list[object]:
    args = _get(error, "args")
    return list(args[:ITEMS]) if isinstance(args, tuple) else []


def _said(error: BaseException) -> str | None:
    try:
        return str(error)
    except Exception:
        return None


def _read_field(name: str, value: object, found: Clue, depth: int) -> None:
    if not _honest(value) or isinstance(value, bool):
        return
    if isinstance(value, int):
        if name in _NUMBERS:
            found.numbers.setdefault(_NUMBERS[name], int(value))
        elif "status" in name or "code" in name:
            found.statuses.add(int(value))
        return
    if isinstance(value, str) and value.isdecimal() and len(value) == 3:
        found.statuses.add(int(value))
    _read(value, found, depth + 1)


def _read_body(response: object, found: Clue, depth: int) -> None:
    """The body of something that looks like a response and is no known network client's."""
    text = _get(response, "text")
    if isinstance(text, (str, bytes)):
        # An answer's text is what a model said; a response has a status too.
        if found.statuses:
            _read(text, found, depth + 1)
    elif text is None and found.statuses:
        _read(_call(response, "json"), found, depth + 1)


def _read_response(response: object, found: Clue, depth: int) -> None:
    """A real client's response: only what has been read from the network already."""
    state = _get(response, "__dict__")
    if not isinstance(state, dict):
        return
    for name in ("status_code", "status"):
        _read_field(name, state.get(name), found, depth)
    for name in ("_content", "_body"):
        if isinstance(state.get(name), (bytes, str)):
            _read(state[name], found, depth + 1)


def _get(thing: object, name: str) -> object:
    try:
        value: object = getattr(thing, name, None)
        return None if callable(value) or not _honest(value) else value
    except Exception:
        return None


def _honest(thing: object) -> bool:
    """Whether ``isinstance`` can be asked about it: that may run code of its own."""
    try:
        return isinstance(thing, object) and thing.__class__ is not None
    except Exception:
        return False


def _call(thing: object, name: str) -> object:
    try:
        value = getattr(thing, name)()
        if hasattr(value, "close") and hasattr(value, "cr_code"):
            value.close()
            return None
        return getattr(value, "name", value)
    except Exception:
        return None
