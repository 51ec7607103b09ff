"""From what an error says to whether, and by how much, the context window was exceeded."""

from __future__ import annotations

import functools
import html
import re
import typing as t
import unicodedata

from . import overflow_rules as rules

#: How much of a text is looked at: errors speak at the start or at the end.
HEAD, TAIL = 8000, 4000
NUMBERS = ("limit", "used", "prompt", "output")
#: How far from an unknown wording its numbers are, and the least number that is taken for one.
NEAR, LEAST = 150, 64
#: Numbers that are an HTTP status; 512 is a window too.
STATUSES = frozenset(range(400, 600)) - {512}

Numbers = dict[str, int]
Compiled = tuple[str | None, re.Pattern[str]]

_NUMBER = (
    r"(?<![a-z0-9_.-])(?P<{}>\d{{1,12}}(?:\.\d{{1,3}})?[km]?)"
    r"(?![0-9%]|(?!tok)[a-z_])(?! ?(?:[kmg]i?b\b|bytes|char))"
)
_QUOTES = str.maketrans("", "", "'\"`´’‘“”«»*\\")
_GROUPED = re.compile(
    r"(?<![a-zA-Z0-9_.\[-])\d{1,3}"
    r"(?:(?:,\d{3})+|(?:_\d{3})+|(?:\.\d{3}){2,}|(?: \d{3})+(?= ?(?:tok|>|\))))(?![\w.]?\d)"
)
_TOKENS = re.compile(r"(?<!\bby )" + _NUMBER.format("n") + r"(?! ?(?:output|completion))")
_ESCAPE = re.compile(r"\\u([0-9a-f]{4})", re.IGNORECASE)
_BREAK = re.compile(r"\\+[nrt]|\s+")


def clip(text: str) -> str:
    """The start and the end of a text that is too long to be looked at whole."""
    return text if len(text) <= HEAD + TAIL else f"{text[:HEAD]} … {text[-TAIL:]}"


def normalise(text: str) -> str:
    """A text in the form the rules are written for."""
    text = _ESCAPE.sub(lambda match: chr(int(match[1], 16)), clip(text))
    text = unicodedata.normalize("NFKC", html.unescape(text)).casefold()
    text = _BREAK.sub(" ", text).translate(_QUOTES)
    return _GROUPED.sub(lambda match: re.sub(r"\D", "", match[0]), text)


def squash(code: str) -> str:
    """A code, type or class name as its letters and digits."""
    return re.sub(r"[\W_]", "", code[:200]).casefold()


@functools.cache
def compiled(source: str) -> re.Pattern[str]:
    """A rule's expression, its short forms written out."""
    source = re.sub(r"<(\w+)>", lambda match: _NUMBER.format(match[1]), source)
    return re.compile(source.replace("~", ".{0,80}?"))


def refused(texts: t.Iterable[str], codes: t.Iterable[str]) -> bool:
    """Whether any of it says that this is about a rate, a quota or another parameter."""
    if any(compiled(rules.REFUSED_CODES).search(code) for code in codes):
        return True
    return any(_refuses(text) for text in texts)


def _refuses(text: str) -> bool:
    for source, excuse in rules.REFUSED:
        if compiled(source).search(text) and not (excuse and compiled(excuse).search(text)):
            return True
    return False


def named(codes: t.Sequence[str]) -> tuple[str | None] | None:
    """The provider, in a tuple, whose code for an overflow is among these."""
    for provider, source in rules.CODES:
        if any(compiled(source).search(code) for code in codes):
            return (provider,)
    return None


def said(texts: t.Sequence[str]) -> tuple[str | None, Numbers] | None:
    """Whose wording for an overflow is among these, and the numbers it carries."""
    for provider, source in (*rules.RULES, *rules.GENERAL):
        for text in texts:
            match = compiled(source).search(text)
            if match and (provider or _overflows(_learned(match))):
                return provider, _numbers(match, text, provider is not None)
    return None


def _numbers(match: re.Match[str], text: str, known: bool) -> Numbers:
    found = _learned(match)
    if "used" in found:
        return found
    # Numbers that a provider's rule has passed over are no tokens.
    start = match.end() if known and not found else max(0, match.start() - NEAR)
    near = text[start : match.end() + NEAR]
    guess = guessed([near])
    return guess if not found or guess.get("limit") == found.get("limit") else found


def guessed(texts: t.Iterable[str]) -> Numbers:
    """The limit and the use in texts of unknown wording, where it is plain which is which."""
    for text in texts:
        values = {_value(each[1]) for each in _TOKENS.finditer(text)}
        values = {value for value in values if value >= LEAST and value not in STATUSES}
        if len(values) == 2:  # What overflows is larger than what it does not fit into.
            return {"limit": min(values), "used": max(values)}
        found = _labelled(text, values)
        if found:
            return found
    return {}


def _labelled(text: str, values: set[int]) -> Numbers:
    used, limit = _first(rules.USED, text), _first(rules.LIMITS, text)
    if len(values) == 1:
        name, value = ("used", used) if used in values else ("limit", limit)
        return {name: value} if value in values and value is not None else {}
    if limit in values and used in values and limit is not None and used is not None:
        return {"limit": limit, "used": used} if used > limit else {}
    return {}


def _first(source: str, text: str) -> int | None:
    match = compiled(source).search(text)
    return next((_value(each) for each in match.groups() if each), None) if match else None


def _overflows(found: Numbers) -> bool:
    """Whether the numbers bear out a wording that might mean something else."""
    return "limit" not in found or "used" not in found or found["used"] > found["limit"]


def _learned(match: re.Match[str]) -> Numbers:
    found = {}
    for name, number in match.groupdict().items():
        if number is not None:
            found[name.partition("_")[0]] = _value(number)
    if "prompt" in found and "used" not in found:
        adds_up = "+" in match[0] and "output" in found
        found["used"] = found["prompt"] + (found["output"] if adds_up else 0)
    return {name: number for name, number in found.items() if number or name == "output"}


def _value(number: str) -> int:
    factor = {"k": 1_000, "m": 1_000_000}.get(number[-1], 1)
    return int(float(number.rstrip("km")) * factor)
