"""Settings turned into typed values, and what is wrong with them put into words."""

from __future__ import annotations

import contextlib
import difflib
import re
import typing as t
from collections.abc import Iterator

import msgspec
import msgspec.inspect as mi

from .errors import ConfigError

#: What stands under these is never repeated.
SECRETS = frozenset({"api_base", "api_key", "database_url"})

_T = t.TypeVar("_T")
_WHERE = re.compile(r"(?P<what>.*?)(?: - at `\$\.?(?P<path>[^`]*)`)?", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*)`")
_STEP = re.compile(r"([A-Za-z_]\w*)|\[(\d+)\]")


def convert(values: object, wanted: type[_T], path: str = "") -> _T:
    """``values`` as an instance of the struct ``wanted``.

    :param values: parsed settings.
    :param wanted: a msgspec struct.
    :param path: where the values stand in the settings, for error messages.
    :raises ConfigError: naming the whole path of the first wrong key, and what is allowed.
    """
    try:
        return msgspec.convert(values, wanted)
    except msgspec.ValidationError as error:
        found = _WHERE.fullmatch(str(error))
        assert found is not None
        inner = found["path"] or ""
    except RecursionError:
        raise ConfigError(f"{path or 'The settings'}: nested too deeply.") from None
    kind = _kind_at(mi.type_info(wanted), inner)
    raise ConfigError(_explained(found["what"], join(path, inner), kind, _at(values, inner)))


def join(path: str, inner: str) -> str:
    """The path of ``inner`` under ``path``; each may be empty."""
    dot = "." if path and inner and not inner.startswith("[") else ""
    return f"{path}{dot}{inner}"


@contextlib.contextmanager
def naming(file: str | None) -> Iterator[None]:
    """Let the errors raised inside also name ``file``, if there is one."""
    try:
        yield
    except ConfigError as error:
        if file is None:
            raise
        raise ConfigError(f"{error.message} (In {file}.)") from error.__cause__


def _explained(what: str, path: str, kind: mi.Type, given: object) -> str:
    if unknown := _UNKNOWN.fullmatch(what):
        return _unknown(path, unknown[1], _keys(kind))
    if missing := _MISSING.fullmatch(what):
        return f"{join(path, missing[1])}: is required."
    shown = _shown(path, kind, given)
    return f"{path or 'The settings'}: must be {describe(kind)}{shown}."


def _unknown(path: str, key: str, allowed: list[str]) -> str:
    near = difflib.get_close_matches(key, allowed, 1)
    meant = f" Did you mean {near[0]}?" if near else ""
    return f"{join(path, key)}: unknown key.{meant} Allowed: {', '.join(allowed)}."


def _shown(path: str, kind: mi.Type, given: object) -> str:
    if SECRETS & {path.rpartition(".")[2]}:
        return ""
    if isinstance(given, bool):
        return f", not {str(given).lower()}"
    if isinstance(given, int | float):
        return f", not {_short(given)}"
    if isinstance(given, str) and not _keys(kind) and not re.search("[:@]", given):
        return f", not {given!r:.42}"
    return f", not {_NAMES.get(type(given), type(given).__name__)}"


def _short(number: float) -> str:
    try:
        return f"{number!r:.42}"
    except ValueError:  # an int of more digits than Python prints
        return "a number that long"


_NAMES: dict[type, str] = {dict: "a mapping", list: "a list", str: "text"}


def _kind_at(kind: mi.Type, path: str) -> mi.Type:
    for name, _ in _STEP.findall(path):
        kind = _inside(kind, name)
    return kind


def _inside(kind: mi.Type, name: str) -> mi.Type:
    """The type under the key ``name``, or of the items where that is empty."""
    for choice in kind.types if isinstance(kind, mi.UnionType) else (kind,):
        if name and isinstance(choice, mi.StructType):
            return next(field.type for field in choice.fields if field.name == name)
        if not name and isinstance(choice, mi.VarTupleType | mi.ListType):
            return choice.item_type
    raise AssertionError(f"{kind} has no {name or 'items'}")


def _at(values: t.Any, path: str) -> object:
    for name, index in _STEP.findall(path):
        values = values[name] if name else values[int(index)]
    return t.cast(object, values)


def _keys(kind: mi.Type) -> list[str]:
    choices = kind.types if isinstance(kind, mi.UnionType) else (kind,)
    return [f.name for c in choices if isinstance(c, mi.StructType) for f in c.fields]


def describe(kind: mi.Type) -> str:
    """What a type allows, in words."""
    if isinstance(kind, mi.UnionType):
        choices = [c for c in kind.types if not isinstance(c, mi.NoneType)]
        return " or ".join(describe(choice) for choice in choices)
    if isinstance(kind, mi.LiteralType):
        return " or ".join(str(value) for value in kind.values)
    if isinstance(kind, mi.IntType | mi.FloatType):
        return _number(kind)
    if isinstance(kind, mi.VarTupleType | mi.ListType):
        return "a list"
    if isinstance(kind, mi.StructType):
        return f"a mapping with keys among {', '.join(_keys(kind))}"
    return {mi.BoolType: "true or false", mi.StrType: "text"}[type(kind)]


def _number(kind: mi.IntType | mi.FloatType) -> str:
    name = "a whole number" if isinstance(kind, mi.IntType) else "a number"
    if kind.gt is not None:
        return f"{name} above {kind.gt} and up to {kind.le}"
    return f"{name} from {kind.ge} to {kind.le}"
