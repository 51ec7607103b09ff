"""Alembic's environment for all three schemas: everything comes in through the attributes."""

from __future__ import annotations

import typing as t

from alembic import context

given: dict[str, t.Any] = context.config.attributes


def include_name(name: str | None, type_: str, parents: t.Any) -> bool:
    if type_ == "table":
        return name in given["tables"]
    return name not in given["optional_indexes"]


context.configure(
    connection=given.get("connection"),
    dialect_name=given["dialect"],
    target_metadata=given["metadata"],
    version_table=given["version_table"],
    literal_binds=context.is_offline_mode(),
    dialect_opts={"paramstyle": "named"},
    render_as_batch=True,
    compare_type=True,
    include_name=include_name,
)
with context.begin_transaction():
    context.run_migrations()
