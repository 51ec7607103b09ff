"""The databases and the browser the tests run on: found, made, dropped, or said to be missing."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
import shutil
import typing as t
import uuid
from pathlib import Path

import pytest
import sqlalchemy as sa

BACKENDS = ("sqlite", "postgresql", "mariadb")
BROWSER = "browser"

REQUIRE_VARIABLE = "MESH_TEST_REQUIRE"
CHROMIUM_VARIABLE = "MESH_TEST_CHROMIUM"
URL_VARIABLES = {
    "postgresql": "MESH_TEST_POSTGRESQL_URL",
    "mariadb": "MESH_TEST_MARIADB_URL",
}
DEFAULT_URLS = {
    "postgresql": "postgresql://postgres@127.0.0.1:5432/postgres",
    "mariadb": "mysql+pymysql://root@127.0.0.1:3306/test",
}
DRIVERS = {"postgresql": "postgresql+psycopg2", "mariadb": "mysql+pymysql"}
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

#: How the reason of a skip begins, so that the summary can tell these skips from others.
NOT_TESTED = "NOT TESTED: "


def server_url(backend: str) -> sa.URL:
    """The address of the server that makes databases for the tests.

    :param backend: ``postgresql`` or ``mariadb``.
    """
    given = os.environ.get(URL_VARIABLES[backend]) or DEFAULT_URLS[backend]
    return sa.make_url(given).set(drivername=DRIVERS[backend])


@contextlib.contextmanager
def server_connection(backend: str) -> t.Iterator[sa.Connection]:
    """A connection in autocommit mode to the server, closed for good at the end.

    :param backend: ``postgresql`` or ``mariadb``.
    """
    url = server_url(backend)
    if backend == "mariadb":  # the database named in the address need not exist
        url = url._replace(database=None)
    engine = sa.create_engine(
        url,
        poolclass=sa.NullPool,
        isolation_level="AUTOCOMMIT",
        connect_args={"connect_timeout": 5},
    )
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


@functools.cache
def missing(name: str) -> str | None:
    """Why something cannot be tested here, or ``None`` when it can.

    :param name: one of :data:`BACKENDS`, or ``browser``.
    """
    if name == "sqlite":
        return None
    if name == BROWSER:
        return _missing_browser()
    try:
        with server_connection(name) as connection:
            connection.execute(sa.text("SELECT 1"))
    except sa.exc.DBAPIError as error:
        where = server_url(name).render_as_string(hide_password=True)
        reason = " ".join(str(error.orig).split())
        return f"no answer at {where} (set {URL_VARIABLES[name]}): {reason}"
    return None


def _missing_browser() -> str | None:
    if find_chromium() is None:
        names = ", ".join(CHROMIUM_NAMES)
        return f"none of {names} is on PATH (set {CHROMIUM_VARIABLE})"
    if importlib.util.find_spec("playwright") is None:
        return "the playwright package is not installed"
    return None


def find_chromium() -> str | None:
    """The path of a Chromium or Chrome on this machine, or ``None``."""
    given = os.environ.get(CHROMIUM_VARIABLE)
    names = (given,) if given else CHROMIUM_NAMES
    return next((path for name in names if (path := shutil.which(name))), None)


def required() -> frozenset[str]:
    """The names that must be tested: missing, they fail a test instead of skipping it.

    :raises pytest.UsageError: ``MESH_TEST_REQUIRE`` names something that does not exist.
    """
    names = frozenset(os.environ.get(REQUIRE_VARIABLE, "").replace(",", " ").split())
    unknown = names - {*BACKENDS, BROWSER}
    if unknown:
        allowed = ", ".join((*BACKENDS, BROWSER))
        raise pytest.UsageError(
            f"{REQUIRE_VARIABLE} names {', '.join(sorted(unknown))}; allowed are {allowed}"
        )
    return names


def need(name: str) -> None:
    """Skip the running test when something it needs is missing, or fail it when required.

    :param name: one of :data:`BACKENDS`, or ``browser``.
    """
    reason = missing(name)
    if reason is None:
        return
    if name in required():
        pytest.fail(f"{name} is required by {REQUIRE_VARIABLE}: {reason}", pytrace=False)
    pytest.skip(f"{NOT_TESTED}{name}: {reason}")


@contextlib.contextmanager
def temporary_database(backend: str, folder: Path) -> t.Iterator[str]:
    """The URL of a fresh empty database, which is dropped at the end, whoever still uses it.

    :param backend: one of :data:`BACKENDS`; it must not be :func:`missing`.
    :param folder: where a SQLite file is put.
    """
    name = f"mesh_test_{uuid.uuid4().hex}"
    if backend == "sqlite":
        yield f"sqlite:///{folder / name}.db"
        return
    _create(backend, name)
    try:
        yield server_url(backend).set(database=name).render_as_string(hide_password=False)
    finally:
        _drop(backend, name)


def _create(backend: str, name: str) -> None:
    suffix = " CHARACTER SET utf8mb4" if backend == "mariadb" else ""
    with server_connection(backend) as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}{suffix}"))


def _drop(backend: str, name: str) -> None:
    with server_connection(backend) as connection:
        if backend == "postgresql":
            connection.execute(sa.text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
            return
        # An open transaction would hold the drop back for a day, the server's default.
        connection.execute(sa.text("SET SESSION lock_wait_timeout = 30"))
        _kill_mariadb_connections(connection, name)
        connection.execute(sa.text(f"DROP DATABASE IF EXISTS {name}"))


def _kill_mariadb_connections(connection: sa.Connection, name: str) -> None:
    query = sa.text("SELECT id FROM information_schema.processlist WHERE db = :name")
    for thread in connection.execute(query, {"name": name}).scalars().all():
        with contextlib.suppress(sa.exc.OperationalError):  # it may have left by itself
            connection.execute(sa.text(f"KILL {int(thread)}"))
