"""The migrations of one process: what they make, refuse, undo and leave alone."""

from __future__ import annotations

import logging
import shutil
import threading
import typing as t
from pathlib import Path

import pytest
import sqlalchemy as sa

from flask_mesh_sessions.agents import tables as agent_tables  # noqa: F401
from flask_mesh_sessions.errors import MigrationError, StorageUnavailable
from flask_mesh_sessions.gateway import tables as gateway_tables  # noqa: F401
from flask_mesh_sessions.platform import tables as platform_tables  # noqa: F401
from flask_mesh_sessions.storage import migration_scripts, migrations
from flask_mesh_sessions.storage.migrations import OWNED_TABLES, Target
from flask_mesh_sessions.storage.schema import METADATA, version_table
from flask_mesh_sessions.web_session import web_sessions  # noqa: F401
from tests.migration_tools import SCHEMAS, all_schemas, connected, execute, tables


def catalog(url: str, table: str) -> set[tuple[t.Any, ...]]:
    """Everything the database itself knows about a table."""
    with connected(url) as connection:
        queries = CATALOG[connection.dialect.name]
        rows = [connection.exec_driver_sql(query.format(table)).all() for query in queries]
    if queries is CATALOG["mysql"]:  # the order of indexes is that of their making
        return {(line.strip(" ,"),) for line in rows[0][0][1].splitlines()}
    return {tuple(row) for found in rows for row in found}


CATALOG = {
    "sqlite": (
        "SELECT name, type, \"notnull\", dflt_value, pk FROM pragma_table_xinfo('{}')",
        'SELECT "from", "table", "to", on_delete FROM pragma_foreign_key_list(\'{}\')',
        "SELECT l.name NOT LIKE 'sqlite_%', l.\"unique\", l.origin, x.seqno, x.name, x.coll"
        " FROM pragma_index_list('{0}') l, pragma_index_xinfo(l.name) x WHERE x.key",
        "SELECT name, sql FROM sqlite_master WHERE tbl_name = '{}' AND type = 'index'",
    ),
    "postgresql": (
        "SELECT a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,"
        " pg_get_expr(d.adbin, d.adrelid), c.collname FROM pg_attribute a"
        " LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum"
        " LEFT JOIN pg_collation c ON c.oid = a.attcollation"
        " WHERE a.attrelid = '{}'::regclass AND a.attnum > 0",
        "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE conrelid = '{}'::regclass",
        "SELECT indexname, indexdef FROM pg_indexes"
        " WHERE tablename = '{}' AND indexname NOT LIKE '%%trigrams'",
    ),
    "mysql": ("SHOW CREATE TABLE {}",),
}


def test_the_names_of_our_tables_are_those_declared():
    for schema in SCHEMAS:
        assert migration_scripts.TABLES[schema] == set(METADATA[schema].tables)
        assert version_table(schema) in OWNED_TABLES[schema]
        assert "mesh_migrations" in OWNED_TABLES[schema]


def test_the_scripts_make_what_is_declared(make_database_url):
    scripts, declared = make_database_url(), make_database_url()
    migrations.upgrade(all_schemas(scripts))
    with connected(declared) as connection:
        for schema in SCHEMAS:
            METADATA[schema].create_all(connection)
    for schema in SCHEMAS:
        for table in METADATA[schema].tables:
            assert catalog(scripts, table) == catalog(declared, table)
    migrations.check(all_schemas(scripts))


def test_check_sees_a_difference(database_url):
    targets = [Target("agent", database_url)]
    with pytest.raises(MigrationError, match="Never migrated"):
        migrations.check(targets)
    migrations.upgrade(targets)
    migrations.check(targets)
    execute(database_url, "ALTER TABLE agent_states ADD COLUMN more INTEGER")
    with pytest.raises(MigrationError, match="more"):
        migrations.check(targets)


def test_downgrade_leaves_nothing_of_ours(database_url):
    execute(database_url, "CREATE TABLE theirs (x INTEGER)")
    migrations.upgrade(all_schemas(database_url))
    for target in all_schemas(database_url):
        migrations.downgrade(target, "base")
        assert not tables(database_url) & migration_scripts.TABLES[target.schema]
        assert migrations.current_revision(target) is None
    assert tables(database_url) == {"theirs"}
    migrations.upgrade(all_schemas(database_url))
    assert migrations.pending(all_schemas(database_url)) == []


def test_downgrade_to_an_unknown_revision_changes_nothing(database_url):
    target = Target("agent", database_url)
    with pytest.raises(MigrationError, match="Never migrated"):
        migrations.downgrade(target, "base")
    migrations.upgrade([target])
    before = tables(database_url)
    with pytest.raises(MigrationError, match="nonsense"):
        migrations.downgrade(target, "nonsense")
    assert tables(database_url) == before
    assert migrations.pending([target]) == []


def test_pending_says_what_is_behind(database_url):
    target = Target("platform", database_url)
    (found,) = migrations.pending([target, target])
    assert found == migrations.Pending(target, None, migration_scripts.head("platform"))
    assert tables(database_url) == set()
    migrations.upgrade([target])
    assert migrations.pending([target]) == []


def test_pending_makes_no_sqlite_file(tmp_path):
    target = Target("gateway", f"sqlite:///{tmp_path}/none/new.db")
    assert [found.current for found in migrations.pending([target])] == [None]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["sessions", "agent_events", "platform_agents"])
def test_a_table_that_is_not_ours_stops_everything(database_url, name):
    schema = next(s for s in SCHEMAS if name in migration_scripts.TABLES[s])
    execute(database_url, f"CREATE TABLE {name} (x INTEGER)", f"INSERT INTO {name} VALUES (7)")
    with pytest.raises(MigrationError) as refused:
        migrations.upgrade([Target(schema, database_url)])
    assert name in refused.value.message
    assert str(sa.make_url(database_url).database) in refused.value.message
    assert "search_path" in refused.value.message
    assert tables(database_url) == {name}
    with connected(database_url) as connection:
        assert connection.exec_driver_sql(f"SELECT x FROM {name}").all() == [(7,)]


def test_a_view_that_is_not_ours_stops_everything(database_url):
    execute(database_url, "CREATE VIEW feedback AS SELECT 1 AS x")
    with pytest.raises(MigrationError, match="feedback"):
        migrations.upgrade([Target("gateway", database_url)])
    assert tables(database_url) == set()


def test_a_refused_sqlite_file_keeps_its_journal_mode(sqlite_url):
    execute(sqlite_url, "CREATE TABLE sessions (x INTEGER)")
    with pytest.raises(MigrationError):
        migrations.upgrade([Target("gateway", sqlite_url)])
    with connected(sqlite_url) as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "delete"
    file = Path(str(sa.make_url(sqlite_url).database))
    assert [other.name for other in file.parent.iterdir()] == [file.name]


def test_what_another_schema_owns_is_not_in_the_way(database_url):
    execute(database_url, "CREATE TABLE sessions (x INTEGER)")
    migrations.upgrade([Target("agent", database_url)])
    assert migrations.pending([Target("agent", database_url)]) == []


def test_the_password_is_never_shown(database_url, backend, caplog):
    caplog.set_level(logging.INFO, "flask_mesh_sessions")
    url = sa.make_url(database_url)
    if backend == "postgresql":
        url = url.set(password="hunter2")
    target = Target("gateway", url.render_as_string(hide_password=False))
    migrations.upgrade([target])
    lines = [r.getMessage() for r in caplog.records if r.name == "flask_mesh_sessions.migrations"]
    assert len(lines) == 1
    assert "gateway" in lines[0] and migration_scripts.head("gateway") in lines[0]
    assert str(url.database) in lines[0]
    assert "hunter2" not in lines[0] + repr(target) + str(target)


@pytest.mark.parametrize("driver", ["postgresql+psycopg2", "mysql+pymysql"])
def test_a_database_that_cannot_be_reached(driver):
    target = Target("agent", f"{driver}://me:hunter2@127.0.0.1:1/memory")
    for ask in (migrations.upgrade, migrations.pending, migrations.check):
        with pytest.raises(StorageUnavailable) as refused:
            ask([target])
        assert "127.0.0.1" in refused.value.message
        assert "hunter2" not in refused.value.message


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    target = Target("agent", f"sqlite:///{tmp_path}/file/sub/agent.db")
    with pytest.raises(MigrationError, match="agent.db"):
        migrations.upgrade([target])


def test_a_database_from_the_future_is_refused(database_url):
    target = Target("gateway", database_url)
    migrations.upgrade([target])
    execute(database_url, "UPDATE mesh_gateway_version SET version_num = '9999'")
    assert [found.current for found in migrations.pending([target])] == ["9999"]
    with pytest.raises(MigrationError, match="9999.*newer"):
        migrations.upgrade([target])


def statements(url: str, work: t.Callable[[], object]) -> list[str]:
    """The statements ``work`` executes, the drivers' own when connecting left out."""
    seen: list[str] = []

    def note(conn: t.Any, cursor: t.Any, statement: str, *rest: t.Any) -> None:
        seen.append(statement)

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        work()
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)
    return [statement for statement in seen if statement not in ("BEGIN", "ROLLBACK")]


def test_a_database_at_its_head_costs_one_query(database_url):
    targets = [Target("gateway", database_url)] * 3
    assert len(statements(database_url, lambda: migrations.upgrade(targets))) > 10
    (only,) = statements(database_url, lambda: migrations.upgrade(targets))
    assert only.startswith("SELECT") and "mesh_gateway_version" in only


def test_every_connection_is_closed(database_url):
    opened: list[t.Any] = []
    closed: list[t.Any] = []
    note_open = lambda connection, record: opened.append(connection)  # noqa: E731
    note_close = lambda connection, record: closed.append(connection)  # noqa: E731
    others = set(threading.enumerate())
    sa.event.listen(sa.pool.Pool, "connect", note_open)
    sa.event.listen(sa.pool.Pool, "close", note_close)
    try:
        migrations.upgrade(all_schemas(database_url))
        migrations.pending(all_schemas(database_url))
    finally:
        sa.event.remove(sa.pool.Pool, "connect", note_open)
        sa.event.remove(sa.pool.Pool, "close", note_close)
    assert len(opened) == len(closed) > 0
    assert set(threading.enumerate()) <= others


def test_the_printed_sql_makes_the_same(make_database_url, backend):
    printed, scripts = make_database_url(), make_database_url()
    pieces: list[str] = []
    migrations.upgrade_sql(all_schemas(printed), pieces.append)
    assert tables(printed) == set()
    assert str(sa.make_url(printed).database) in pieces[0]
    run_script(printed, "".join(pieces))
    migrations.upgrade(all_schemas(scripts))
    assert migrations.pending(all_schemas(printed)) == []
    migrations.check(all_schemas(printed))
    for schema in SCHEMAS:
        for table in METADATA[schema].tables:
            assert catalog(printed, table) == catalog(scripts, table)


def run_script(url: str, script: str) -> None:
    with connected(url) as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        if connection.dialect.name == "sqlite":
            driver.executescript(script)
            return
        whole = connection.dialect.name == "postgresql"
        for statement in [script] if whole else script.split(";\n"):
            if statement.strip():
                connection.exec_driver_sql(statement.replace("%", "%%"))


def test_a_sqlite_file_gets_its_folder_and_its_journal(tmp_path):
    file = tmp_path / "not there" / "100% mine" / "agent.db"
    target = Target("agent", f"sqlite:///{file}")
    migrations.upgrade([target])
    with connected(target.url) as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
    assert migrations.pending([target]) == []


def test_a_sqlite_file_named_by_a_uri(tmp_path):
    place, query = f"file:{tmp_path}/by%20uri/a.db", {"uri": "true", "mode": "rwc"}
    url = sa.URL.create("sqlite", database=place, query=query)
    target = Target("agent", url.render_as_string())
    migrations.upgrade([target])
    assert (tmp_path / "by uri" / "a.db").exists()
    assert migrations.pending([target]) == []


def test_the_package_may_lie_anywhere(sqlite_url, tmp_path, monkeypatch):
    odd = tmp_path / "100%(x)s, a:b; c"
    shutil.copytree(migration_scripts._FOLDER, odd)
    monkeypatch.setattr(migration_scripts, "_FOLDER", odd)
    migrations.upgrade(all_schemas(sqlite_url))
    assert migrations.pending(all_schemas(sqlite_url)) == []


def test_the_hosts_logging_stays_as_it_is(sqlite_url):
    root, host = logging.getLogger(), logging.getLogger("tests.some.host")
    before = (root.level, list(root.handlers), host.disabled)
    migrations.upgrade(all_schemas(sqlite_url))
    assert (root.level, list(root.handlers), host.disabled) == before


def test_threads_migrate_different_databases(tmp_path):
    targets = [
        Target(schema, f"sqlite:///{tmp_path}/{n}.db") for n in range(4) for schema in SCHEMAS
    ]
    threads = [threading.Thread(target=migrations.upgrade, args=([one],)) for one in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert migrations.pending(targets) == []
