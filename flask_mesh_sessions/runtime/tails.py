"""Following tasks that another process runs: one thread for each task that is listened to."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
import typing as t

import msgspec

from ..errors import StorageUnavailable
from ..gateway.turns import Ledger, LedgerTask
from .bubbles import reply_in
from .settling import Settling
from .stream import Stream
from .timing import Timing

log = logging.getLogger("flask_mesh_sessions.runtime")


class _Tail:
    """One task's stream, copied from the gateway."""

    def __init__(self, task: LedgerTask, stream: Stream) -> None:
        self.task = task
        self.stream = stream
        self.listeners = 0
        self.seen = -1


class Tails:
    """The tasks of other processes that somebody listens to here."""

    def __init__(self, ledger: Ledger, settling: Settling, timing: Timing) -> None:
        self._ledger = ledger
        self._settling = settling
        self._timing = timing
        self._lock = threading.Lock()
        self._tails: dict[int, _Tail] = {}

    @contextlib.contextmanager
    def listen(self, task: LedgerTask) -> t.Iterator[Stream]:
        """The stream of another process's task, as long as the ``with`` block lasts."""
        tail = self._join(task)
        try:
            yield tail.stream
        finally:
            with self._lock:
                tail.listeners -= 1

    def adopt(self, task: LedgerTask, stream: Stream) -> None:
        """Go on filling a stream whose task has been taken over by another process."""
        tail = _Tail(task, Stream())
        tail.listeners = 1

        def copy() -> None:
            self._run(tail)
            if tail.stream.task is not None:
                _replace(stream, tail.stream.text)
                stream.finish(tail.stream.task)

        threading.Thread(target=copy, name="mesh-tail", daemon=True).start()

    def _join(self, task: LedgerTask) -> _Tail:
        with self._lock:
            tail = self._tails.get(task.pk)
            if tail is None:
                tail = self._tails[task.pk] = _Tail(task, Stream())
                tail.listeners = 1
            else:
                tail.listeners += 1
                return tail
        try:
            self._look(tail)  # so that a listener starts with what there is
        except StorageUnavailable:
            log.warning("The task %s cannot be followed yet.", task.task.task_id)
        except Exception:
            log.exception("The task %s cannot be followed yet.", task.task.task_id)
        threading.Thread(target=self._run, args=(tail,), name="mesh-tail", daemon=True).start()
        return tail

    def _run(self, tail: _Tail) -> None:
        while tail.stream.task is None and not self._left(tail):
            time.sleep(self._timing.tail)
            try:
                self._look(tail)
            except StorageUnavailable as error:
                log.warning("The task %s waits: %s", tail.task.task.task_id, error.message)
            except Exception:
                log.exception("The task %s cannot be followed.", tail.task.task.task_id)
        with self._lock:
            if self._tails.get(tail.task.pk) is tail:
                del self._tails[tail.task.pk]

    def _left(self, tail: _Tail) -> bool:
        with self._lock:
            if tail.listeners > 0:
                return False
            if self._tails.get(tail.task.pk) is tail:
                del self._tails[tail.task.pk]
            return True

    def _look(self, tail: _Tail) -> None:
        task = self._ledger.find(tail.task.user_id, tail.task.task.task_id)
        if task is not None and task.expired:
            self._settling.settle(task)
            return
        if task is None:  # its session has been deleted
            tail.stream.finish(msgspec.structs.replace(tail.task.task, status="cancelled"))
        elif not task.live:
            _replace(tail.stream, reply_in(task.task.message_bubbles))
            tail.stream.finish(task.task)
        elif task.task.status == "running":
            tail.stream.start()
            self._copy_pieces(tail)

    def _copy_pieces(self, tail: _Tail) -> None:
        for piece in self._ledger.pieces(tail.task.pk, tail.seen):
            if piece.reset:
                tail.stream.reset()
            tail.stream.emit(piece.text)
            tail.seen = piece.seq


def _replace(stream: Stream, text: str) -> None:
    """Let ``stream`` say ``text``, by adding to it if it can be."""
    if not text.startswith(stream.text):
        stream.reset()
    stream.emit(text[len(stream.text) :])
