"""What a summary must not paraphrase: ids, paths, URLs, numbers, dates and the like."""

from __future__ import annotations

import re
import typing as t

from .tokens_estimate import estimate

#: A longer literal is not one anybody has to quote.
LITERAL_CHARACTERS = 200

#: Each kind, how much is lost with one, and what it looks like. The first that fits counts.
_KINDS: tuple[tuple[str, int, str], ...] = (
    ("url", 5, r"\b[a-z][a-z0-9+.-]{1,15}://[^\s<>\"'`\]|]+"),
    ("email", 6, r"\b[\w.+-]{1,64}@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+"),
    ("uuid", 6, r"\b[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\b"),
    ("date", 6,
     r"\b\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?"
     r"(?:Z|[+-]\d{2}:?\d{2})?)?"),
    ("date", 6, r"\b\d{1,2}[./]\d{1,2}[./]\d{4}\b"
     r"|\d{4}年\d{1,2}月(?:\d{1,2}日)?|\d{1,2}月\d{1,2}日"),
    ("quoted", 4, r"`[^`\n]{1,120}`"),
    ("path", 5,
     r"(?:(?<![\w./~-])[A-Za-z]:\\|(?<!\\)\\\\)[\w.\\-]{0,200}[\w-]|(?<![\w./~-])(?:~"
     r"|\.{1,2})?/[\w.@+-]+(?:/[\w.@+-]*)*"),
    ("path", 5, r"(?<![\w./~@+-])[\w@+-]{1,100}(?:/[\w.@+-]+)+(?<=\w)\.?[A-Za-z0-9]*"),
    ("address", 5, r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d{1,5}|/\d{1,2})?\b"),
    ("version", 4, r"\bv?\d+(?:\.\d+){2,}(?:-?[A-Za-z]\w*)?\b"),
    ("id", 6,
     r"(?<!\w)#\d+\b|\b[A-Z][A-Z0-9]{1,9}-\d+\b|\b(?=[A-Za-z_-]{0,64}\d)[A-Za-z]+"
     r"(?:[_-][A-Za-z0-9]+)+\b"),
    ("hash", 5, r"\b(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{7,64}\b"),
    ("id", 5,
     r"\b(?=[A-Z]*\d)[A-Z0-9]{5,32}\b(?<!\d{5})|\b(?=[A-Za-z]{0,20}\d)"
     r"(?=\d{0,20}[A-Za-z])[A-Za-z0-9]{10,64}\b"),
    ("file", 4,
     r"\b[\w-]{1,80}\.(?:py|js|tsx?|json|ya?ml|toml|md|txt|csv|sql|html?|css|sh|rs|go"
     r"|java|pdf|docx?|xlsx?|png|jpe?g|log|ini|cfg|env|xml|zip|gz|lock)\b"),
    ("time", 4, r"\b\d{1,2}:\d{2}(?::\d{2})?\b"),
    ("code", 3,
     r"\b[A-Za-z]\w{0,60}(?:\.[A-Za-z_]\w{0,60}){0,6}\(\)|\b[a-z]+(?:_[a-z0-9]+)+\b"
     r"|\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b|\b[a-z]+(?:[A-Z][a-z0-9]+)+\b"),
    ("number", 4, r"[$€£¥₹]\s?\d(?:[\d.,]*\d)?"
     r"|(?<![A-Za-z0-9_.])[+-]?\d(?:[\d.,'\u202f]*\d)?(?:\s?(?:%|°[CF]?|[€$£¥₹]|(?:[kKMGT]i?B|[kMG]?Hz"
     r"|[munµ]?s|min|[hdkMm]|[mkµ]?g|[kcm]m|km/h|mi|ft|px|[mk]?W|[mk]?V|EUR|USD|GBP|CHF)\b))?"),
    ("quoted", 3, r"[“„«「『][^”“»」』\n]{2,60}[”“»」』]|(?<!\w)\"[^\"\n]{2,60}\"(?!\w)"),
)  # fmt: skip

_PATTERN = re.compile("|".join(f"(?P<k{n}>{shape})" for n, (_, _, shape) in enumerate(_KINDS)))
_TRAILING = ".,;:!?)]}'\"”’»。、，；：！？）】"


class Literal(t.NamedTuple):
    """A piece of text that stands for itself."""

    text: str
    kind: str
    weight: int


def found(text: str) -> t.Iterator[Literal]:
    """Every literal of ``text``, in order, as often as it stands there."""
    for match in _PATTERN.finditer(text):
        kind, weight, _ = _KINDS[int((match.lastgroup or "k0")[1:])]
        literal = match.group().strip('`"“„«「『').rstrip(_TRAILING)
        if literal and len(literal) <= LITERAL_CHARACTERS:
            yield Literal(literal, kind, weight if len(literal) > 1 else 1)


def literals(text: str) -> tuple[str, ...]:
    """The distinct literals of ``text``, in the order they are first met."""
    return tuple(dict.fromkeys(literal.text for literal in found(text)))


def missing(
    removed_text: str, summary: str, *, max_count: int = 40, max_tokens: int = 200
) -> tuple[str, ...]:
    """The literals of ``removed_text`` that ``summary`` lacks, what matters most first.

    What matters is what kind it is, how often it was said, and how late.

    :param removed_text: what the summary stands for; what was said last comes last.
    :param max_count: how many at most.
    :param max_tokens: how many tokens they may take together, separators included.
    """
    kept = frozenset(literals(summary))
    weights: dict[str, float] = {}
    for at, literal in enumerate(found(removed_text)):
        first = literal.weight * 1e6
        weights[literal.text] = max(weights.get(literal.text, first) + 1e5, first) + at / 1e3
    order = sorted(weights, key=lambda text: -weights[text])
    absent = (text for text in order if not _stands_in(text, summary, kept))
    return _bounded(absent, max_count, max_tokens)


def _stands_in(literal: str, summary: str, kept: frozenset[str]) -> bool:
    # A short one may stand inside another: 5 in 2500.
    return literal in kept or (len(literal) >= 6 and literal in summary)


def _bounded(candidates: t.Iterable[str], count: int, tokens: int) -> tuple[str, ...]:
    chosen: list[str] = []
    for literal in candidates:
        cost = estimate(literal) + 1
        if len(chosen) == count or tokens < 2:
            break
        if cost <= tokens:
            chosen.append(literal)
            tokens -= cost
    return tuple(chosen)
