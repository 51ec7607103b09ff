"""What the tests of migrations do to databases from outside."""

from __future__ import annotations

import contextlib
import typing as t

import sqlalchemy as sa

from flask_mesh_sessions.storage.migrations import Target
from flask_mesh_sessions.storage.schema import Schema

SCHEMAS: tuple[Schema, ...] = ("gateway", "agent", "platform")


def all_schemas(url: str) -> list[Target]:
    return [Target(schema, url) for schema in SCHEMAS]


@contextlib.contextmanager
def connected(url: str) -> t.Iterator[sa.Connection]:
    engine = sa.create_engine(url, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        yield connection


def execute(url: str, *statements: str) -> None:
    with connected(url) as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def tables(url: str) -> set[str]:
    with connected(url) as connection:
        return set(sa.inspect(connection).get_table_names())
