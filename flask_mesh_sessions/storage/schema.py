"""The three schemas and the column types that mean the same on every database."""

from __future__ import annotations

import typing as t

import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

#: Keeps constraint names stable, so that migrations can name them.
_NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}

gateway_metadata = sa.MetaData(naming_convention=_NAMING)
agent_metadata = sa.MetaData(naming_convention=_NAMING)
platform_metadata = sa.MetaData(naming_convention=_NAMING)

Schema = t.Literal["gateway", "agent", "platform"]
METADATA: dict[Schema, sa.MetaData] = {
    "gateway": gateway_metadata,
    "agent": agent_metadata,
    "platform": platform_metadata,
}

_MYSQL = ("mysql", "mariadb")

#: Options every table is created with.
TABLE_OPTIONS: dict[str, t.Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mariadb_engine": "InnoDB",
    "mariadb_charset": "utf8mb4",
}


def version_table(schema: Schema) -> str:
    """The name of the table that holds a schema's migration version."""
    return f"mesh_{schema}_version"


def key_type() -> sa.types.TypeEngine[int]:
    """A surrogate key: 64 bits, and SQLite's own row id there."""
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def ascii_id(length: int) -> sa.types.TypeEngine[str]:
    """An id of visible ASCII that compares byte for byte on every database."""
    return (
        sa.String(length)
        .with_variant(sa.String(length, collation="C"), "postgresql")
        .with_variant(mysql.VARCHAR(length, charset="ascii", collation="ascii_bin"), *_MYSQL)
    )


def exact_text(length: int) -> sa.types.TypeEngine[str]:
    """Short text in any script that compares byte for byte on every database."""
    return (
        sa.String(length)
        .with_variant(sa.String(length, collation="C"), "postgresql")
        .with_variant(mysql.VARCHAR(length, charset="utf8mb4", collation="utf8mb4_bin"), *_MYSQL)
    )


def long_text() -> sa.types.TypeEngine[str]:
    """Text of any length. MariaDB's own TEXT ends at 64 KiB."""
    return sa.Text().with_variant(
        mysql.LONGTEXT(charset="utf8mb4", collation="utf8mb4_bin"), *_MYSQL
    )


def long_bytes() -> sa.types.TypeEngine[bytes]:
    """Bytes of any length."""
    return sa.LargeBinary().with_variant(mysql.LONGBLOB(), *_MYSQL)


class now_ms(FunctionElement[int]):
    """The database's clock in epoch milliseconds, at the moment it is evaluated.

    Leases are compared by this clock, so that hosts with different clocks agree, and by
    the moment of evaluation, so that a statement that waited for a lock does not count
    with the time before it.
    """

    type = sa.BigInteger()
    inherit_cache = True


@compiles(now_ms, "postgresql")
def _postgresql(element: t.Any, compiler: t.Any, **kw: t.Any) -> str:
    return "(extract(epoch from clock_timestamp()) * 1000)::bigint"


@compiles(now_ms, "mysql")
@compiles(now_ms, "mariadb")
def _mysql(element: t.Any, compiler: t.Any, **kw: t.Any) -> str:
    return "CAST(UNIX_TIMESTAMP(SYSDATE(3)) * 1000 AS SIGNED)"


@compiles(now_ms, "sqlite")
def _sqlite(element: t.Any, compiler: t.Any, **kw: t.Any) -> str:
    return "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"
