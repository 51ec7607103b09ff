"""Sessions, chat tasks, feedback and web sessions."""

from __future__ import annotations

import logging
import typing as t

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

from flask_mesh_sessions.storage import revision_ops

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

log = logging.getLogger("flask_mesh_sessions.migrations")

MYSQL = ("mysql", "mariadb")
KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
LONG = sa.Text().with_variant(mysql.LONGTEXT(charset="utf8mb4", collation="utf8mb4_bin"), *MYSQL)

#: The search is right without these indexes, so a server without pg_trgm, or a user who may
#: not enable it, goes on without. The operator class is named with the extension's schema,
#: which need not be on the search path.
TRIGRAMS = """
DO $$
DECLARE place text;
BEGIN
    CREATE EXTENSION IF NOT EXISTS pg_trgm;
    SELECT quote_ident(n.nspname) INTO place FROM pg_extension e
        JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'pg_trgm';
    EXECUTE 'CREATE INDEX ix_sessions_trigrams ON sessions'
        || ' USING gin (search_text ' || place || '.gin_trgm_ops)';
    EXECUTE 'CREATE INDEX ix_chat_tasks_trigrams ON chat_tasks'
        || ' USING gin (search_text ' || place || '.gin_trgm_ops)';
EXCEPTION WHEN OTHERS THEN
    RAISE NOTICE 'searching without trigram indexes';
END
$$
"""


def ascii_id(length: int) -> sa.types.TypeEngine[str]:
    return (
        sa.String(length)
        .with_variant(sa.String(length, collation="C"), "postgresql")
        .with_variant(mysql.VARCHAR(length, charset="ascii", collation="ascii_bin"), *MYSQL)
    )


def exact_text(length: int) -> sa.types.TypeEngine[str]:
    return (
        sa.String(length)
        .with_variant(sa.String(length, collation="C"), "postgresql")
        .with_variant(mysql.VARCHAR(length, charset="utf8mb4", collation="utf8mb4_bin"), *MYSQL)
    )


def upgrade() -> None:
    create_sessions()
    create_chat_tasks()
    create_chat_task_parts()
    create_feedback()
    create_web_sessions()
    if op.get_context().dialect.name == "postgresql":
        create_trigram_indexes()


def downgrade() -> None:
    for table in ("web_sessions", "feedback", "chat_task_parts", "chat_tasks", "sessions"):
        revision_ops.drop_table(table)


def create_sessions() -> None:
    revision_ops.create_table(
        "sessions",
        sa.Column("pk", KEY, nullable=False),
        sa.Column("user_id", exact_text(255), nullable=False),
        sa.Column("session_id", ascii_id(128), nullable=False),
        sa.Column("name", exact_text(255)),
        sa.Column("search_text", LONG),
        sa.Column("agent_id", ascii_id(64)),
        sa.Column("project_id", ascii_id(128)),
        sa.Column("source", ascii_id(32), nullable=False),
        sa.Column("created_time", sa.BigInteger, nullable=False),
        sa.Column("updated_time", sa.BigInteger, nullable=False),
        sa.Column("last_viewed_at", sa.BigInteger),
        sa.Column("deleted_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("pk", name=op.f("pk_sessions")),
        sa.UniqueConstraint("user_id", "session_id", name=op.f("uq_sessions_user_id_session_id")),
    )
    revision_ops.create_index(
        "ix_sessions_list", "sessions", ["user_id", "deleted_at", "updated_time", "session_id"]
    )


def create_chat_tasks() -> None:
    revision_ops.create_table(
        "chat_tasks",
        sa.Column("pk", KEY, nullable=False),
        sa.Column("session_pk", KEY, nullable=False),
        sa.Column("user_id", exact_text(255), nullable=False),
        sa.Column("task_id", ascii_id(128), nullable=False),
        sa.Column("agent", ascii_id(64)),
        sa.Column("status", ascii_id(16), nullable=False),
        sa.Column("user_message", LONG),
        sa.Column("message_bubbles", LONG, nullable=False),
        sa.Column("task_metadata", LONG),
        sa.Column("search_text", LONG, nullable=False),
        sa.Column("error_code", ascii_id(64)),
        sa.Column("error_message", LONG),
        sa.Column("retry_of", ascii_id(128)),
        sa.Column("prompt_tokens", sa.BigInteger),
        sa.Column("completion_tokens", sa.BigInteger),
        sa.Column("cached_tokens", sa.BigInteger),
        sa.Column("runner", ascii_id(64)),
        sa.Column("runs_until", sa.BigInteger),
        sa.Column("cancel_requested", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("created_time", sa.BigInteger, nullable=False),
        sa.Column("updated_time", sa.BigInteger),
        sa.PrimaryKeyConstraint("pk", name=op.f("pk_chat_tasks")),
        sa.UniqueConstraint("user_id", "task_id", name=op.f("uq_chat_tasks_user_id_task_id")),
        sa.ForeignKeyConstraint(
            ["session_pk"],
            ["sessions.pk"],
            name=op.f("fk_chat_tasks_session_pk"),
            ondelete="CASCADE",
        ),
    )
    revision_ops.create_index("ix_chat_tasks_session", "chat_tasks", ["session_pk", "pk"])
    live = sa.text("runs_until IS NOT NULL")
    where: dict[str, t.Any] = {"postgresql_where": live, "sqlite_where": live}
    revision_ops.create_index(
        "ix_chat_tasks_live", "chat_tasks", ["session_pk", "runs_until"], **where
    )
    revision_ops.create_index("ix_chat_tasks_runs_until", "chat_tasks", ["runs_until"], **where)


def create_chat_task_parts() -> None:
    revision_ops.create_table(
        "chat_task_parts",
        sa.Column("task_pk", KEY, autoincrement=False, nullable=False),
        sa.Column("seq", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("start", sa.BigInteger, nullable=False),
        sa.Column("reset", sa.Boolean, nullable=False),
        sa.Column("text", LONG, nullable=False),
        sa.PrimaryKeyConstraint("task_pk", "seq", name=op.f("pk_chat_task_parts")),
        sa.ForeignKeyConstraint(
            ["task_pk"],
            ["chat_tasks.pk"],
            name=op.f("fk_chat_task_parts_task_pk"),
            ondelete="CASCADE",
        ),
    )


def create_feedback() -> None:
    revision_ops.create_table(
        "feedback",
        sa.Column("pk", KEY, nullable=False),
        sa.Column("user_id", exact_text(255), nullable=False),
        sa.Column("session_id", ascii_id(128), nullable=False),
        sa.Column("task_id", ascii_id(128), nullable=False),
        sa.Column("rating", ascii_id(8), nullable=False),
        sa.Column("comment", LONG),
        sa.Column("created_time", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("pk", name=op.f("pk_feedback")),
        sa.UniqueConstraint("user_id", "task_id", name=op.f("uq_feedback_user_id_task_id")),
    )
    revision_ops.create_index("ix_feedback_session", "feedback", ["user_id", "session_id"])


def create_web_sessions() -> None:
    revision_ops.create_table(
        "web_sessions",
        sa.Column("sid", ascii_id(64), nullable=False),
        sa.Column("user_id", exact_text(255)),
        sa.Column("data", LONG),
        sa.Column("expires", sa.BigInteger, nullable=False),
        sa.Column("forward_to", ascii_id(64)),
        sa.Column("forward_until", sa.BigInteger),
        sa.Column("ended", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("sid", name=op.f("pk_web_sessions")),
    )
    revision_ops.create_index("ix_web_sessions_user_id", "web_sessions", ["user_id"])
    revision_ops.create_index("ix_web_sessions_expires", "web_sessions", ["expires"])


def create_trigram_indexes() -> None:
    op.execute(TRIGRAMS)
    if op.get_context().as_sql:
        return
    made = sa.inspect(op.get_bind()).get_indexes("chat_tasks")
    if not any(index["name"] == "ix_chat_tasks_trigrams" for index in made):
        log.info("pg_trgm cannot be used here: searching without trigram indexes")
