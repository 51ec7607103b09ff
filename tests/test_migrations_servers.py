"""What migrations do on PostgreSQL alone, and on MariaDB alone."""

from __future__ import annotations

import contextlib
import logging
import threading
import typing as t
import uuid
from pathlib import Path

import pytest
import sqlalchemy as sa

from flask_mesh_sessions.agents import tables as agent_tables  # noqa: F401
from flask_mesh_sessions.errors import MigrationError
from flask_mesh_sessions.gateway import tables as gateway_tables  # noqa: F401
from flask_mesh_sessions.platform import tables as platform_tables  # noqa: F401
from flask_mesh_sessions.storage import migration_lease, migration_scripts, migrations
from flask_mesh_sessions.storage.migrations import Target
from flask_mesh_sessions.web_session import web_sessions  # noqa: F401
from tests import databases
from tests.migration_tools import all_schemas, connected, execute, tables


@pytest.fixture
def postgresql_url(tmp_path: Path) -> t.Iterator[str]:
    databases.need("postgresql")
    with databases.temporary_database("postgresql", tmp_path) as url:
        yield url


@pytest.fixture
def plain_role() -> t.Iterator[str]:
    """A user who may make tables and nothing else."""
    name = f"mesh_test_{uuid.uuid4().hex}"
    with databases.server_connection("postgresql") as connection:
        connection.exec_driver_sql(f"CREATE ROLE {name} LOGIN PASSWORD '{name}'")
        yield name
        connection.exec_driver_sql(f"DROP ROLE {name}")


def trigrams(url: str) -> set[str]:
    with connected(url) as connection:
        query = "SELECT indexname FROM pg_indexes WHERE indexdef LIKE '%%gin_trgm_ops%%'"
        return set(connection.exec_driver_sql(query).scalars())


def test_trigram_indexes_where_they_can_be_made(postgresql_url):
    migrations.upgrade([Target("gateway", postgresql_url)])
    assert trigrams(postgresql_url) == migration_scripts.OPTIONAL_INDEXES


def test_no_trigram_indexes_where_they_cannot(postgresql_url, plain_role, caplog):
    caplog.set_level(logging.INFO, "flask_mesh_sessions")
    execute(postgresql_url, f"GRANT CREATE ON SCHEMA public TO {plain_role}")
    plain = sa.make_url(postgresql_url).set(username=plain_role, password=plain_role)
    target = Target("gateway", plain.render_as_string(hide_password=False))
    migrations.upgrade([target])
    assert trigrams(postgresql_url) == set()
    assert any("pg_trgm" in record.getMessage() for record in caplog.records)
    assert migrations.pending([target]) == []
    migrations.check([target])
    execute(postgresql_url, f"DROP OWNED BY {plain_role}")


@pytest.mark.parametrize("extension_first", [False, True])
def test_another_schema_is_a_way_out(postgresql_url, extension_first):
    execute(postgresql_url, "CREATE TABLE sessions (x INTEGER)", "CREATE SCHEMA mesh")
    if extension_first:
        execute(postgresql_url, "CREATE EXTENSION pg_trgm")
    targets = all_schemas(f"{postgresql_url}?options=-csearch_path%3Dmesh")
    migrations.upgrade(targets)
    assert migrations.pending(targets) == []
    migrations.check(targets)
    assert tables(postgresql_url) == {"sessions"}
    assert trigrams(postgresql_url) == migration_scripts.OPTIONAL_INDEXES
    for target in targets:
        migrations.downgrade(target, "base")
    assert tables(targets[0].url) == set()


def test_a_statement_timeout_does_not_end_the_wait(postgresql_url):
    """The limit is the user's, for requests; a migration that waits for another goes on."""
    target = Target("agent", f"{postgresql_url}?options=-cstatement_timeout%3D50")
    key = sa.text("SELECT pg_advisory_xact_lock(:key)").bindparams(key=0x6D65_7368_0000_0002)
    engine = sa.create_engine(postgresql_url, poolclass=sa.NullPool)
    with engine.begin() as other:
        other.execute(key)
        waiting = threading.Thread(target=migrations.upgrade, args=([target],))
        waiting.start()
        waits = sa.text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        while not other.scalar(waits):
            pass
        other.execute(sa.text("SELECT pg_sleep(0.2)"))  # longer than the limit
        assert waiting.is_alive()
    waiting.join()
    assert migrations.pending([target]) == []


@pytest.fixture
def mariadb(tmp_path: Path) -> t.Iterator[sa.Engine]:
    databases.need("mariadb")
    with databases.temporary_database("mariadb", tmp_path) as url:
        engine = sa.create_engine(url, poolclass=sa.NullPool)
        yield engine
        engine.dispose()


def test_ids_compare_byte_for_byte(mariadb):
    url = mariadb.url.render_as_string(hide_password=False)
    migrations.upgrade(all_schemas(url))
    query = (
        "SELECT DISTINCT collation_name FROM information_schema.columns"
        " WHERE table_schema = DATABASE() AND table_name NOT LIKE 'mesh\\_%%\\_version'"
        " AND collation_name IS NOT NULL"
    )
    with connected(url) as connection:
        found = set(connection.exec_driver_sql(query).scalars())
    assert found == {"ascii_bin", "utf8mb4_bin"}


def test_a_lease_that_is_not_renewed_goes_to_the_next(mariadb, monkeypatch):
    monkeypatch.setattr(migration_lease, "LEASE_SECONDS", 0.3)
    first, second = (migration_lease.Lease(mariadb, "agent") for _ in range(2))
    with first.held():
        first.check()
        monkeypatch.setattr(migration_lease, "LEASE_SECONDS", 60.0)
        with second.held():  # waits until the first has expired
            second.check()
            with pytest.raises(MigrationError, match="agent"):
                first.check()
            with mariadb.connect() as connection:
                owner = connection.scalar(sa.select(migration_lease.leases.c.owner))
            assert owner == second._me


def test_a_lease_taken_over_is_not_given_back_by_its_old_holder(mariadb, monkeypatch):
    monkeypatch.setattr(migration_lease, "LEASE_SECONDS", 0.3)
    first, second = (migration_lease.Lease(mariadb, "agent") for _ in range(2))
    with contextlib.ExitStack() as stack:
        with first.held():
            monkeypatch.setattr(migration_lease, "LEASE_SECONDS", 60.0)
            stack.enter_context(second.held())
        with mariadb.connect() as connection:
            owner = connection.scalar(sa.select(migration_lease.leases.c.owner))
        assert owner == second._me


def test_a_lease_is_renewed_while_it_is_needed(mariadb, monkeypatch):
    monkeypatch.setattr(migration_lease, "LEASE_SECONDS", 2.0)
    lease = migration_lease.Lease(mariadb, "agent")
    until = sa.select(migration_lease.leases.c.lease_until)
    with lease.held(), lease.renewed(), mariadb.connect() as connection:
        connection = connection.execution_options(isolation_level="AUTOCOMMIT")
        first = connection.scalar(until)
        while connection.scalar(until) == first:
            lease.check()


def test_statements_stop_when_the_lease_is_lost(mariadb, monkeypatch):
    monkeypatch.setattr(migration_lease, "LEASE_SECONDS", 1.0)
    with pytest.raises(MigrationError, match="agent"):
        with migration_lease.lease(mariadb, "agent") as connection:
            with mariadb.begin() as other:
                other.execute(sa.update(migration_lease.leases).values(owner="another"))
            while True:
                connection.exec_driver_sql("SELECT 1")
