"""Transactions: what is retried, what is read back, and what is never done twice."""

from __future__ import annotations

import multiprocessing
import threading
import time
import typing as t
from pathlib import Path

import pytest
import sqlalchemy as sa

from flask_mesh_sessions.config import Pool
from flask_mesh_sessions.errors import ConfigError, StorageUnavailable
from flask_mesh_sessions.storage.database import Database, Databases, check_sqlite_version
from flask_mesh_sessions.storage.schema import now_ms
from tests import databases
from tests.proxy import Proxy

COUNT = sa.text("SELECT count(*) FROM things")
INSERT = sa.text("INSERT INTO things (name) VALUES (:name)")
#: As it stands in the drivers' messages; "READ COMMITTED" is another thing.
_COMMIT = {"postgresql": b"COMMIT\x00", "mysql": b"COMMIT"}
SERVERS = pytest.mark.parametrize("server", ["postgresql", "mariadb"])


@pytest.fixture
def database(database_url: str) -> t.Iterator[Database]:
    found = Database(database_url, Pool())
    prepare(found)
    yield found
    found.dispose()


def prepare(database: Database) -> None:
    table = sa.text("CREATE TABLE things (name VARCHAR(20) PRIMARY KEY, n INTEGER DEFAULT 0)")
    database.write(lambda c: c.execute(table))


def count(database: Database) -> int:
    return int(database.read(lambda c: c.execute(COUNT).scalar_one()))


def insert(database: Database, name: str, written: t.Any = None) -> None:
    database.write(lambda c: c.execute(INSERT, {"name": name}).rowcount, written)


@pytest.fixture
def proxied(server: str, tmp_path: Path) -> t.Iterator[tuple[Proxy, Database]]:
    """A database behind a proxy."""
    databases.need(server)
    with databases.temporary_database(server, tmp_path) as url:
        address = sa.make_url(url)
        default = 5432 if server == "postgresql" else 3306
        proxy = Proxy((address.host or "127.0.0.1", address.port or default))
        behind = address.set(host="127.0.0.1", port=proxy.port)
        if server == "postgresql":  # so that the proxy can read along
            behind = behind.update_query_dict({"sslmode": "disable"})
        found = Database(behind.render_as_string(hide_password=False), Pool())
        prepare(found)
        yield proxy, found
        found.dispose()
        proxy.close()


def test_what_fails_is_rolled_back(database: Database) -> None:
    def work(connection: sa.Connection) -> None:
        connection.execute(INSERT, {"name": "a"})
        raise RuntimeError("changed my mind")

    with pytest.raises(RuntimeError):
        database.write(work)
    assert count(database) == 0


def test_a_read_writes_nothing(database: Database) -> None:
    database.read(lambda c: c.execute(INSERT, {"name": "a"}))
    assert count(database) == 0


@SERVERS
def test_a_connection_found_dead_is_replaced(proxied: tuple[Proxy, Database]) -> None:
    proxy, database = proxied
    insert(database, "a")
    proxy.cut()
    insert(database, "b")
    proxy.cut()
    assert count(database) == 2


@SERVERS
def test_a_connection_lost_in_the_middle_is_replaced(proxied: tuple[Proxy, Database]) -> None:
    proxy, database = proxied
    runs = 0

    def work(connection: sa.Connection) -> None:
        nonlocal runs
        runs += 1
        connection.execute(INSERT, {"name": "a"})
        if runs == 1:
            proxy.cut()
        connection.execute(INSERT, {"name": "b"})

    database.write(work)
    assert (runs, count(database)) == (2, 2)


@SERVERS
def test_a_commit_whose_answer_is_lost_is_read_back(proxied: tuple[Proxy, Database]) -> None:
    proxy, database = proxied
    runs = 0

    def work(connection: sa.Connection) -> str:
        nonlocal runs
        runs += 1
        connection.execute(INSERT, {"name": "a"})
        return "written"

    def written(connection: sa.Connection) -> str | None:
        return "read back" if connection.execute(COUNT).scalar() else None

    proxy.lose_answer_to(_COMMIT[database.dialect])
    assert database.write(work, written) == "read back"
    assert (runs, count(database)) == (1, 1)


@SERVERS
def test_a_commit_whose_answer_is_lost_is_never_repeated_blindly(
    proxied: tuple[Proxy, Database],
) -> None:
    proxy, database = proxied
    proxy.lose_answer_to(_COMMIT[database.dialect])
    with pytest.raises(StorageUnavailable, match="before it confirmed"):
        insert(database, "a")
    assert count(database) == 1


@SERVERS
def test_a_database_that_is_away_is_said_to_be(proxied: tuple[Proxy, Database]) -> None:
    proxy, database = proxied
    with proxy.away(), pytest.raises(StorageUnavailable) as error:
        insert(database, "a")
    assert "INSERT" not in str(error.value) and str(proxy.port) not in str(error.value)
    insert(database, "a")
    assert count(database) == 1


@SERVERS
def test_a_database_that_comes_back_is_waited_for(proxied: tuple[Proxy, Database]) -> None:
    proxy, database = proxied
    with proxy.away():
        waiting = threading.Thread(target=insert, args=(database, "a"))
        waiting.start()
        before = proxy.accepted
        while proxy.accepted == before:
            pass
    waiting.join(20)
    assert count(database) == 1


@SERVERS
def test_a_deadlock_is_run_again(server: str, tmp_path: Path) -> None:
    databases.need(server)
    with databases.temporary_database(server, tmp_path) as url:
        database = Database(url, Pool())
        prepare(database)
        insert(database, "a")
        insert(database, "b")
        both = threading.Barrier(2)
        runs: list[str] = []

        def cross(first: str, second: str) -> None:
            met = False

            def work(connection: sa.Connection) -> None:
                nonlocal met
                runs.append(first)
                change = sa.text("UPDATE things SET n = n + 1 WHERE name = :name")
                connection.execute(change, {"name": first})
                if not met:
                    met = True
                    both.wait(10)
                connection.execute(change, {"name": second})

            database.write(work)

        threads = [threading.Thread(target=cross, args=pair) for pair in (("a", "b"), ("b", "a"))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        total = database.read(lambda c: c.execute(sa.text("SELECT sum(n) FROM things")).scalar())
        assert len(runs) >= 3, "one of them was the victim"
        assert total == 4
        database.dispose()


def test_writers_take_turns(database: Database) -> None:
    insert(database, "a")
    select = sa.text("SELECT n FROM things")
    if database.dialect != "sqlite":
        select = sa.text("SELECT n FROM things FOR UPDATE")

    def add(connection: sa.Connection) -> None:
        found = connection.execute(select).scalar_one()
        connection.execute(sa.text("UPDATE things SET n = :n"), {"n": found + 1})

    def many() -> None:
        for _ in range(20):
            database.write(add)

    threads = [threading.Thread(target=many) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert database.read(lambda c: c.execute(sa.text("SELECT n FROM things")).scalar()) == 120


def test_a_full_pool_is_said_to_be(database_url: str) -> None:
    database = Database(database_url, Pool(pool_size=1, max_overflow=0, pool_timeout=0.1))
    with database.engine.connect(), pytest.raises(StorageUnavailable, match="busy"):
        database.read(lambda c: c.execute(sa.text("SELECT 1")))
    database.dispose()


def test_errors_of_the_statement_are_not_hidden(database: Database) -> None:
    insert(database, "a")
    with pytest.raises(sa.exc.IntegrityError):
        insert(database, "a")


def test_the_clock_is_the_databases_and_does_not_stand_still(database: Database) -> None:
    clock = sa.select(now_ms())
    first, later = database.read(lambda c: (c.execute(clock).scalar_one(), _slowly(c, clock)))
    assert first < later < first + 60_000
    assert abs(first / 1000 - time.time()) < 60


def _slowly(connection: sa.Connection, clock: sa.Select[t.Any]) -> int:
    time.sleep(0.02)
    return int(connection.execute(clock).scalar_one())


def test_one_database_for_one_url(sqlite_url: str, tmp_path: Path) -> None:
    found = Databases(Pool())
    assert found.get(sqlite_url) is found.get(sqlite_url)
    with databases.temporary_database("sqlite", tmp_path / "x") as other:
        assert found.get(other) is not found.get(sqlite_url)
    found.dispose()


# The point of the test: it is safe here.
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_does_not_use_its_parents_connections(database: Database) -> None:
    insert(database, "parent")
    context = multiprocessing.get_context("fork")
    failed = context.Value("i", 0)

    def child(name: str) -> None:
        try:
            insert(database, name)
            count(database)
        except BaseException:
            failed.value += 1
            raise

    children = [context.Process(target=child, args=(f"child-{n}",)) for n in range(4)]
    for each in children:
        each.start()
    for _ in range(20):
        assert count(database) >= 1
    for each in children:
        each.join(30)
    assert (failed.value, count(database)) == (0, 5)


def test_passwords_are_not_shown(tmp_path: Path) -> None:
    database = Database("postgresql+psycopg2://ada:s3cret@127.0.0.1:1/x", Pool())
    assert "s3cret" not in repr(database)
    with pytest.raises(StorageUnavailable) as error:
        database.read(lambda c: c.execute(sa.text("SELECT 1")))
    assert "s3cret" not in str(error.value)


def test_an_old_sqlite_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"3\.35\.0 or newer.*3\.34\.1"):
        check_sqlite_version((3, 34, 1))
    check_sqlite_version((3, 35, 0))
