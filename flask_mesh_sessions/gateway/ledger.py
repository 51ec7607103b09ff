"""A turn's life in the gateway: accepted, running, ended.

Every write of a running turn is conditional on its runner, so that a process that was
taken for dead cannot write over what has been settled since.
"""

from __future__ import annotations

import typing as t

import sqlalchemy as sa

from ..clock import now
from ..errors import Conflict, SessionNotFound, TooManyWaiting
from ..storage.database import Database
from ..storage.schema import now_ms
from ..storage.statement import Statement
from .history import task_search_text
from .ledger_statements import (
    AHEAD,
    DROP_PIECES,
    FIND,
    FINISH,
    HAS_SESSION,
    INSERT_TASK,
    LEDGER,
    NAME_AGENT,
    QUEUE,
    SETTLE,
    START,
    TOUCH,
)
from .records import LIVE, ChatTask
from .rows import chat_task
from .tables import chat_task_parts as parts
from .tables import chat_tasks as tasks
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


class SqlLedger:
    """The ledger in the gateway's database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def accept(self, new: NewTask, resolve: Resolve, max_waiting: int) -> Accepted:
        """Store a task as waiting. After this nothing can forget it.

        :param resolve: says which agent answers, given the one asked for and the session's.
        :param max_waiting: how many tasks of the session may be waiting already.
        :raises SessionNotFound: if the user has no such session.
        :raises Conflict: if the task id was used for something else, or what is to be
            retried is not the session's last task or has not ended.
        :raises TooManyWaiting: if the queue is full; nothing is stored.
        """

        def work(connection: sa.Connection) -> Accepted:
            return _accept(connection, new, resolve, max_waiting)

        def written(connection: sa.Connection) -> Accepted | None:
            found = _find(connection, new.user_id, new.task_id)
            return Accepted(found, found.runner == new.runner, True) if found else None

        try:
            return self._database.write(work, written)
        except (sa.exc.IntegrityError, Conflict, TooManyWaiting) as refused:
            known = self.find(new.user_id, new.task_id)
            if known is not None:
                check_same(known, new)
                return Accepted(known, fresh=False, queued=True)
            if isinstance(refused, sa.exc.IntegrityError):  # it is in a deleted session
                raise Conflict("This taskId was used for another message.") from None
            raise

    def start(self, pk: int, runner: str, ttl_ms: int) -> bool:
        """Turn a waiting task into a running one. Doing it again does no harm.

        :return: False if it is not this runner's any more, or is to be cancelled.
        """
        mine = {"key": pk, "known_runner": runner, "ttl_ms": ttl_ms}

        def written(connection: sa.Connection) -> bool | None:
            found = sa.select(tasks.c.status, tasks.c.runner).where(tasks.c.pk == pk)
            row = connection.execute(found).one()
            return True if row.status == "running" and row.runner == runner else None

        return self._database.write(lambda c: START(c, mine).rowcount == 1, written)

    def renew(self, pks: t.Collection[int], runner: str, ttl_ms: int) -> None:
        """Say that these tasks are still in hand."""
        statement = (
            sa.update(tasks)
            .where(tasks.c.pk.in_(pks), tasks.c.runner == runner, tasks.c.runs_until.is_not(None))
            .values(runs_until=now_ms() + ttl_ms)
        )
        self._database.write(lambda c: c.execute(statement), lambda c: None)

    def cancelled(self, pks: t.Collection[int]) -> set[int]:
        """Which of these tasks are to be cancelled."""
        statement = sa.select(tasks.c.pk).where(
            tasks.c.pk.in_(pks), tasks.c.cancel_requested.is_(sa.true())
        )
        return set(self._database.read(lambda c: c.execute(statement).scalars().all()))

    def request_cancel(self, pk: int) -> None:
        """Ask a task's runner to cancel it."""
        statement = (
            sa.update(tasks)
            .where(tasks.c.pk == pk, tasks.c.runs_until.is_not(None))
            .values(cancel_requested=True)
        )
        self._database.write(lambda c: c.execute(statement), lambda c: None)

    def flush(self, pk: int, runner: str, pieces: t.Sequence[Piece]) -> bool:
        """Store streamed pieces for listeners in other processes.

        :return: False if the task is not this runner's any more.
        """
        owned = (
            sa.select(tasks.c.pk)
            .where(tasks.c.pk == pk, tasks.c.status == "running", tasks.c.runner == runner)
            .with_for_update()
        )
        rows = [
            {"task_pk": pk, "seq": p.seq, "start": p.start, "reset": p.reset, "text": p.text}
            for p in pieces
        ]

        def work(connection: sa.Connection) -> bool:
            if connection.execute(owned).first() is None:
                return False
            connection.execute(sa.insert(parts), rows)
            return True

        def written(connection: sa.Connection) -> bool | None:
            last = sa.select(parts.c.seq).where(
                parts.c.task_pk == pk, parts.c.seq == pieces[-1].seq
            )
            return True if connection.execute(last).first() else None

        return self._database.write(work, written)

    def finish(
        self, task: LedgerTask, runner: str, outcome: Outcome, streamed: bool
    ) -> ChatTask | None:
        """End a task of this runner.

        :param streamed: whether pieces of it have been stored, which then go.
        :return: the task as it now stands, or ``None`` if it was not this runner's any more.
        """
        return self._end(task, FINISH, {"known_runner": runner}, outcome, streamed)

    def settle(self, task: LedgerTask, outcome: Outcome) -> bool:
        """End a task whose runner is gone.

        :return: False if anything about it has changed since ``task`` was read.
        """
        known = {
            "known_runner": task.runner,
            "known_until": task.runs_until,
            "known_status": task.task.status,
        }
        return self._end(task, SETTLE, known, outcome, streamed=True) is not None

    def _end(
        self,
        task: LedgerTask,
        ending: Statement,
        known: t.Mapping[str, t.Any],
        outcome: Outcome,
        streamed: bool,
    ) -> ChatTask | None:
        values = _outcome_values(task.task, outcome)
        this = {"key": task.pk}

        def work(connection: sa.Connection) -> bool:
            if ending(connection, {**this, **known, **values}).rowcount != 1:
                return False
            if streamed:
                DROP_PIECES(connection, this)
            return True

        def written(connection: sa.Connection) -> bool | None:
            read_back = sa.select(tasks.c.pk).where(
                tasks.c.pk == task.pk,
                tasks.c.runs_until.is_(None),
                tasks.c.status == outcome.status,
                tasks.c.updated_time == values["updated_time"],
            )
            return True if connection.execute(read_back).first() else None

        if not self._database.write(work, written):
            return None
        return ended(task.task, outcome, values["updated_time"])

    def find(self, user_id: str, task_id: str) -> LedgerTask | None:
        """The user's task of this id, unless its session is deleted."""
        return self._database.read(lambda c: _find(c, user_id, task_id))

    def ahead(self, task: LedgerTask) -> list[LedgerTask]:
        """The tasks of the same session and agent accepted earlier that have not ended."""
        same = {"key": task.pk, "same_agent": task.task.agent}
        return self._database.read(lambda c: [_row(row) for row in AHEAD(c, same)])

    def expired(self, limit: int) -> list[LedgerTask]:
        """Tasks that have not ended although nobody runs them any more, oldest first."""
        statement = (
            LEDGER.where(tasks.c.runs_until < now_ms()).order_by(tasks.c.runs_until).limit(limit)
        )
        return self._database.read(lambda c: [_row(row) for row in c.execute(statement)])

    def pieces(self, pk: int, after: int) -> list[Piece]:
        """The streamed pieces of a task behind number ``after``."""
        statement = (
            sa.select(parts.c.seq, parts.c.start, parts.c.text, parts.c.reset)
            .where(parts.c.task_pk == pk, parts.c.seq > after)
            .order_by(parts.c.seq)
        )
        return self._database.read(lambda c: [Piece(*row) for row in c.execute(statement)])

    def has_session(self, user_id: str, session_id: str) -> bool:
        """Whether the user has this session."""
        own = {"own_user": user_id, "own_session": session_id}
        return bool(self._database.glance(lambda fetch: fetch(HAS_SESSION, own)))


def _accept(
    connection: sa.Connection, new: NewTask, resolve: Resolve, max_waiting: int
) -> Accepted:
    moment = now()
    own = {"own_user": new.user_id, "own_session": new.session_id}
    if TOUCH(connection, {**own, "moment": moment}).rowcount != 1:
        raise SessionNotFound
    session = QUEUE(connection, own).one()
    if session.waiting >= max_waiting:
        raise TooManyWaiting(f"{max_waiting} messages of this session are waiting already.")
    if new.retry_of is not None:
        _check_retry(connection, session.pk, new.retry_of)
    agent = resolve(new.agent, session.agent_id)
    if session.agent_id is None:
        NAME_AGENT(connection, {"key": session.pk, "agent_id": agent})
    values = {
        "session_pk": session.pk,
        "user_id": new.user_id,
        "task_id": new.task_id,
        "agent": agent,
        "status": "waiting",
        "user_message": new.text,
        "message_bubbles": new.bubbles,
        "search_text": task_search_text(new.text, new.bubbles),
        "retry_of": new.retry_of,
        "runner": new.runner,
        "ttl_ms": new.ttl_ms,
        "cancel_requested": False,
        "created_time": moment,
    }
    key = INSERT_TASK.insert(connection, values)
    return Accepted(_new_row(key, new, agent, moment), fresh=True, queued=session.live > 0)


def _check_retry(connection: sa.Connection, session_pk: int, retry_of: str) -> None:
    last = connection.execute(
        sa.select(tasks.c.task_id, tasks.c.status)
        .where(tasks.c.session_pk == session_pk)
        .order_by(tasks.c.pk.desc())
        .limit(1)
    ).first()
    if last is None or last.task_id != retry_of:
        raise Conflict("Only the last message of a session can be retried.")
    if last.status in LIVE:
        raise Conflict("This message is still being answered.")


def _find(connection: sa.Connection, user_id: str, task_id: str) -> LedgerTask | None:
    row = FIND(connection, {"own_user": user_id, "own_task": task_id}).first()
    return _row(row) if row is not None else None


def _row(row: t.Any) -> LedgerTask:
    return LedgerTask(
        pk=row.pk,
        user_id=row.user_id,
        task=chat_task(row),
        runner=row.runner,
        runs_until=row.runs_until,
        cancel_requested=bool(row.cancel_requested),
        expired=bool(row.expired),
    )


def _new_row(pk: int, new: NewTask, agent: str, moment: int) -> LedgerTask:
    return LedgerTask(
        pk=pk,
        user_id=new.user_id,
        task=new_chat_task(new, agent, moment),
        runner=new.runner,
        runs_until=moment + new.ttl_ms,
        cancel_requested=False,
        expired=False,
    )


def _outcome_values(task: ChatTask, outcome: Outcome) -> dict[str, t.Any]:
    error = outcome.error
    return {
        "status": outcome.status,
        "message_bubbles": outcome.bubbles,
        "search_text": task_search_text(task.user_message, outcome.bubbles),
        "error_code": error.code if error else None,
        "error_message": error.message if error else None,
        "prompt_tokens": outcome.usage.prompt_tokens,
        "completion_tokens": outcome.usage.completion_tokens,
        "cached_tokens": outcome.usage.cached_tokens,
        "runs_until": None,
        "updated_time": now(),
    }
