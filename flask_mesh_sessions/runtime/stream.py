"""The answer of a turn while it is being made, for any number of listeners.

A position counts the characters streamed so far, dropped ones included, and each time
they were dropped: it only grows, and says all there is to know of what was heard. Listeners
keep no queue: each remembers its position and reads on from there.
"""

from __future__ import annotations

import bisect
import itertools
import threading
import typing as t
from dataclasses import dataclass

from ..gateway.records import ChatTask
from ..gateway.turns import Piece


@dataclass(frozen=True)
class Delta:
    """More text, and the position behind it."""

    text: str
    position: int


@dataclass(frozen=True)
class Reset:
    """What was streamed so far is dropped."""

    position: int


@dataclass(frozen=True)
class Done:
    """The turn has ended."""

    task: ChatTask


Step = Delta | Reset | Done | None


class Stream:
    """Text that grows, and then the finished task."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._starts: list[int] = []
        self._texts: list[str] = []
        self._resets: set[int] = set()
        self._base = 0
        self._end = 0
        self._started = False
        self._task: ChatTask | None = None

    @property
    def task(self) -> ChatTask | None:
        """The finished task, once there is one."""
        return self._task

    @property
    def text(self) -> str:
        """What has been streamed since the last reset."""
        with self._changed:
            return self._after(self._base)

    def snapshot(self) -> tuple[int, str]:
        """The position, and what has been streamed since the last reset."""
        with self._changed:
            return self._end, self._after(self._base)

    @property
    def position(self) -> int:
        """How much has been streamed, dropped text included."""
        return self._end

    @property
    def base(self) -> int:
        """The position of the last reset."""
        return self._base

    def start(self) -> None:
        """Say that the turn is running."""
        with self._changed:
            self._started = True
            self._changed.notify_all()

    def emit(self, text: str) -> None:
        """Add text."""
        if not text:
            return
        with self._changed:
            if self._task is not None:
                return
            self._starts.append(self._end)
            self._texts.append(text)
            self._end += len(text)
            self._changed.notify_all()

    def reset(self) -> None:
        """Drop what was streamed so far."""
        with self._changed:
            self._resets.add(len(self._starts))
            self._starts.append(self._end)
            self._texts.append("")
            self._end += 1
            self._base = self._end
            self._changed.notify_all()

    def finish(self, task: ChatTask) -> None:
        """End the stream. What is emitted afterwards is dropped."""
        with self._changed:
            if self._task is None:
                self._task = task
            self._changed.notify_all()

    def wait_started(self, timeout: float) -> bool:
        """Wait until the turn runs or has ended.

        :return: False if it still waits after ``timeout`` seconds.
        """
        with self._changed:
            return self._changed.wait_for(
                lambda: self._started or self._end > 0 or self._task is not None, timeout
            )

    def wait(self, timeout: float | None = None) -> ChatTask | None:
        """Wait for the finished task, for at most ``timeout`` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._task is not None, timeout)
            return self._task

    def follow(self, position: int, keep_alive: float) -> t.Iterator[Step]:
        """What comes behind ``position``, ending with :class:`Done`.

        ``None`` is a sign of life, given when nothing has come for ``keep_alive`` seconds.
        """
        while True:
            step = self._next(position, keep_alive)
            yield step
            if isinstance(step, Done):
                return
            if step is not None:
                position = step.position

    def _next(self, position: int, timeout: float) -> Step:
        with self._changed:
            self._changed.wait_for(
                lambda: self._end > position or self._base > position or self._task is not None,
                timeout,
            )
            if self._base > position:
                return Reset(self._base)
            if self._end > position:
                return Delta(self._after(position), self._end)
            return Done(self._task) if self._task is not None else None

    def _after(self, position: int) -> str:
        first = bisect.bisect_right(self._starts, position) - 1
        if first < 0:
            return "".join(self._texts)
        skipped = position - self._starts[first]
        return "".join([self._texts[first][skipped:], *self._texts[first + 1 :]])

    def pieces(self, after: int) -> list[Piece]:
        """What has been streamed behind piece number ``after``, as few pieces as possible."""
        with self._changed:
            first, count = after + 1, len(self._starts)
            cuts = [number for number in range(first + 1, count) if number in self._resets]
            bounds = [first, *cuts, count] if first < count else []
            return [self._piece(*pair) for pair in itertools.pairwise(bounds)]

    def _piece(self, first: int, end: int) -> Piece:
        text = "".join(self._texts[first:end])
        return Piece(end - 1, self._starts[first], text, first in self._resets)
