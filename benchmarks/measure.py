"""Timing two ways of doing the same work, in turns, so that noise meets both alike."""

from __future__ import annotations

import statistics
import time
import typing as t
from dataclasses import dataclass

Work = t.Callable[[], object]


@dataclass(frozen=True)
class Sizes:
    """How much is measured.

    :param rounds: how often each of two ways is timed.
    :param each: operations in one round; few, so that what disturbs one round of both ways
        leaves most of them alone.
    :param history: events behind a session that "has a history".
    :param contexts: sizes of live contexts, in events.
    :param pasts: events behind a compaction.
    :param sessions: how many sessions the list is a page of.
    :param writers: threads that send at once.
    :param writer_rounds: how often each of two ways is timed with many writers.
    :param turns: turns each of them sends in one round.
    """

    rounds: int = 101
    each: int = 5
    history: int = 2_000
    contexts: tuple[int, ...] = (100, 1_000, 10_000)
    pasts: tuple[int, ...] = (100, 10_000)
    sessions: int = 10_000
    writers: int = 8
    writer_rounds: int = 15
    turns: int = 20


QUICK = Sizes(rounds=21, writer_rounds=3, turns=10)


@dataclass(frozen=True)
class Times:
    """Seconds for one operation, of every round."""

    seconds: tuple[float, ...]

    @property
    def least(self) -> float:
        """The quickest round's, in milliseconds."""
        return min(self.seconds) * 1000

    @property
    def median(self) -> float:
        """The middle round's, in milliseconds."""
        return statistics.median(self.seconds) * 1000

    def per(self, count: int) -> Times:
        """The times of one of ``count`` operations that were timed together."""
        return Times(tuple(seconds / count for seconds in self.seconds))


@dataclass(frozen=True)
class Comparison:
    """The same work done by the extension and by hand."""

    ours: Times
    by_hand: Times

    @property
    def ratio(self) -> float:
        """How many times as long the extension takes: the median of the rounds' ratios."""
        pairs = zip(self.ours.seconds, self.by_hand.seconds, strict=True)
        return statistics.median(ours / by_hand for ours, by_hand in pairs)

    def per(self, count: int) -> Comparison:
        """The times of one of ``count`` operations that were timed together."""
        return Comparison(self.ours.per(count), self.by_hand.per(count))


def compare(ours: Work, by_hand: Work, rounds: int, each: int) -> Comparison:
    """Time two ways of doing the same, one after the other, again and again.

    :param rounds: how often each is timed, after one round that is not.
    :param each: operations in one round.
    """
    _seconds(ours, each)
    _seconds(by_hand, each)
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds):
        # Who is first changes with every round: neither always finds the caches warm.
        for which in (number % 2, 1 - number % 2):
            times[which].append(_seconds((ours, by_hand)[which], each) / each)
    return Comparison(Times(tuple(times[0])), Times(tuple(times[1])))


def _seconds(work: Work, each: int) -> float:
    began = time.perf_counter()
    for _ in range(each):
        work()
    return time.perf_counter() - began


@dataclass(frozen=True)
class Measured:
    """One row of the table.

    :param target: the ratio this has to stay under, if there is one.
    :param turns: what became of the turns that were sent, if that was looked at.
    """

    database: str
    operation: str
    comparison: Comparison
    target: float | None = None
    turns: Turns | None = None

    @property
    def met(self) -> bool | None:
        """Whether the target is met; ``None`` without one."""
        return None if self.target is None else self.comparison.ratio < self.target


@dataclass(frozen=True)
class Turns:
    """What became of turns that many threads sent at once."""

    sent: int = 0
    #: Acknowledged, but not, or not whole, in the history and in the memory.
    lost: int = 0
    #: Ran more than once.
    duplicated: int = 0
    #: With a gap, or with another turn's events in between.
    split: int = 0
    #: Ended in an error.
    failed: int = 0

    def __add__(self, other: Turns) -> Turns:
        return Turns(*(getattr(self, name) + getattr(other, name) for name in vars(self)))

    @property
    def sound(self) -> bool:
        """Whether every turn is whole and there once."""
        return not (self.lost or self.duplicated or self.split or self.failed)
