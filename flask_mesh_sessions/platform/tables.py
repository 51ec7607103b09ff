"""The platform's tables."""

from __future__ import annotations

import sqlalchemy as sa

from .. import ids
from ..storage.schema import (
    TABLE_OPTIONS,
    ascii_id,
    exact_text,
    key_type,
    long_text,
    platform_metadata,
)

#: A public id is a UUID in hex.
PUBLIC_ID_LENGTH = 64
NAME_LENGTH = 255
ALIAS_LENGTH = 100


def _reference(
    name: str, target: str, ondelete: str, primary_key: bool = False, nullable: bool = False
) -> sa.Column[int]:
    return sa.Column(
        name,
        key_type(),
        sa.ForeignKey(target, ondelete=ondelete),
        primary_key=primary_key,
        autoincrement=False,
        nullable=nullable,
    )


def _history() -> tuple[sa.Column[str], sa.Column[str], sa.Column[int], sa.Column[int]]:
    return (
        sa.Column("created_by", exact_text(ids.USER_ID_LENGTH)),
        sa.Column("updated_by", exact_text(ids.USER_ID_LENGTH)),
        sa.Column("created_time", sa.BigInteger, nullable=False),
        sa.Column("updated_time", sa.BigInteger, nullable=False),
    )


platform_models = sa.Table(
    "platform_models",
    platform_metadata,
    sa.Column("pk", key_type(), primary_key=True),
    sa.Column("public_id", ascii_id(PUBLIC_ID_LENGTH), nullable=False),
    sa.Column("alias", exact_text(ALIAS_LENGTH), nullable=False),
    sa.Column("provider", exact_text(50), nullable=False),
    sa.Column("model_name", exact_text(NAME_LENGTH), nullable=False),
    sa.Column("api_base", exact_text(2048)),
    sa.Column("auth_type", ascii_id(32)),
    # Encrypted, as is every column of this name.
    sa.Column("secrets", long_text()),
    sa.Column("model_params", long_text()),
    sa.Column("max_input_tokens", sa.BigInteger),
    sa.Column("description", long_text()),
    *_history(),
    sa.UniqueConstraint("public_id"),
    sa.UniqueConstraint("alias"),
    **TABLE_OPTIONS,
)

platform_agents = sa.Table(
    "platform_agents",
    platform_metadata,
    sa.Column("pk", key_type(), primary_key=True),
    sa.Column("public_id", ascii_id(PUBLIC_ID_LENGTH), nullable=False),
    sa.Column("name", exact_text(NAME_LENGTH), nullable=False),
    sa.Column("description", long_text()),
    sa.Column("enabled", sa.Boolean, nullable=False),
    sa.Column("compaction_percentage", sa.Double),
    sa.Column("max_input_tokens", sa.BigInteger),
    _reference("model_pk", "platform_models.pk", "SET NULL", nullable=True),
    *_history(),
    sa.UniqueConstraint("public_id"),
    sa.UniqueConstraint("name"),
    sa.Index("ix_platform_agents_model_pk", "model_pk"),
    **TABLE_OPTIONS,
)

platform_connectors = sa.Table(
    "platform_connectors",
    platform_metadata,
    sa.Column("pk", key_type(), primary_key=True),
    sa.Column("public_id", ascii_id(PUBLIC_ID_LENGTH), nullable=False),
    sa.Column("name", exact_text(NAME_LENGTH), nullable=False),
    sa.Column("type", ascii_id(64), nullable=False),
    sa.Column("description", long_text()),
    sa.Column("config", long_text()),
    sa.Column("secrets", long_text()),
    *_history(),
    sa.UniqueConstraint("public_id"),
    sa.UniqueConstraint("name"),
    **TABLE_OPTIONS,
)

platform_deployments = sa.Table(
    "platform_deployments",
    platform_metadata,
    sa.Column("pk", key_type(), primary_key=True),
    sa.Column("public_id", ascii_id(PUBLIC_ID_LENGTH), nullable=False),
    sa.Column("name", exact_text(NAME_LENGTH), nullable=False),
    _reference("agent_pk", "platform_agents.pk", "CASCADE"),
    sa.Column("status", ascii_id(32), nullable=False),
    sa.Column("config", long_text()),
    *_history(),
    sa.UniqueConstraint("public_id"),
    sa.UniqueConstraint("name"),
    sa.Index("ix_platform_deployments_agent_pk", "agent_pk"),
    **TABLE_OPTIONS,
)

#: Which connectors a deployment uses.
deployment_connectors = sa.Table(
    "mesh_deployment_connectors",
    platform_metadata,
    _reference("deployment_pk", "platform_deployments.pk", "CASCADE", primary_key=True),
    _reference("connector_pk", "platform_connectors.pk", "CASCADE", primary_key=True),
    sa.Index("ix_mesh_deployment_connectors_connector_pk", "connector_pk"),
    **TABLE_OPTIONS,
)
