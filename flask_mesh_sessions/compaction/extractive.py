"""A summary made without a model, of sentences taken from the conversation as they stand.

Each sentence is weighed by what it carries (numbers, names and ids, decisions, requests,
preferences), by who said it, and by how late. What was corrected later goes first, and
the lines of the previous summary compete with the new sentences for the same room.
"""

from __future__ import annotations

import math
import re
import typing as t
from dataclasses import dataclass

from . import sentences
from .blocks import Block, shortened
from .literals import found
from .tokens_estimate import estimate

HEADER = (
    "Extract of the earlier conversation: sentences chosen by a program and quoted as they "
    "were; what lay between them is left out."
)

#: A longer sentence is shortened in its middle.
SENTENCE_CHARACTERS = 400
#: How much of the sentence before is quoted with one that says little without it.
CONTEXT_CHARACTERS = 120

_SPEAKER_WEIGHT = {"User": 1.6, "Agent": 0.7, "Tool": 0.3, "": 1.5}
_LINE = re.compile(r"- (?:(User|Agent|Tool): )?(.*?)(?: \(said after: “(.*)”\))?")
#: How many earlier sentences on a subject a correction is compared with.
_LOOK_BACK = 20
#: Above this share of subject in common, two sentences speak of the same thing.
_SAME_SUBJECT = 0.6


@dataclass
class _Candidate:
    speaker: str
    text: str
    order: int
    topic: frozenset[str]
    literals: frozenset[str]
    #: What kinds of literals those are.
    kinds: frozenset[str]
    #: What was said just before, quoted where the text says little without it.
    context: str
    corrects: bool
    stale: bool = False

    @property
    def line(self) -> str:
        line = f"- {self.speaker}: {self.text}" if self.speaker else f"- {self.text}"
        return f"{line} (said after: “{self.context}”)" if self.context else line


def summarise(said: t.Sequence[Block], budget_tokens: int, previous: str = "") -> str:
    """The most telling sentences of a conversation, in the order they were said.

    :param said: the conversation.
    :param budget_tokens: how many tokens the summary may have.
    :param previous: the summary of what came before, which this one replaces.
    :returns: the summary, which says what it is; "" if nothing fits or nothing was said.
    """
    candidates = _distinct([*_of_summary(previous), *_of_blocks(said)])
    _mark_stale(candidates)
    room = budget_tokens - estimate(HEADER) - 1
    chosen = _chosen([c for c in candidates if not c.stale], room)
    if not chosen:
        return ""
    return "\n".join([HEADER, *(c.line for c in sorted(chosen, key=lambda c: c.order))])


def _candidate(speaker: str, text: str, context: str = "") -> _Candidate:
    text = shortened(text, SENTENCE_CHARACTERS)
    values = list(found(text))
    literals = frozenset(value.text for value in values)
    kinds = frozenset(value.kind for value in values)
    corrects = sentences.corrects(text)
    return _Candidate(speaker, text, 0, sentences.topic(text), literals, kinds, context, corrects)


def _of_summary(previous: str) -> t.Iterator[_Candidate]:
    """The lines of an earlier summary, an extract or not."""
    for line in previous.splitlines():
        if not line.strip() or line == HEADER:
            continue
        extracted = _LINE.fullmatch(line)
        if extracted:
            yield _candidate(extracted[1] or "", extracted[2], extracted[3] or "")
        else:
            yield from (_candidate("", s) for s in sentences.sentences(line))


def _of_blocks(said: t.Sequence[Block]) -> t.Iterator[_Candidate]:
    before = ""
    for block in said:
        last = ""
        for last in sentences.sentences(block.text):
            context = before if block.speaker == "User" and _says_little(last) else ""
            yield _candidate(block.speaker, last, shortened(context, CONTEXT_CHARACTERS))
        if block.speaker != "Tool":
            before = last


def _says_little(sentence: str) -> bool:
    """Whether it answers or corrects what was said before and is nothing by itself."""
    if len(sentence) > 60:
        return False
    values = frozenset(literal.text for literal in found(sentence))
    subject = sentences.topic(sentence) - _words_of(values)
    return len(subject) <= 1 and (bool(values) or sentences.corrects(sentence))


def _distinct(candidates: list[_Candidate]) -> list[_Candidate]:
    """The candidates, numbered; of those that say the same, the last."""
    last = {c.text.casefold(): c for c in candidates}
    kept = [c for c in candidates if last[c.text.casefold()] is c]
    for order, candidate in enumerate(kept):
        candidate.order = order
    return kept


def _mark_stale(candidates: list[_Candidate]) -> None:
    """Mark what a later sentence on the same subject gives another value for."""
    about: dict[str, list[_Candidate]] = {}
    for later in candidates:
        if later.literals and later.speaker != "Tool":
            for earlier in _on_its_subject(later, about):
                earlier.stale = earlier.stale or _replaces(later, earlier)
            for word in later.topic:
                about.setdefault(word, []).append(later)


def _on_its_subject(
    later: _Candidate, about: dict[str, list[_Candidate]]
) -> t.Iterable[_Candidate]:
    rarest = sorted((word for word in later.topic if word in about), key=lambda w: len(about[w]))
    near = {c.order: c for word in rarest[:3] for c in about[word][-_LOOK_BACK:]}
    return near.values()


def _replaces(later: _Candidate, earlier: _Candidate) -> bool:
    if earlier.speaker == "User" and later.speaker != "User":
        return False
    if not later.literals - earlier.literals or not later.kinds & earlier.kinds:
        return False
    subject = earlier.topic - _words_of(earlier.literals)
    if later.corrects:
        return len(subject & later.topic) >= max(1, _SAME_SUBJECT * len(subject))
    same = bool(subject) and subject == later.topic - _words_of(later.literals)
    return same and _is_statement(later) and _is_statement(earlier)


def _is_statement(candidate: _Candidate) -> bool:
    """Whether it ends in its one value: two orders of chairs are both to be kept."""
    values = candidate.literals
    return len(values) == 1 and candidate.text.rstrip(".!。！।").endswith(tuple(values))


def _words_of(literals: frozenset[str]) -> frozenset[str]:
    return sentences.topic(" ".join(literals))


def _chosen(candidates: list[_Candidate], room: int) -> list[_Candidate]:
    """The best that fit, by what they carry for their length."""
    rarity = _rarity(candidates)
    costs = {c.order: estimate(c.line) + 1 for c in candidates}
    worth = {c.order: _worth(c, rarity, len(candidates)) for c in candidates}
    order = sorted(
        candidates, key=lambda c: (-worth[c.order] / math.sqrt(costs[c.order] + 10), -c.order)
    )
    chosen = []
    for candidate in order:
        cost = costs[candidate.order]
        if cost <= room and worth[candidate.order] > 0:
            chosen.append(candidate)
            room -= cost
    return chosen


def _rarity(candidates: list[_Candidate]) -> dict[str, float]:
    """How much each word tells: one that is everywhere tells nothing."""
    seen: dict[str, int] = {}
    for candidate in candidates:
        for word in candidate.topic:
            seen[word] = seen.get(word, 0) + 1
    total = len(candidates) + 1
    return {word: math.log(total / count) / math.log(total + 1) for word, count in seen.items()}


def _worth(candidate: _Candidate, rarity: dict[str, float], total: int) -> float:
    text = candidate.text
    telling = sorted((rarity[word] for word in candidate.topic), reverse=True)[:8]
    facts = min(len(candidate.literals), 4) + 0.5 * min(sentences.names(text), 3)
    worth = 0.2 * sum(telling) + facts
    if candidate.corrects or sentences.commits(text):
        worth += 1.5
    if candidate.speaker == "User" and sentences.asks(text):
        worth += 0.5 if candidate.order * 10 >= total * 9 else -0.5
    return worth * _SPEAKER_WEIGHT[candidate.speaker] * (1 + 0.15 * candidate.order / total)
