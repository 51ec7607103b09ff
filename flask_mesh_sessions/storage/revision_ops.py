"""Steps a revision is made of.

MariaDB commits after every statement, so a migration that was killed leaves a part of its
revision behind. Every step therefore first looks whether it has been taken, and the
revision can simply be run again.
"""

from __future__ import annotations

import typing as t

import sqlalchemy as sa
from alembic import op
from sqlalchemy.sql.schema import SchemaItem

from .. import faults
from .schema import TABLE_OPTIONS


def create_table(name: str, *items: SchemaItem) -> None:
    """Create a table of ours, unless a killed migration has made it."""
    if not (_may_be_half_done() and _inspector().has_table(name)):
        op.create_table(name, *items, **TABLE_OPTIONS)
    faults.point(f"migration.{name}")


def create_index(name: str, table: str, columns: t.Sequence[str], **options: t.Any) -> None:
    """Create an index, unless a killed migration has made it."""
    if not (_may_be_half_done() and name in _indexes(table)):
        op.create_index(name, table, list(columns), **options)
    faults.point(f"migration.{name}")


def drop_table(name: str) -> None:
    """Drop a table with its indexes, unless a killed migration has dropped it."""
    if not _may_be_half_done() or _inspector().has_table(name):
        op.drop_table(name)
    faults.point(f"migration.drop.{name}")


def _may_be_half_done() -> bool:
    context = op.get_context()
    return context.dialect.name in ("mysql", "mariadb") and not context.as_sql


def _inspector() -> sa.Inspector:
    return sa.inspect(op.get_bind())


def _indexes(table: str) -> set[str | None]:
    return {index["name"] for index in _inspector().get_indexes(table)}
