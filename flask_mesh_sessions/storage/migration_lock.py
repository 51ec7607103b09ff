"""One migration at a time, however many processes start together.

PostgreSQL has a lock that ends with the transaction that does the work. MariaDB commits at
every DDL statement and its named locks hold on one node of a cluster only, so there a row
says who migrates, see :mod:`.migration_lease`. For SQLite a file beside the database is locked.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import typing as t
from pathlib import Path
from urllib.parse import unquote

import sqlalchemy as sa

from .database import writes_next
from .migration_lease import lease
from .schema import Schema

#: An arbitrary number of ours, so that no other program's lock is meant.
_LOCK_SPACE = 0x6D65_7368_0000_0000
_LOCK_KEYS: dict[Schema, int] = {"gateway": 1, "agent": 2, "platform": 3}


def hold(engine: sa.Engine, schema: Schema) -> t.ContextManager[sa.Connection]:
    """A connection to migrate ``schema`` with, while nobody else does.

    On PostgreSQL and SQLite it is inside a transaction that is committed at the end, or
    rolled back on an error. On MariaDB every statement of a migration commits itself.

    :raises MigrationError: if another process took over meanwhile.
    """
    backend = engine.url.get_backend_name()
    if backend == "postgresql":
        return _postgresql(engine, schema)
    if backend == "sqlite":
        return _sqlite(engine)
    return lease(engine, schema)


def sqlite_file(url: sa.URL) -> Path | None:
    """The file of a SQLite database, or ``None`` for another kind."""
    if url.get_backend_name() != "sqlite" or not url.database:
        return None
    if url.database.startswith("file:"):
        return Path(unquote(url.database.removeprefix("file:")))
    return Path(url.database)


@contextlib.contextmanager
def _postgresql(engine: sa.Engine, schema: Schema) -> t.Iterator[sa.Connection]:
    key = _LOCK_SPACE + _LOCK_KEYS[schema]
    with engine.begin() as connection:
        # Limits meant for requests: waiting here is right, and may take long.
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
        connection.exec_driver_sql("SET LOCAL lock_timeout = 0")
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(key)))
        yield connection


@contextlib.contextmanager
def _sqlite(engine: sa.Engine) -> t.Iterator[sa.Connection]:
    file = sqlite_file(engine.url)
    assert file is not None
    file.parent.mkdir(parents=True, exist_ok=True)
    with _flock(file.with_name(file.name + ".lock")):
        with engine.connect() as connection:
            _prepare_sqlite(connection)
            writes_next(connection)
            with connection.begin():
                yield connection


@contextlib.contextmanager
def _flock(file: Path) -> t.Iterator[None]:
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        # A child forked meanwhile holds the file open: closing it here would not be enough.
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


def _prepare_sqlite(connection: sa.Connection) -> None:
    """Settings that can only be made outside a transaction."""
    cursor = connection.connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    # Rebuilding a table drops the old one, which would delete what refers to it.
    cursor.execute("PRAGMA foreign_keys = OFF")
    cursor.close()
