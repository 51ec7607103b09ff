"""One database: its engine, and the only place where transactions are run and retried."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import random
import sqlite3
import time
import typing as t
import weakref

import sqlalchemy as sa

from ..config import Pool
from ..errors import ConfigError, StorageUnavailable
from .places import Places
from .statement import Statement, Values

log = logging.getLogger("flask_mesh_sessions.storage")

T = t.TypeVar("T")
Work = t.Callable[[sa.Connection], T]
Rows = t.Sequence[t.Sequence[t.Any]]
Fetch = t.Callable[[Statement, Values], Rows]

ATTEMPTS = 6
#: Both in seconds.
CONNECT_TIMEOUT = 10
SQLITE_BUSY_TIMEOUT = 30.0
#: How long a transaction waits for one of the connections that are kept, in seconds.
CONNECTION_PATIENCE = 0.05
#: How long a SQLite writer waits for those of its own process, in seconds.
WRITER_PATIENCE = 1.0
SQLITE_MINIMUM = (3, 35, 0)

#: MySQL and MariaDB: record changed, lock wait timeout, deadlock.
_MYSQL_RETRY = frozenset({1020, 1205, 1213})
#: PostgreSQL: serialization failure, deadlock.
_POSTGRESQL_RETRY = frozenset({"40001", "40P01"})
#: PostgreSQL: shutting down or starting up.
_POSTGRESQL_GONE = frozenset({"57P01", "57P02", "57P03"})

#: What a connection's record says between a commit and its return to the pool.
_COMMITTED = "mesh_committed"

_MYSQL_SETUP = (
    "SET time_zone = '+00:00', innodb_lock_wait_timeout = 20,"
    " sql_mode = CONCAT(@@sql_mode, ',STRICT_ALL_TABLES')"
)

_databases: weakref.WeakSet[Database]


class Database:
    """An engine and the transactions on it.

    :param url: an SQLAlchemy URL with its driver.
    :param pool: the pool's limits.
    :raises ConfigError: if the database is a SQLite older than 3.35.0.
    """

    def __init__(self, url: str, pool: Pool) -> None:
        self.url = sa.make_url(url)
        self.engine = make_engine(self.url, pool)
        # To wait for a connection that comes back in a moment is cheaper than to open one more
        # for a single transaction, and SQLite's writers would sleep until they try again.
        self._places = Places(pool.pool_size, CONNECTION_PATIENCE)
        alone = Places(1, WRITER_PATIENCE)
        self._writing_places = alone if self.dialect == "sqlite" else self._places
        _databases.add(self)

    def __repr__(self) -> str:
        return f"<Database {self.url.render_as_string(hide_password=True)}>"

    @property
    def dialect(self) -> str:
        """``sqlite``, ``postgresql`` or ``mysql`` (MariaDB too)."""
        return "mysql" if self.engine.dialect.name == "mariadb" else self.engine.dialect.name

    def read(self, work: Work[T]) -> T:
        """Run ``work`` in a transaction that only reads.

        :raises StorageUnavailable: if the database cannot be reached.
        """
        return self._run(False, work, None)

    def write(self, work: Work[T], written: Work[T | None] | None = None) -> T:
        """Run ``work`` in a transaction and commit it.

        ``work`` may run several times: after a deadlock, or when its connection turns out
        to be dead. It must not have effects outside the transaction.

        :param written: reads back what ``work`` wrote, for a commit whose answer was lost.
            It returns what ``work`` would have, or ``None`` if nothing was committed,
            and ``work`` is then run again. Without it, such a commit is an error.
        :raises StorageUnavailable: if the database cannot be reached, or the outcome of
            the commit cannot be known.
        """
        return self._run(True, work, written)

    def glance(self, work: t.Callable[[Fetch], T]) -> T:
        """Run ``work``, which only reads, with no transaction around its SELECTs.

        They go past SQLAlchemy, which would take longer than most of them do. Nothing ties
        them together: each sees what is committed when it runs.

        :param work: is given a function that fetches the rows of a :class:`Statement`.
        :raises StorageUnavailable: if the database cannot be reached.
        """
        try:
            return self._glance(work)
        except self.engine.dialect.loaded_dbapi.Error:
            # The long way knows which errors pass, and what to do about them.
            return self.read(lambda connection: work(functools.partial(_fetch, connection)))
        except sa.exc.TimeoutError as error:
            raise StorageUnavailable(_BUSY) from error

    def _glance(self, work: t.Callable[[Fetch], T]) -> T:
        dialect = self.engine.dialect
        with self._places.place(), contextlib.closing(self.engine.raw_connection()) as connection:
            cursor = connection.cursor()
            try:
                return work(lambda statement, values: statement.fetch(dialect, cursor, values))
            except BaseException as error:
                connection.invalidate(error)  # it may be dead, or in the middle of an answer
                raise

    def dispose(self) -> None:
        """Close the pooled connections."""
        self.engine.dispose()

    def forget(self) -> None:
        """Leave the connections to the process that opened them: this is its child."""
        self.engine.dispose(close=False)
        self._places.renew()
        self._writing_places.renew()

    def _run(self, writes: bool, work: Work[T], written: Work[T | None] | None) -> T:
        began = time.monotonic()
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._once(writes, work)
            except _CommitUnknown as unknown:
                found = self.read(written) if written else None
                if found is not None:
                    return found
                if written is None:
                    raise StorageUnavailable(
                        "The database went away before it confirmed the change."
                    ) from unknown.__cause__
            except (sa.exc.DBAPIError, sa.exc.TimeoutError, _NoConnection) as error:
                waited = time.monotonic() - began
                if attempt == ATTEMPTS or waited > SQLITE_BUSY_TIMEOUT or not _again(error):
                    unavailable = _unavailable(error)
                    if unavailable is None:
                        raise
                    raise unavailable from error
            time.sleep(random.uniform(0.5, 1.0) * 0.02 * 2**attempt if attempt > 1 else 0)
        raise StorageUnavailable("The database kept refusing the transaction.")

    def _once(self, writes: bool, work: Work[T]) -> T:
        places = self._writing_places if writes else self._places
        with places.place(), _connected(self.engine) as connection:
            if writes:
                writes_next(connection)
            transaction = connection.begin()
            result = work(connection)
            if not writes:
                return result
            try:
                transaction.commit()
            except sa.exc.DBAPIError as error:
                if error.connection_invalidated:
                    raise _CommitUnknown from error
                raise
            connection.info[_COMMITTED] = True
            return result


class _CommitUnknown(Exception):
    """The connection was lost while a commit was under way."""


class _NoConnection(Exception):
    """No connection could be opened."""


def _connected(engine: sa.Engine) -> sa.Connection:
    try:
        return engine.connect()
    except (sa.exc.OperationalError, sa.exc.InterfaceError) as error:
        raise _NoConnection from error


def _fetch(connection: sa.Connection, statement: Statement, values: Values) -> Rows:
    return statement(connection, values).all()


def _gone(error: sa.exc.DBAPIError) -> bool:
    return error.connection_invalidated or getattr(error.orig, "pgcode", None) in _POSTGRESQL_GONE


def _again(error: Exception) -> bool:
    """Whether the transaction was certainly not committed and may succeed if run again."""
    if not isinstance(error, sa.exc.DBAPIError):
        return isinstance(error, _NoConnection)
    original: t.Any = error.orig
    if isinstance(original, sqlite3.Error):
        return isinstance(original, sqlite3.OperationalError) and "locked" in str(original)
    if getattr(original, "pgcode", None) in _POSTGRESQL_RETRY or _gone(error):
        return True
    number = original.args[0] if getattr(original, "args", ()) else None
    return number in _MYSQL_RETRY


_BUSY = "All database connections are busy. Please retry."


def _unavailable(error: Exception) -> StorageUnavailable | None:
    """What to tell the caller if it is the database that failed, not the statement."""
    if isinstance(error, sa.exc.TimeoutError):
        return StorageUnavailable(_BUSY)
    if isinstance(error, (_NoConnection, sa.exc.InterfaceError)) or _again(error):
        return StorageUnavailable("The database cannot be reached. Please retry.")
    if isinstance(error, sa.exc.OperationalError):  # a full disk, a lost privilege
        log.error("The database refuses: %s", " ".join(str(error.orig).split()))
        return StorageUnavailable("The database cannot do this now. Please retry.")
    return None


def make_engine(url: sa.URL, pool: Pool | None) -> sa.Engine:
    """An engine with this package's conventions.

    :param pool: the pool's limits, or ``None`` for an engine that keeps no connection.
    """
    options: dict[str, t.Any] = {"poolclass": sa.NullPool}
    if pool is not None:
        options = {
            "pool_size": pool.pool_size,
            "max_overflow": pool.max_overflow,
            "pool_timeout": pool.pool_timeout,
            "pool_recycle": pool.pool_recycle,
        }
    backend = url.get_backend_name()
    if backend in ("mysql", "mariadb"):
        # REPEATABLE READ would show a lost compare-and-set as free.
        options["isolation_level"] = "READ COMMITTED"
        options["connect_args"] = {"init_command": _MYSQL_SETUP}
    elif backend == "postgresql":
        options["isolation_level"] = "READ COMMITTED"
        if "connect_timeout" not in url.query:  # PyMySQL has the same limit by itself
            options["connect_args"] = {"connect_timeout": CONNECT_TIMEOUT}
    if backend != "sqlite":
        engine = sa.create_engine(url, pool_reset_on_return=None, **options)
        sa.event.listen(engine, "reset", _reset)
        return engine
    check_sqlite_version()
    options["connect_args"] = {
        "timeout": SQLITE_BUSY_TIMEOUT,
        "check_same_thread": False,
        "factory": _SqliteConnection,
    }
    engine = sa.create_engine(url, **options)
    sa.event.listen(engine, "connect", _sqlite_connect)
    # Not the "begin" event: an engine that has one takes longer for every statement.
    engine.dialect.do_begin = _sqlite_begin  # type: ignore[method-assign]
    return engine


def writes_next(connection: sa.Connection) -> None:
    """Say that the next transaction on this connection writes.

    On SQLite it then waits for its turn at its beginning: to become a writer later fails at
    once if another has written since.
    """
    driver_connection = connection.connection.dbapi_connection
    if isinstance(driver_connection, _SqliteConnection):
        driver_connection.begin = "BEGIN IMMEDIATE"


class _SqliteConnection(sqlite3.Connection):
    #: How the next transaction begins.
    begin = "BEGIN"


def check_sqlite_version(version: tuple[int, ...] = sqlite3.sqlite_version_info) -> None:
    """Refuse a SQLite that lacks what the statements need.

    :raises ConfigError: naming the version found and the one needed.
    """
    if version < SQLITE_MINIMUM:
        found = ".".join(map(str, version))
        raise ConfigError(f"SQLite 3.35.0 or newer is needed; this Python has {found}.")


def _sqlite_connect(connection: t.Any, record: t.Any) -> None:
    connection.isolation_level = None  # BEGIN is ours, see _sqlite_begin
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _sqlite_begin(dbapi_connection: sa.PoolProxiedConnection) -> None:
    connection = t.cast(_SqliteConnection, dbapi_connection.dbapi_connection)
    begin, connection.begin = connection.begin, "BEGIN"
    connection.execute(begin)


def _reset(connection: t.Any, record: t.Any, state: t.Any) -> None:
    """Roll back what a user of a connection has left open.

    After a commit that is nothing, but PyMySQL would ask the server all the same.
    """
    committed = record is not None and record.info.pop(_COMMITTED, False)
    if not committed and not state.transaction_was_reset:
        connection.rollback()


class Databases:
    """The databases of one app, one per distinct URL.

    :param pool: the limits of each pool.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._by_url: dict[str, Database] = {}

    def get(self, url: str) -> Database:
        """The database at ``url``."""
        if url not in self._by_url:
            self._by_url[url] = Database(url, self._pool)
        return self._by_url[url]

    def dispose(self) -> None:
        """Close every pooled connection."""
        for database in self._by_url.values():
            database.dispose()


def _forget_connections() -> None:
    """In a forked child the parent's connections are not ours, not even to close."""
    for database in list(_databases):
        database.forget()


_databases = weakref.WeakSet()
os.register_at_fork(after_in_child=_forget_connections)
