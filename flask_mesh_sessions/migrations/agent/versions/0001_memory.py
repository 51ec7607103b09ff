"""An agent's sessions, turns, events, compactions and states."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

from flask_mesh_sessions.storage import revision_ops

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

MYSQL = ("mysql", "mariadb")
KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
LONG = sa.Text().with_variant(mysql.LONGTEXT(charset="utf8mb4", collation="utf8mb4_bin"), *MYSQL)


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


def to_session(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["session_pk"],
        ["agent_sessions.pk"],
        name=op.f(f"fk_{table}_session_pk"),
        ondelete="CASCADE",
    )


def upgrade() -> None:
    create_sessions()
    create_turns()
    create_events()
    create_compactions()
    create_states()


def downgrade() -> None:
    for table in ("states", "compactions", "events", "turns", "sessions"):
        revision_ops.drop_table(f"agent_{table}")


def create_sessions() -> None:
    revision_ops.create_table(
        "agent_sessions",
        sa.Column("pk", KEY, nullable=False),
        sa.Column("agent", ascii_id(64), nullable=False),
        sa.Column("user_id", exact_text(255), nullable=False),
        sa.Column("session_id", ascii_id(261), nullable=False),
        sa.Column("last_seq", sa.BigInteger, nullable=False),
        sa.Column("last_turn", sa.BigInteger, nullable=False),
        sa.Column("open_turn", sa.BigInteger),
        sa.Column("owner", ascii_id(64)),
        sa.Column("fence", sa.BigInteger, nullable=False),
        sa.Column("lease_until", sa.BigInteger, nullable=False),
        sa.Column("head_compaction", KEY),
        sa.Column("created_time", sa.BigInteger, nullable=False),
        sa.Column("updated_time", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("pk", name=op.f("pk_agent_sessions")),
        sa.UniqueConstraint(
            "agent",
            "user_id",
            "session_id",
            name=op.f("uq_agent_sessions_agent_user_id_session_id"),
        ),
    )


def create_turns() -> None:
    revision_ops.create_table(
        "agent_turns",
        sa.Column("session_pk", KEY, autoincrement=False, nullable=False),
        sa.Column("turn", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("task_id", ascii_id(192), nullable=False),
        sa.Column("status", ascii_id(16), nullable=False),
        sa.Column("withdrawn", sa.Boolean, nullable=False),
        sa.Column("first_seq", sa.BigInteger, nullable=False),
        sa.Column("last_seq", sa.BigInteger, nullable=False),
        sa.Column("fence", sa.BigInteger, nullable=False),
        sa.Column("usage", LONG),
        sa.Column("created_time", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("session_pk", "turn", name=op.f("pk_agent_turns")),
        sa.UniqueConstraint(
            "session_pk", "task_id", name=op.f("uq_agent_turns_session_pk_task_id")
        ),
        to_session("agent_turns"),
    )


def create_events() -> None:
    revision_ops.create_table(
        "agent_events",
        sa.Column("session_pk", KEY, autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("turn", sa.BigInteger, nullable=False),
        sa.Column("kind", ascii_id(16), nullable=False),
        sa.Column("content", LONG, nullable=False),
        sa.Column("name", exact_text(255)),
        sa.Column("call_id", exact_text(255)),
        sa.Column("withdrawn", sa.Boolean, nullable=False),
        sa.Column("created_time", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("session_pk", "seq", name=op.f("pk_agent_events")),
        to_session("agent_events"),
    )


def create_compactions() -> None:
    revision_ops.create_table(
        "agent_compactions",
        sa.Column("pk", KEY, nullable=False),
        sa.Column("session_pk", KEY, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("through_seq", sa.BigInteger, nullable=False),
        sa.Column("summary", LONG, nullable=False),
        sa.Column("literals", LONG, nullable=False),
        sa.Column("tokens_before", sa.BigInteger, nullable=False),
        sa.Column("tokens_after", sa.BigInteger, nullable=False),
        sa.Column("trigger", ascii_id(16), nullable=False),
        sa.Column("cost", LONG),
        sa.Column("parent", KEY),
        sa.Column("created_time", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("pk", name=op.f("pk_agent_compactions")),
        sa.UniqueConstraint(
            "session_pk", "version", name=op.f("uq_agent_compactions_session_pk_version")
        ),
        to_session("agent_compactions"),
    )


def create_states() -> None:
    revision_ops.create_table(
        "agent_states",
        sa.Column("session_pk", KEY, autoincrement=False, nullable=False),
        sa.Column("state", LONG, nullable=False),
        sa.Column("updated_time", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("session_pk", name=op.f("pk_agent_states")),
        to_session("agent_states"),
    )
