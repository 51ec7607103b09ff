"""Rows of the gateway's tables as records."""

from __future__ import annotations

import typing as t

from .records import ChatTask, TaskError
from .tables import chat_tasks as tasks
from .tables import sessions
from .turns import default_metadata

#: What :func:`chat_task` needs of ``chat_tasks`` joined with ``sessions``.
TASK_COLUMNS = (
    sessions.c.session_id,
    tasks.c.task_id,
    tasks.c.user_message,
    tasks.c.message_bubbles,
    tasks.c.task_metadata,
    tasks.c.created_time,
    tasks.c.updated_time,
    tasks.c.agent,
    tasks.c.status,
    tasks.c.error_code,
    tasks.c.error_message,
    tasks.c.retry_of,
)


def chat_task(row: t.Any) -> ChatTask:
    """The record of a row of :data:`TASK_COLUMNS`."""
    error = row.error_code and TaskError(code=row.error_code, message=row.error_message or "")
    return ChatTask(
        task_id=row.task_id,
        session_id=row.session_id,
        user_message=row.user_message,
        message_bubbles=row.message_bubbles,
        task_metadata=row.task_metadata or default_metadata(row.status, row.agent),
        created_time=row.created_time,
        updated_time=row.updated_time,
        agent=row.agent,
        status=row.status,
        error=error or None,
        retry_of=row.retry_of,
    )
