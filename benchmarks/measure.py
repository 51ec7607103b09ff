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
    :param each: operations in one round; few, so that what disturbs a round disturbs only
        that one.
    :param history: events in a session that has a history.
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


QUICK = Sizes(rounds=21, writer_rounds=5, turns=10)


@dataclass(frozen=True)
class Times:
    """Seconds for one operation, in every round."""

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


@dataclass(frozen=True)
class Turns:
    """What became of turns that many threads sent at once."""

    sent: int
    #: Acknowledged, but not, or not whole, in the history and in the memory.
    lost: int
    #: In the memory more than once.
    duplicated: int
    #: With a gap, or with another turn's events in between.
    split: int
    #: Refused, or ended without an answer.
    failed: int

    @property
    def sound(self) -> bool:
        """Whether every turn is there, whole and once."""
        return not (self.lost or self.duplicated or self.split or self.failed)


@dataclass(frozen=True)
class Measured:
    """One row of the table.

    :param target: the ratio it has to stay under, if there is one.
    :param turns: what became of the turns, where many were sent at once.
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


def compare(ours: Work, by_hand: Work, rounds: int, each: int) -> Comparison:
    """Time two ways of doing the same, one after the other, again and again.

    :param rounds: how often each is timed, after one round that does not count.
    :param each: operations in one round.
    """
    ways = (ours, by_hand)
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds + 1):
        # Who is first changes with every round: neither always finds the caches warm.
        for which in (number % 2, 1 - number % 2):
            times[which].append(_seconds(ways[which], each))
    return Comparison(*(Times(tuple(found[1:])).per(each) for found in times))


def _seconds(work: Work, each: int) -> float:
    began = time.perf_counter()
    for _ in range(each):
        work()
    return time.perf_counter() - began
