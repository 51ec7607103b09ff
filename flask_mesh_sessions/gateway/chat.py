"""The chat tasks of a session: read in the order they came, and saved by a client."""

from __future__ import annotations

import typing as t

import msgspec
import sqlalchemy as sa

from ..clock import now
from ..errors import Conflict, InvalidInput, SessionNotFound, TaskNotFound
from ..storage.schema import now_ms
from . import sessions as rows
from .history import task_search_text
from .records import ChatTask
from .rows import TASK_COLUMNS, chat_task
from .saved import SavedTask
from .tables import chat_tasks as tasks
from .tables import feedback, sessions

#: The runner of a task that no process ran: a client saved it.
CLIENT = "client"


class Found(t.NamedTuple):
    """A chat task as it was read."""

    task: ChatTask
    #: It has not ended, but nobody runs it any more.
    abandoned: bool


_TASKS = sa.select(
    *TASK_COLUMNS,
    feedback.c.rating,
    feedback.c.comment,
    sa.and_(tasks.c.runs_until.is_not(None), tasks.c.runs_until < now_ms()).label("abandoned"),
).select_from(
    sa.join(tasks, sessions).outerjoin(
        feedback,
        sa.and_(
            feedback.c.user_id == tasks.c.user_id,
            feedback.c.task_id == tasks.c.task_id,
        ),
    )
)

_OTHER = tasks.alias("other")


def read(
    connection: sa.Connection,
    user_id: str,
    session_id: str,
    *,
    before: str | None = None,
    limit: int | None = None,
) -> list[Found]:
    """The chat tasks of a session in the order they were accepted.

    :param before: only tasks accepted before this one.
    :param limit: only so many, the newest.
    :raises SessionNotFound: if the user has no such session.
    :raises InvalidInput: if ``before`` is no task of it.
    """
    statement = _TASKS.where(*rows.own_session(user_id, session_id))
    if before is not None:
        named = sa.select(_OTHER.c.pk).where(
            _OTHER.c.session_pk == sessions.c.pk, _OTHER.c.task_id == before
        )
        statement = statement.where(tasks.c.pk < named.correlate(sessions).scalar_subquery())
    newest_first = statement.order_by(tasks.c.pk.desc()).limit(limit)
    found = [_found(row) for row in connection.execute(newest_first)]
    if not found:
        _check_empty(connection, user_id, session_id, before)
    return found[::-1]


def _check_empty(
    connection: sa.Connection, user_id: str, session_id: str, before: str | None
) -> None:
    if not rows.exists(connection, user_id, session_id):
        raise SessionNotFound
    if before is not None and not has_task(connection, user_id, session_id, before):
        why = "must be the id of a task of this session"
        raise InvalidInput(f"before {why}.", {"before": [why]})


def has_task(connection: sa.Connection, user_id: str, session_id: str, task_id: str) -> bool:
    """Whether the user has this session, and it this task."""
    statement = (
        sa.select(tasks.c.pk)
        .join_from(tasks, sessions)
        .where(*rows.own_session(user_id, session_id), tasks.c.task_id == task_id)
    )
    return connection.execute(statement).first() is not None


def read_one(connection: sa.Connection, user_id: str, session_id: str, task_id: str) -> Found:
    """One chat task.

    :raises SessionNotFound: if the user has no such session.
    :raises TaskNotFound: if it has no such task.
    """
    own = (*rows.own_session(user_id, session_id), tasks.c.task_id == task_id)
    row = connection.execute(_TASKS.where(*own)).first()
    if row is not None:
        return _found(row)
    raise TaskNotFound if rows.exists(connection, user_id, session_id) else SessionNotFound


def _found(row: t.Any) -> Found:
    task = chat_task(row)
    if row.rating is not None:
        metadata = msgspec.json.decode(task.task_metadata or "{}")
        metadata["feedback"] = {"type": row.rating, "text": row.comment or "", "submitted": True}
        shown = msgspec.json.encode(metadata).decode()
        task = msgspec.structs.replace(task, task_metadata=shown)
    return Found(task, bool(row.abandoned))


def save(connection: sa.Connection, user_id: str, session_id: str, saved: SavedTask) -> ChatTask:
    """Store a chat task as a client saves it.

    Nothing changes about a task that is running. One that the runtime ran keeps everything
    but its bubbles and metadata.

    :raises SessionNotFound: if the user has no such session.
    :raises Conflict: if the task id is used in another session of the user.
    :raises sqlalchemy.exc.IntegrityError: the same, at the same moment.
    """
    if not rows.change(connection, user_id, session_id, rows.touch(now())):
        raise SessionNotFound
    # The session's row is locked now: whether the task is there cannot change any more.
    known = connection.execute(_known(user_id, saved.task_id)).first()
    if known is None:
        _insert(connection, user_id, session_id, saved)
    elif known.session_id != session_id:
        raise Conflict("This taskId is used in another session.")
    elif known.runs_until is None:
        values = _replacement(known, saved)
        connection.execute(sa.update(tasks).where(tasks.c.pk == known.pk).values(values))
    return read_one(connection, user_id, session_id, saved.task_id).task


def _known(user_id: str, task_id: str) -> sa.Select[t.Any]:
    columns = (tasks.c.pk, tasks.c.runs_until, tasks.c.runner, tasks.c.user_message)
    return (
        sa.select(*columns, sessions.c.session_id)
        .join_from(tasks, sessions)
        .where(tasks.c.user_id == user_id, tasks.c.task_id == task_id)
    )


def _insert(connection: sa.Connection, user_id: str, session_id: str, saved: SavedTask) -> None:
    parent = sa.select(sessions.c.pk).where(*rows.own_session(user_id, session_id))
    connection.execute(
        sa.insert(tasks).values(
            session_pk=parent.scalar_subquery(),
            user_id=user_id,
            task_id=saved.task_id,
            runner=CLIENT,
            created_time=now(),
            **_own_values(saved),
        )
    )


def _replacement(known: t.Any, saved: SavedTask) -> dict[str, t.Any]:
    if known.runner == CLIENT:
        return {**_own_values(saved), "updated_time": now()}
    return {
        "message_bubbles": saved.bubbles,
        "task_metadata": saved.metadata,
        "search_text": task_search_text(known.user_message, saved.bubbles),
        "updated_time": now(),
    }


def _own_values(saved: SavedTask) -> dict[str, t.Any]:
    return {
        "agent": saved.agent,
        "status": saved.status,
        "user_message": saved.user_message,
        "message_bubbles": saved.bubbles,
        "task_metadata": saved.metadata,
        "search_text": task_search_text(saved.user_message, saved.bubbles),
    }
