"""Statements that are compiled once, and reads that go past SQLAlchemy."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
import sqlalchemy as sa

from flask_mesh_sessions.config import Pool
from flask_mesh_sessions.errors import StorageUnavailable
from flask_mesh_sessions.storage.database import Database
from flask_mesh_sessions.storage.statement import Statement
from tests import databases
from tests.proxy import Proxy

metadata = sa.MetaData()
things = sa.Table(
    "things",
    metadata,
    sa.Column("pk", sa.Integer, primary_key=True),
    sa.Column("name", sa.String(50), unique=True),
    sa.Column("kind", sa.String(20)),
    sa.Column("gone", sa.Boolean, nullable=False),
)
INSERT = Statement(sa.insert(things).values(kind="plain"), "name", "gone")
RENAME = Statement(sa.update(things).where(things.c.pk == sa.bindparam("key")), "name")
NAMES = Statement(
    sa.select(things.c.name, things.c.kind)
    .where(things.c.pk > sa.bindparam("after"), things.c.gone.is_(sa.false()))
    .order_by(things.c.pk)
)


@pytest.fixture
def database(database_url: str) -> t.Iterator[Database]:
    found = Database(database_url, Pool())
    prepare(found)
    yield found
    found.dispose()


def prepare(database: Database) -> None:
    database.write(metadata.create_all)


def insert(database: Database, name: str | None, gone: bool = False) -> int:
    return database.write(lambda c: INSERT.insert(c, {"name": name, "gone": gone}))


def names(database: Database, after: int = 0) -> list[t.Any]:
    rows = database.glance(lambda fetch: fetch(NAMES, {"after": after}))
    return [name for name, _ in rows]


def connections(database: Database) -> int:
    pool = database.engine.pool
    assert isinstance(pool, sa.QueuePool)
    return pool.checkedin() + pool.checkedout()


@pytest.fixture
def proxied(tmp_path: Path) -> t.Iterator[tuple[Proxy, Database]]:
    """A database behind a proxy."""
    databases.need("postgresql")
    with databases.temporary_database("postgresql", tmp_path) as url:
        address = sa.make_url(url)
        proxy = Proxy((address.host or "127.0.0.1", address.port or 5432))
        behind = address.set(host="127.0.0.1", port=proxy.port)
        found = Database(behind.render_as_string(hide_password=False), Pool())
        prepare(found)
        yield proxy, found
        found.dispose()
        proxy.close()


def test_what_is_inserted_is_found(database: Database) -> None:
    first = insert(database, "a % of :it ? 'quoted' \\ é")
    second = insert(database, "hidden", gone=True)
    third = insert(database, None)
    assert first < second < third
    assert names(database) == ["a % of :it ? 'quoted' \\ é", None]
    assert names(database, after=first) == [None]


def test_what_stands_in_a_statement_is_used(database: Database) -> None:
    insert(database, "one")
    rows = database.read(lambda c: NAMES(c, {"after": 0}).all())
    assert [tuple(row) for row in rows] == [("one", "plain")]


def test_an_update_says_how_many_rows_it_changed(database: Database) -> None:
    key = insert(database, "old")

    def rename(pk: int) -> int:
        return database.write(lambda c: RENAME(c, {"key": pk, "name": "new"}).rowcount)

    assert [rename(key), rename(key + 1)] == [1, 0]
    assert names(database) == ["new"]


def test_a_value_that_is_missing_is_an_error(database: Database) -> None:
    with pytest.raises((KeyError, sa.exc.StatementError)):
        database.write(lambda c: INSERT(c, {"name": "one"}))


def test_errors_are_as_sqlalchemy_gives_them(database: Database) -> None:
    insert(database, "one")
    with pytest.raises(sa.exc.IntegrityError):
        insert(database, "one")
    assert names(database) == ["one"]


def test_a_glance_sees_what_was_committed_since_the_last(database: Database) -> None:
    def work(fetch: t.Any) -> list[int]:
        before = len(fetch(NAMES, {"after": 0}))
        insert(database, "one")
        return [before, len(fetch(NAMES, {"after": 0}))]

    assert database.glance(work) == [0, 1]


def test_a_glance_leaves_nothing_open(database: Database) -> None:
    """Not even when what it runs fails in the middle."""

    def work(fetch: t.Any) -> None:
        fetch(NAMES, {"after": 0})
        raise LookupError

    insert(database, "one")
    for _ in range(20):
        with pytest.raises(LookupError):
            database.glance(work)
        assert names(database) == ["one"]
    with database.engine.connect() as connection:  # nothing is in its way
        connection.execute(sa.text("DROP TABLE things"))
        connection.commit()


def test_a_glance_that_fails_fails_as_a_read_does(database: Database) -> None:
    database.write(metadata.drop_all)
    with pytest.raises((sa.exc.OperationalError, sa.exc.ProgrammingError, StorageUnavailable)):
        names(database)


def test_a_glance_at_a_full_pool_says_so(database_url: str) -> None:
    database = Database(database_url, Pool(pool_size=1, max_overflow=0, pool_timeout=0.1))
    prepare(database)
    with database.engine.connect(), pytest.raises(StorageUnavailable, match="busy"):
        names(database)
    database.dispose()


def test_a_connection_found_dead_at_a_glance_is_replaced(
    proxied: tuple[Proxy, Database],
) -> None:
    proxy, database = proxied
    insert(database, "one")
    proxy.cut()
    assert names(database) == ["one"]


def test_a_glance_at_a_database_that_is_away_says_so(proxied: tuple[Proxy, Database]) -> None:
    proxy, database = proxied
    insert(database, "one")
    with proxy.away(), pytest.raises(StorageUnavailable, match="cannot be reached"):
        names(database)
    assert names(database) == ["one"]


def test_a_host_that_forgets_to_end_its_transaction_hurts_nobody(database: Database) -> None:
    """The engine is among those that a host's Flask-SQLAlchemy knows."""
    insert(database, "one")
    connection = database.engine.raw_connection()
    cursor = connection.cursor()
    if database.dialect == "sqlite":
        cursor.execute("BEGIN")
    cursor.execute("UPDATE things SET name = 'forgotten'")
    connection.close()
    assert connections(database) == 1
    assert names(database) == ["one"]
    insert(database, "two")
    assert names(database) == ["one", "two"]
