"""An agent's tables. Agents that share a database are kept apart by their name."""

from __future__ import annotations

import typing as t

import sqlalchemy as sa

from .. import ids
from ..storage.schema import (
    TABLE_OPTIONS,
    agent_metadata,
    ascii_id,
    exact_text,
    key_type,
    long_text,
)

#: A RUN_BASED session is named ``{session}:{task}:run``.
MEMORY_ID_LENGTH = ids.SESSION_ID_LENGTH + ids.TASK_ID_LENGTH + 5
#: The task ids of delegated turns carry a ``.{n}`` for each step.
TURN_ID_LENGTH = ids.TASK_ID_LENGTH + 64


def _session_key(**options: t.Any) -> sa.Column[int]:
    return sa.Column(
        "session_pk",
        key_type(),
        sa.ForeignKey("agent_sessions.pk", ondelete="CASCADE"),
        autoincrement=False,
        **options,
    )


agent_sessions = sa.Table(
    "agent_sessions",
    agent_metadata,
    sa.Column("pk", key_type(), primary_key=True),
    sa.Column("agent", ascii_id(ids.AGENT_NAME_LENGTH), nullable=False),
    sa.Column("user_id", exact_text(ids.USER_ID_LENGTH), nullable=False),
    sa.Column("session_id", ascii_id(MEMORY_ID_LENGTH), nullable=False),
    sa.Column("last_seq", sa.BigInteger, nullable=False),
    sa.Column("last_turn", sa.BigInteger, nullable=False),
    # The turn that has begun and not ended, if any.
    sa.Column("open_turn", sa.BigInteger),
    # The lease: who may write, proven by a number that only grows, and until when.
    sa.Column("owner", ascii_id(64)),
    sa.Column("fence", sa.BigInteger, nullable=False),
    sa.Column("lease_until", sa.BigInteger, nullable=False),
    sa.Column("head_compaction", key_type()),
    sa.Column("created_time", sa.BigInteger, nullable=False),
    sa.Column("updated_time", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("agent", "user_id", "session_id"),
    **TABLE_OPTIONS,
)

agent_turns = sa.Table(
    "agent_turns",
    agent_metadata,
    _session_key(primary_key=True),
    sa.Column("turn", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("task_id", ascii_id(TURN_ID_LENGTH), nullable=False),
    # open, completed, failed, interrupted, cancelled
    sa.Column("status", ascii_id(16), nullable=False),
    # A withdrawn turn stays in the log and leaves the live context.
    sa.Column("withdrawn", sa.Boolean, nullable=False),
    sa.Column("first_seq", sa.BigInteger, nullable=False),
    sa.Column("last_seq", sa.BigInteger, nullable=False),
    sa.Column("fence", sa.BigInteger, nullable=False),
    sa.Column("usage", long_text()),
    sa.Column("created_time", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("session_pk", "task_id"),
    **TABLE_OPTIONS,
)

agent_events = sa.Table(
    "agent_events",
    agent_metadata,
    _session_key(primary_key=True),
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("turn", sa.BigInteger, nullable=False),
    # user, agent, tool_call, tool_result
    sa.Column("kind", ascii_id(16), nullable=False),
    sa.Column("content", long_text(), nullable=False),
    # A tool's name; for an agent's event, how its turn ended if without an answer.
    sa.Column("name", exact_text(255)),
    sa.Column("call_id", exact_text(255)),
    sa.Column("withdrawn", sa.Boolean, nullable=False),
    sa.Column("created_time", sa.BigInteger, nullable=False),
    **TABLE_OPTIONS,
)

agent_compactions = sa.Table(
    "agent_compactions",
    agent_metadata,
    sa.Column("pk", key_type(), primary_key=True),
    _session_key(nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("through_seq", sa.BigInteger, nullable=False),
    sa.Column("summary", long_text(), nullable=False),
    # Literals of the removed part that the summary lacks, as JSON.
    sa.Column("literals", long_text(), nullable=False),
    sa.Column("tokens_before", sa.BigInteger, nullable=False),
    sa.Column("tokens_after", sa.BigInteger, nullable=False),
    sa.Column("trigger", ascii_id(16), nullable=False),
    sa.Column("cost", long_text()),
    sa.Column("parent", key_type()),
    sa.Column("created_time", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("session_pk", "version"),
    **TABLE_OPTIONS,
)

agent_states = sa.Table(
    "agent_states",
    agent_metadata,
    _session_key(primary_key=True),
    sa.Column("state", long_text(), nullable=False),
    sa.Column("updated_time", sa.BigInteger, nullable=False),
    **TABLE_OPTIONS,
)
