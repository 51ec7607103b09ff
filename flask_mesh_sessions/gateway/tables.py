"""The gateway's tables."""

from __future__ import annotations

import sqlalchemy as sa

from .. import ids
from ..storage.schema import (
    TABLE_OPTIONS,
    ascii_id,
    exact_text,
    gateway_metadata,
    key_type,
    long_text,
)

NAME_LENGTH = 255

sessions = sa.Table(
    "sessions",
    gateway_metadata,
    sa.Column("pk", key_type(), primary_key=True),
    sa.Column("user_id", exact_text(ids.USER_ID_LENGTH), nullable=False),
    sa.Column("session_id", ascii_id(ids.SESSION_ID_LENGTH), nullable=False),
    sa.Column("name", exact_text(NAME_LENGTH)),
    # Casefolding can make a text up to three times as long.
    sa.Column("search_text", long_text()),
    sa.Column("agent_id", ascii_id(ids.AGENT_NAME_LENGTH)),
    sa.Column("project_id", ascii_id(128)),
    sa.Column("source", ascii_id(32), nullable=False),
    sa.Column("created_time", sa.BigInteger, nullable=False),
    sa.Column("updated_time", sa.BigInteger, nullable=False),
    sa.Column("last_viewed_at", sa.BigInteger),
    sa.Column("deleted_at", sa.BigInteger),
    sa.UniqueConstraint("user_id", "session_id"),
    sa.Index("ix_sessions_list", "user_id", "deleted_at", "updated_time", "session_id"),
    **TABLE_OPTIONS,
)

chat_tasks = sa.Table(
    "chat_tasks",
    gateway_metadata,
    sa.Column("pk", key_type(), primary_key=True),
    sa.Column(
        "session_pk", key_type(), sa.ForeignKey("sessions.pk", ondelete="CASCADE"), nullable=False
    ),
    sa.Column("user_id", exact_text(ids.USER_ID_LENGTH), nullable=False),
    sa.Column("task_id", ascii_id(ids.TASK_ID_LENGTH), nullable=False),
    sa.Column("agent", ascii_id(ids.AGENT_NAME_LENGTH)),
    sa.Column("status", ascii_id(16), nullable=False),
    sa.Column("user_message", long_text()),
    sa.Column("message_bubbles", long_text(), nullable=False),
    sa.Column("task_metadata", long_text()),
    sa.Column("search_text", long_text(), nullable=False),
    sa.Column("error_code", ascii_id(64)),
    sa.Column("error_message", long_text()),
    sa.Column("retry_of", ascii_id(ids.TASK_ID_LENGTH)),
    sa.Column("prompt_tokens", sa.BigInteger),
    sa.Column("completion_tokens", sa.BigInteger),
    sa.Column("cached_tokens", sa.BigInteger),
    # Who runs it, and until when that is to be believed. NULL once it has ended.
    sa.Column("runner", ascii_id(64)),
    sa.Column("runs_until", sa.BigInteger),
    sa.Column("cancel_requested", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("created_time", sa.BigInteger, nullable=False),
    sa.Column("updated_time", sa.BigInteger),
    sa.UniqueConstraint("user_id", "task_id"),
    sa.Index("ix_chat_tasks_session", "session_pk", "pk"),
    **TABLE_OPTIONS,
)
# The tasks that have not ended are few whatever the history: an index of just them.
sa.Index(
    "ix_chat_tasks_live",
    chat_tasks.c.session_pk,
    chat_tasks.c.runs_until,
    postgresql_where=chat_tasks.c.runs_until.is_not(None),
    sqlite_where=chat_tasks.c.runs_until.is_not(None),
)
sa.Index(
    "ix_chat_tasks_runs_until",
    chat_tasks.c.runs_until,
    postgresql_where=chat_tasks.c.runs_until.is_not(None),
    sqlite_where=chat_tasks.c.runs_until.is_not(None),
)

#: What a running task has streamed so far, for listeners in other processes.
chat_task_parts = sa.Table(
    "chat_task_parts",
    gateway_metadata,
    sa.Column(
        "task_pk",
        key_type(),
        sa.ForeignKey("chat_tasks.pk", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
    # Characters streamed before this piece, dropped ones included.
    sa.Column("start", sa.BigInteger, nullable=False),
    # True: what was streamed before this piece is dropped.
    sa.Column("reset", sa.Boolean, nullable=False),
    sa.Column("text", long_text(), nullable=False),
    **TABLE_OPTIONS,
)

feedback = sa.Table(
    "feedback",
    gateway_metadata,
    sa.Column("pk", key_type(), primary_key=True),
    sa.Column("user_id", exact_text(ids.USER_ID_LENGTH), nullable=False),
    sa.Column("session_id", ascii_id(ids.SESSION_ID_LENGTH), nullable=False),
    sa.Column("task_id", ascii_id(ids.TASK_ID_LENGTH), nullable=False),
    sa.Column("rating", ascii_id(8), nullable=False),
    sa.Column("comment", long_text()),
    sa.Column("created_time", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("user_id", "task_id"),
    sa.Index("ix_feedback_session", "user_id", "session_id"),
    **TABLE_OPTIONS,
)
