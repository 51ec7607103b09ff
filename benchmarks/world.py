"""The databases that are measured, and the ways to them."""

from __future__ import annotations

import contextlib
import tempfile
import typing as t
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from flask_mesh_sessions.config import Pool
from flask_mesh_sessions.storage import migrations
from flask_mesh_sessions.storage.database import Database
from tests.databases import temporary_database

USER = "somebody"
AGENT = "assistant"
QUESTION = "What did we say about the delivery on Thursday, and who was going to call them? "
ANSWER = "You said that the delivery comes on Thursday before noon, and that Kim calls them. " * 6


class Hand:
    """One connection of a driver, as one uses it by hand.

    Statements are written with ``?`` and made ready once, by :meth:`sql`.
    """

    def __init__(self, url: sa.URL) -> None:
        dialect = url.get_dialect()()
        driver = url.get_dialect().import_dbapi()
        args, options = dialect.create_connect_args(url)
        self.backend = url.get_backend_name()
        self.connection: t.Any = driver.connect(*args, **options)
        if self.backend == "sqlite":
            self.connection.isolation_level = None
        self.cursor: t.Any = self.connection.cursor()
        self.execute: t.Callable[..., t.Any] = self.cursor.execute
        self.rows: t.Callable[[], t.Sequence[t.Any]] = self.cursor.fetchall
        self._prepare()

    def _prepare(self) -> None:
        """The same settings as the extension's connections have."""
        if self.backend == "sqlite":
            self.execute("PRAGMA foreign_keys = ON")
            self.execute("PRAGMA busy_timeout = 30000")
        elif self.backend == "mysql":
            self.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
            self.connection.commit()

    @property
    def returns(self) -> bool:
        """Whether an UPDATE can return what it wrote."""
        return self.backend != "mysql"

    def sql(self, statement: str) -> str:
        """A statement as this driver wants it."""
        return statement if self.backend == "sqlite" else statement.replace("?", "%s")

    def begin(self) -> None:
        """Begin a transaction that writes. Servers do so with its first statement."""
        if self.backend == "sqlite":
            self.execute("BEGIN IMMEDIATE")

    def begin_reading(self) -> None:
        """Begin a transaction that reads."""
        if self.backend == "sqlite":
            self.execute("BEGIN")

    def commit(self) -> None:
        """End a transaction that wrote."""
        self.connection.commit()

    def end(self) -> None:
        """End a transaction that read."""
        self.connection.rollback()

    def quoted(self, column: str) -> str:
        """The name of a column that is also a word of the language."""
        return f"`{column}`" if self.backend == "mysql" else column

    def insert(self, table: str, rows: t.Sequence[dict[str, t.Any]]) -> None:
        """Fill a table."""
        if not rows:
            return
        columns = list(rows[0])
        marks = ", ".join("?" * len(columns))
        statement = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"
        self.begin()
        self.cursor.executemany(self.sql(statement), [tuple(row.values()) for row in rows])
        self.commit()

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()


@dataclass(frozen=True)
class World:
    """Two migrated databases of one kind, a gateway's and an agent's."""

    name: str
    gateway: Database
    agent: Database
    folder: Path
    _stack: contextlib.ExitStack

    def hand(self, database: Database) -> Hand:
        """A new connection of the driver to one of the two databases."""
        hand = Hand(database.url)
        self._stack.callback(hand.close)
        return hand


@contextlib.contextmanager
def world(name: str) -> t.Iterator[World]:
    """Fresh databases, which go at the end.

    :param name: ``sqlite``, ``postgresql`` or ``mariadb``.
    """
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mesh-bench-")))
        urls = [stack.enter_context(temporary_database(name, folder)) for _ in range(2)]
        migrations.upgrade(
            migrations.Target(schema, url) for schema, url in zip(SCHEMAS, urls, strict=True)
        )
        gateway, agent = (Database(url, Pool()) for url in urls)
        stack.callback(gateway.dispose)
        stack.callback(agent.dispose)
        yield World(name, gateway, agent, folder, stack)


SCHEMAS: tuple[t.Literal["gateway", "agent"], ...] = ("gateway", "agent")
