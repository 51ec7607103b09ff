"""Which part of a conversation a summary is to stand for: a pure function."""

from __future__ import annotations

import itertools
import typing as t
from dataclasses import dataclass
from fractions import Fraction

from ..agents.log import Event
from .tokens import event_tokens

Reason = t.Literal["empty", "too_little_history", "tool_results_outstanding"]

_DETAILS: dict[Reason, str] = {
    "empty": "There is nothing to compact: the conversation is empty.",
    "too_little_history": (
        "There is too little history to compact: the last turn always stays as it is, "
        "and no turn comes before it."
    ),
    "tool_results_outstanding": (
        "There is nothing to compact: tool calls of the earlier turns have their results in "
        "the last turn, which always stays as it is."
    ),
}


@dataclass(frozen=True)
class Plan:
    """What goes and what stays; token counts are of the live context alone."""

    removed: t.Sequence[Event]
    kept: t.Sequence[Event]
    #: How many turns go.
    turns: int
    tokens_before: int
    #: Of what stays; what a new summary takes comes on top.
    tokens_kept: int

    @property
    def through_seq(self) -> int:
        """The last event the summary is to stand for."""
        return self.removed[-1].seq

    @property
    def tokens_removed(self) -> int:
        """Of what goes, the previous summary included."""
        return self.tokens_before - self.tokens_kept


@dataclass(frozen=True)
class Refusal:
    """Why nothing can be compacted."""

    reason: Reason

    @property
    def detail(self) -> str:
        """The reason as a sentence."""
        return _DETAILS[self.reason]


def plan(
    events: t.Sequence[Event],
    percentage: float,
    *,
    previous_tokens: int = 0,
    tokens: t.Callable[[Event], int] = event_tokens,
) -> Plan | Refusal:
    """Choose where to cut a live context.

    A cut stands before a user message that begins a turn, and never between a tool call
    and its result, whichever turn that came in; a call without a result pins nothing.
    Of the cuts that are left it is the one that removes the share of the tokens nearest
    to ``percentage``, and of two that are as near the smaller.

    :param events: the live events, in order.
    :param percentage: the share of the live tokens to remove, above 0 and at most 1;
        1 removes all that can be removed.
    :param previous_tokens: of the summary in force, which any compaction replaces.
    :param tokens: what one event costs.
    :raises ValueError: if ``percentage`` is out of range.
    """
    if not 0 < percentage <= 1:
        raise ValueError(f"percentage must be above 0 and at most 1, got {percentage!r}")
    starts = _turn_starts(events)
    cuts = _whole(events, starts)
    if not cuts:
        return Refusal(_reason(events, starts))
    sums = list(itertools.accumulate(map(tokens, events), initial=previous_tokens))
    cut = _nearest(cuts, sums, percentage)
    turns = 1 + sum(start < cut for start in starts)
    return Plan(events[:cut], events[cut:], turns, sums[-1], sums[-1] - sums[cut])


def next_percentage(percentage: float, attempt: int, attempts: int = 3) -> float:
    """The share one of several attempts is to remove: each more, the last all.

    :param percentage: the share of the first.
    :param attempt: 1 for the first.
    :param attempts: how many there are.
    """
    if attempt >= attempts:
        return 1.0
    return percentage + (1 - percentage) * (attempt - 1) / (attempts - 1)


def _reason(events: t.Sequence[Event], starts: list[int]) -> Reason:
    if not events:
        return "empty"
    return "tool_results_outstanding" if starts else "too_little_history"


def _turn_starts(events: t.Sequence[Event]) -> list[int]:
    """Where a turn begins with the user's message, the first event apart."""
    return [
        at
        for at, (before, event) in enumerate(itertools.pairwise(events), 1)
        if event.kind == "user" and event.turn != before.turn
    ]


def _whole(events: t.Sequence[Event], starts: list[int]) -> list[int]:
    """Those of ``starts`` that no tool call stands before whose result stands after."""
    called: dict[str | None, int] = {}
    depth = [0] * (len(events) + 1)
    for at, event in enumerate(events):
        if event.kind == "tool_call":
            called[event.call_id] = at
        elif event.kind == "tool_result" and event.call_id in called:
            depth[called[event.call_id] + 1] += 1
            depth[at + 1] -= 1
    spanned = list(itertools.accumulate(depth))
    return [at for at in starts if not spanned[at]]


def _nearest(cuts: list[int], sums: list[int], percentage: float) -> int:
    # As a decimal fraction: a tie must not be decided by how 0.1 is held in binary.
    target = Fraction(str(percentage)) * sums[-1]
    return min(cuts, key=lambda cut: (abs(sums[cut] - target), cut))
