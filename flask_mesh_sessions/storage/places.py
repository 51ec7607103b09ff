"""Letting only so many threads in at a time."""

from __future__ import annotations

import contextlib
import queue
import typing as t


class Places:
    """So many threads are inside at a time; another waits a little, then goes in all the same.

    :param count: how many.
    :param patience: how long another waits for one of them to leave, in seconds.
    """

    def __init__(self, count: int, patience: float) -> None:
        self._count = count
        self._patience = patience
        self.renew()

    def renew(self) -> None:
        """Say that nobody is inside: in a forked child those who are will never leave."""
        self._free: queue.SimpleQueue[None] = queue.SimpleQueue()
        for _ in range(self._count):
            self._free.put(None)

    @contextlib.contextmanager
    def place(self) -> t.Iterator[None]:
        """Be inside for the length of a ``with`` block."""
        free = self._free
        try:
            free.get(timeout=self._patience)
        except queue.Empty:
            yield
            return
        try:
            yield
        finally:
            free.put(None)
