"""Agents, connectors, deployments and models."""

from __future__ import annotations

import typing as t

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


def keys(table: str, unique: str) -> tuple[sa.Constraint, ...]:
    return (
        sa.PrimaryKeyConstraint("pk", name=op.f(f"pk_{table}")),
        sa.UniqueConstraint("public_id", name=op.f(f"uq_{table}_public_id")),
        sa.UniqueConstraint(unique, name=op.f(f"uq_{table}_{unique}")),
    )


def reference(table: str, column: str, target: str, ondelete: str) -> sa.ForeignKeyConstraint:
    name = op.f(f"fk_{table}_{column}")
    return sa.ForeignKeyConstraint([column], [f"{target}.pk"], name=name, ondelete=ondelete)


def identity() -> tuple[sa.Column[t.Any], ...]:
    return (
        sa.Column("pk", KEY, nullable=False),
        sa.Column("public_id", ascii_id(64), nullable=False),
    )


def history() -> tuple[sa.Column[t.Any], ...]:
    return (
        sa.Column("created_by", exact_text(255)),
        sa.Column("updated_by", exact_text(255)),
        sa.Column("created_time", sa.BigInteger, nullable=False),
        sa.Column("updated_time", sa.BigInteger, nullable=False),
    )


def upgrade() -> None:
    create_models()
    create_agents()
    create_connectors()
    create_deployments()
    create_deployment_connectors()


def downgrade() -> None:
    revision_ops.drop_table("mesh_deployment_connectors")
    for table in ("deployments", "connectors", "agents", "models"):
        revision_ops.drop_table(f"platform_{table}")


def create_models() -> None:
    revision_ops.create_table(
        "platform_models",
        *identity(),
        sa.Column("alias", exact_text(100), nullable=False),
        sa.Column("provider", exact_text(50), nullable=False),
        sa.Column("model_name", exact_text(255), nullable=False),
        sa.Column("api_base", exact_text(2048)),
        sa.Column("auth_type", ascii_id(32)),
        sa.Column("secrets", LONG),
        sa.Column("model_params", LONG),
        sa.Column("max_input_tokens", sa.BigInteger),
        sa.Column("description", LONG),
        *history(),
        *keys("platform_models", "alias"),
    )


def create_agents() -> None:
    revision_ops.create_table(
        "platform_agents",
        *identity(),
        sa.Column("name", exact_text(255), nullable=False),
        sa.Column("description", LONG),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("compaction_percentage", sa.Double),
        sa.Column("max_input_tokens", sa.BigInteger),
        sa.Column("model_pk", KEY),
        *history(),
        *keys("platform_agents", "name"),
        reference("platform_agents", "model_pk", "platform_models", "SET NULL"),
    )
    revision_ops.create_index("ix_platform_agents_model_pk", "platform_agents", ["model_pk"])


def create_connectors() -> None:
    revision_ops.create_table(
        "platform_connectors",
        *identity(),
        sa.Column("name", exact_text(255), nullable=False),
        sa.Column("type", ascii_id(64), nullable=False),
        sa.Column("description", LONG),
        sa.Column("config", LONG),
        sa.Column("secrets", LONG),
        *history(),
        *keys("platform_connectors", "name"),
    )


def create_deployments() -> None:
    revision_ops.create_table(
        "platform_deployments",
        *identity(),
        sa.Column("name", exact_text(255), nullable=False),
        sa.Column("agent_pk", KEY, nullable=False),
        sa.Column("status", ascii_id(32), nullable=False),
        sa.Column("config", LONG),
        *history(),
        *keys("platform_deployments", "name"),
        reference("platform_deployments", "agent_pk", "platform_agents", "CASCADE"),
    )
    revision_ops.create_index(
        "ix_platform_deployments_agent_pk", "platform_deployments", ["agent_pk"]
    )


def create_deployment_connectors() -> None:
    table = "mesh_deployment_connectors"
    revision_ops.create_table(
        table,
        sa.Column("deployment_pk", KEY, autoincrement=False, nullable=False),
        sa.Column("connector_pk", KEY, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("deployment_pk", "connector_pk", name=op.f(f"pk_{table}")),
        reference(table, "deployment_pk", "platform_deployments", "CASCADE"),
        reference(table, "connector_pk", "platform_connectors", "CASCADE"),
    )
    revision_ops.create_index("ix_mesh_deployment_connectors_connector_pk", table, ["connector_pk"])
