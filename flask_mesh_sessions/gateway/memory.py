"""The ledger of a gateway without a database: this process's memory, bounded.

Sessions are not stored at all: any well-formed id under a user's id is that user's.
"""

from __future__ import annotations

import itertools
import threading
import typing as t
from collections import OrderedDict
from dataclasses import replace

import msgspec

from ..clock import now
from ..errors import Conflict, TaskNotFound, TooManyWaiting
from .records import ChatTask
from .turns import (
    Accepted,
    LedgerTask,
    NewTask,
    Outcome,
    Piece,
    Resolve,
    check_same,
    ended,
    new_chat_task,
)

ENDED_TASKS = 1000


class MemoryLedger:
    """The ledger in this process's memory.

    :param keep: how many tasks that have ended are kept, the newest.
    """

    def __init__(self, keep: int = ENDED_TASKS) -> None:
        self._keep = keep
        self._lock = threading.RLock()
        self._numbers = itertools.count(1)
        self._tasks: OrderedDict[int, LedgerTask] = OrderedDict()
        self._by_id: dict[tuple[str, str], int] = {}

    def accept(self, new: NewTask, resolve: Resolve, max_waiting: int) -> Accepted:
        """Take a task in.

        :raises Conflict: if the task id was used for something else, or what is to be
            retried is not the session's last task or has not ended.
        :raises TooManyWaiting: if the queue is full.
        """
        with self._lock:
            known = self.find(new.user_id, new.task_id)
            if known is not None:
                check_same(known, new)
                return Accepted(known, fresh=False, queued=True)
            mine = self._of_session(new.user_id, new.session_id)
            live = [task for task in mine if task.live]
            if sum(task.task.status == "waiting" for task in live) >= max_waiting:
                raise TooManyWaiting(f"{max_waiting} messages of this session are waiting already.")
            if new.retry_of is not None:
                _check_retry(mine, new.retry_of)
            agent = resolve(new.agent, mine[0].task.agent if mine else None)
            task = self._store(new, agent)
            return Accepted(task, fresh=True, queued=bool(live))

    def _store(self, new: NewTask, agent: str) -> LedgerTask:
        moment = now()
        task = LedgerTask(
            pk=next(self._numbers),
            user_id=new.user_id,
            task=new_chat_task(new, agent, moment),
            runner=new.runner,
            runs_until=moment + new.ttl_ms,
            cancel_requested=False,
            expired=False,
        )
        self._tasks[task.pk] = task
        self._by_id[new.user_id, new.task_id] = task.pk
        return task

    def start(self, pk: int, runner: str, ttl_ms: int) -> bool:
        """Turn a waiting task into a running one, unless it is to be cancelled."""
        with self._lock:
            task = self._tasks.get(pk)
            if task is None or not task.live or task.cancel_requested:
                return False
            self._tasks[pk] = replace(task, task=_with_status(task.task, "running"))
            return True

    def renew(self, pks: t.Collection[int], runner: str, ttl_ms: int) -> None:
        """Nothing to do: a task cannot outlive its process here."""

    def cancelled(self, pks: t.Collection[int]) -> set[int]:
        """Which of these tasks are to be cancelled."""
        with self._lock:
            return {pk for pk in pks if pk in self._tasks and self._tasks[pk].cancel_requested}

    def request_cancel(self, pk: int) -> None:
        """Ask for a task to be cancelled."""
        with self._lock:
            task = self._tasks.get(pk)
            if task is not None and task.live:
                self._tasks[pk] = replace(task, cancel_requested=True)

    def flush(self, pk: int, runner: str, pieces: t.Sequence[Piece]) -> bool:
        """Nothing to do: every listener is in this process."""
        return True

    def finish(
        self, task: LedgerTask, runner: str, outcome: Outcome, streamed: bool
    ) -> ChatTask | None:
        """End a task.

        :return: the task as it now stands, or ``None`` if it had ended.
        """
        with self._lock:
            current = self._tasks.get(task.pk)
            if current is None or not current.live:
                return None
            done = ended(current.task, outcome, now())
            self._tasks[task.pk] = replace(current, task=done, runs_until=None)
            self._tasks.move_to_end(task.pk)
            self._forget_oldest()
            return done

    def settle(self, task: LedgerTask, outcome: Outcome) -> bool:
        """End a task whose runner is gone."""
        return self.finish(task, "", outcome, streamed=False) is not None

    def find(self, user_id: str, task_id: str) -> LedgerTask | None:
        """The user's task of this id."""
        with self._lock:
            return self._tasks.get(self._by_id.get((user_id, task_id), 0))

    def ahead(self, task: LedgerTask) -> list[LedgerTask]:
        """The tasks of the same session and agent accepted earlier that have not ended."""
        with self._lock:
            return [
                other
                for other in self._of_session(task.user_id, task.task.session_id)
                if other.live and other.task.agent == task.task.agent and other.pk < task.pk
            ]

    def expired(self, limit: int) -> list[LedgerTask]:
        """None: a task cannot outlive its process here."""
        return []

    def pieces(self, pk: int, after: int) -> list[Piece]:
        """None: every listener is in this process."""
        return []

    def has_session(self, user_id: str, session_id: str) -> bool:
        """Any session id is the user's own."""
        return True

    def _of_session(self, user_id: str, session_id: str) -> list[LedgerTask]:
        return [
            task
            for task in self._tasks.values()
            if task.user_id == user_id and task.task.session_id == session_id
        ]

    def _forget_oldest(self) -> None:
        surplus = len(self._tasks) - self._keep
        if surplus <= 0:
            return
        done = [task for task in self._tasks.values() if not task.live]
        for task in done[:surplus]:
            del self._tasks[task.pk]
            del self._by_id[task.user_id, task.task.task_id]


def _check_retry(mine: list[LedgerTask], retry_of: str) -> None:
    known = [task for task in mine if task.task.task_id == retry_of]
    if not known:
        raise TaskNotFound
    if known[0].pk != max(task.pk for task in mine):
        raise Conflict("Only the last message of a session can be retried.")
    if known[0].live:
        raise Conflict("This message is still being answered.")


def _with_status(task: ChatTask, status: t.Literal["running"]) -> ChatTask:
    return msgspec.structs.replace(task, status=status)
