"""``flask db`` in real hosts: one command for their databases and ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import typing as t
from pathlib import Path

import flask_migrate.cli
import pytest
import sqlalchemy as sa

from flask_mesh_sessions.storage import migration_scripts
from tests.migrate_host import create_app
from tests.migrate_hosts import AFTER, BEFORE, OURS, ROOT, Host, behind, databases, shared, targets
from tests.migration_tools import tables


@pytest.fixture
def own(tmp_path: Path) -> dict[str, str]:
    return databases(tmp_path)


@pytest.mark.parametrize("parts", [AFTER, BEFORE], ids=["host-first", "mesh-first"])
def test_one_command_for_every_database(tmp_path, own, parts):
    ours = targets(own)
    host = Host(tmp_path / "host", parts=parts, url=own["host"], targets=ours, tables=["orders"])
    host.run("db", "init")
    host.run("db", "migrate")
    assert not any(f"'{name}'" in host.newest() for name in OURS)
    output = host.run("db", "upgrade")
    assert tables(own["host"]) == {"orders", "alembic_version"}
    assert behind(ours) == set()
    places = [output.index(f"{name}.db: at") for name in ("gateway", "a", "b", "platform")]
    assert places == sorted(places)
    assert "No changes in schema detected" in host.run("db", "migrate")
    assert "No new upgrade operations" in host.run("db", "check")
    host.run("db", "upgrade")


def test_all_in_one_database(tmp_path, database_url):
    host = Host(
        tmp_path / "host",
        parts=BEFORE,
        url=database_url,
        targets=shared(database_url),
        tables=["orders"],
    )
    host.init()
    host.run("db", "migrate")
    host.run("db", "upgrade")
    assert behind(shared(database_url)) == set()
    assert tables(database_url) - OURS == {"orders", "alembic_version"}
    assert "No changes in schema detected" in host.run("db", "migrate")
    assert "No new upgrade operations" in host.run("db", "check")
    host.setup["tables"] = ["orders", "invoices"]
    host.run("db", "migrate")
    assert "'invoices'" in host.newest()
    assert "drop_table" not in host.newest().split("def downgrade")[0]


def test_a_command_of_another_name(tmp_path, own):
    for parts in (AFTER, BEFORE):
        host = Host(
            tmp_path / parts[0],
            parts=parts,
            url=f"sqlite:///{tmp_path}/{parts[0]}.db",
            targets=[("gateway", f"sqlite:///{tmp_path}/gateway-{parts[0]}.db")],
            migrate={"command": "database"},
        )
        host.run("database", "init")
        assert "gateway" in host.run("database", "upgrade")
        assert behind(host.setup["targets"]) == set()
        assert "No such command" in host.run("db", "upgrade", fails=True)


@pytest.mark.parametrize(
    ("chain", "left"),
    [
        ("all", set()),
        ("gateway", {"agent", "platform"}),
        ("host", {"gateway", "agent", "platform"}),
    ],
)
def test_what_is_chained_can_be_chosen(tmp_path, own, chain, left):
    ours = targets(own)
    host = Host(tmp_path / "host", parts=AFTER, url=own["host"], targets=ours, chain=chain)
    host.init()
    host.run("db", "upgrade")
    assert behind(ours) == left


@pytest.mark.parametrize(("revision", "ours"), [("a1", False), ("+1", False), ("heads", True)])
def test_only_the_head_is_chained(tmp_path, own, revision, ours):
    pairs = targets(own)
    host = Host(tmp_path / "host", parts=AFTER, url=own["host"], targets=pairs)
    host.init()
    host.write_revision("op.create_table('orders', sa.Column('id', sa.Integer))")
    host.run("db", "upgrade", revision)
    assert "orders" in tables(own["host"])
    assert behind(pairs) == (set() if ours else {"gateway", "agent", "platform"})


def test_a_failing_host_stops_ours(tmp_path, own):
    pairs = targets(own)
    host = Host(tmp_path / "host", parts=AFTER, url=own["host"], targets=pairs)
    host.init()
    host.write_revision("raise RuntimeError('the host fails')")
    assert "the host fails" in host.run("db", "upgrade", fails=True)
    assert behind(pairs) == {"gateway", "agent", "platform"}


def test_ours_failing_is_one_line_and_an_exit_code(tmp_path, own):
    away = "postgresql+psycopg2://me:hunter2@127.0.0.1:1/agent"
    pairs = [("gateway", own["gateway"]), ("agent", away)]
    host = Host(tmp_path / "host", parts=AFTER, url=own["host"], targets=pairs)
    host.init()
    output = host.run("db", "upgrade", fails=True)
    assert "127.0.0.1" in output.splitlines()[-1]
    assert "Traceback" not in output and "hunter2" not in output
    assert behind(pairs[:1]) == set()


def test_sql_is_printed_for_all(tmp_path, own):
    pairs = targets(own)
    host = Host(tmp_path / "host", parts=AFTER, url=own["host"], targets=pairs)
    host.init()
    host.write_revision("op.create_table('orders', sa.Column('id', sa.Integer))")
    output = host.run("db", "upgrade", "--sql")
    for name in ("orders", "sessions", "agent_events", "platform_models"):
        assert f"CREATE TABLE {name} " in output
    assert output.count("CREATE TABLE agent_events ") == 2  # one per distinct database
    assert behind(pairs) == {"gateway", "agent", "platform"}


@pytest.mark.parametrize("parts", [AFTER, BEFORE], ids=["host-first", "mesh-first"])
def test_a_table_of_the_hosts_own_with_our_name_is_seen(tmp_path, own, parts):
    """The host had a feedback table in its database and no longer declares it."""
    engine = sa.create_engine(own["host"], poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE feedback (id INTEGER)")
    host = Host(tmp_path / "host", parts=parts, url=own["host"], targets=targets(own))
    host.init()
    host.run("db", "upgrade")
    host.run("db", "migrate")
    assert "op.drop_table('feedback')" in host.newest()


def test_a_table_the_host_declares_is_never_hidden(tmp_path, own):
    """The host has its own sessions table, and an agent of ours lives in the same database."""
    host = Host(
        tmp_path / "host",
        parts=AFTER,
        url=own["host"],
        targets=[("agent", own["host"]), ("gateway", own["gateway"])],
        tables=["sessions"],
    )
    host.init()
    host.run("db", "migrate")
    assert "op.create_table('sessions'" in host.newest()
    host.run("db", "upgrade")
    assert "No changes in schema detected" in host.run("db", "migrate")
    assert behind(host.setup["targets"]) == set()


def test_several_binds(tmp_path, own):
    binds = {"gate": own["gateway"], "other": f"sqlite:///{tmp_path}/other.db"}
    pairs = [("gateway", own["gateway"]), ("agent", own["host"])]
    host = Host(
        tmp_path / "host",
        parts=BEFORE,
        url=own["host"],
        binds=binds,
        targets=pairs,
        tables=["orders"],
    )
    host.run("db", "init", "--multidb")
    host.run("db", "migrate")
    host.run("db", "upgrade")
    assert behind(pairs) == set()
    before = host.revisions()
    host.run("db", "migrate")
    if host.revisions() > before:  # the template writes an empty revision
        assert "drop_table" not in host.newest()


def test_a_hosts_filter_is_asked_too(tmp_path, own):
    engine = sa.create_engine(own["host"], poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE legacy (id INTEGER)")
    host = Host(
        tmp_path / "host",
        parts=AFTER,
        url=own["host"],
        targets=shared(own["host"]),
        migrate={"filtered": True},
    )
    host.init()
    host.run("db", "upgrade")
    assert "No changes in schema detected" in host.run("db", "migrate")


@pytest.mark.parametrize("asks_ours", [False, True])
def test_an_env_with_its_own_filter_goes_on_working(tmp_path, own, asks_ours):
    host = Host(tmp_path / "host", parts=AFTER, url=own["host"], targets=shared(own["host"]))
    host.init()
    env = host.folder / "migrations" / "env.py"
    given = "lambda *a: True"
    if asks_ours:
        given = "__import__('flask_mesh_sessions.cli.db', fromlist=['x']).include_name"
    source = env.read_text()
    assert source.count("connection=connection,") == 1
    env.write_text(
        source.replace("connection=connection,", f"connection=connection, include_name={given},")
    )
    output = host.run("db", "upgrade")
    assert ("include_name" in output) == (not asks_ours)
    assert behind(host.setup["targets"]) == set()
    host.run("db", "migrate")
    if asks_ours:
        assert host.revisions() == 0


def test_our_loggers_survive_the_hosts_logging(tmp_path, own):
    host = Host(tmp_path / "host", parts=AFTER, url=own["host"], targets=targets(own))
    host.init()
    script = (
        "import logging; from tests.migrate_host import create_app; app = create_app();"
        " runner = app.test_cli_runner(); result = runner.invoke(args=['db', 'upgrade']);"
        " assert result.exit_code == 0, result.output;"
        " names = [n for n in logging.root.manager.loggerDict if 'flask_mesh_sessions' in n];"
        " assert names; assert not any(logging.getLogger(n).disabled for n in names);"
        " assert logging.getLogger('flask_sqlalchemy.extension') is not None"
    )
    environment = {**os.environ, "HOST": json.dumps(host.setup), "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", script], cwd=host.folder, env=environment, check=True)


def test_a_host_without_migrate(tmp_path, own):
    pairs = targets(own)
    host = Host(tmp_path / "host", parts=["db", "mesh"], url=own["host"], targets=pairs)
    assert "at base" in host.run("db", "current")
    assert "should be at" in host.run("db", "check", fails=True)
    assert "CREATE TABLE sessions " in host.run("db", "upgrade", "--sql")
    assert behind(pairs) == {"gateway", "agent", "platform"}
    host.run("db", "upgrade")
    assert behind(pairs) == set()
    assert host.run("db", "current").count("(head)") == 4
    host.run("db", "check")
    for schema in ("gateway", "agent", "platform"):
        head = migration_scripts.head(t.cast(t.Any, schema))
        assert f"{schema} {head}:" in host.run("db", "history")
    host.run("db", "downgrade", "agent", "base", "--yes")
    assert behind(pairs) == {"agent"}
    assert tables(own["a"]) == tables(own["b"]) == set()


def test_two_apps_in_one_process(tmp_path, own, monkeypatch):
    setup = {"parts": AFTER, "url": own["host"], "targets": []}
    shared_group: t.Any = flask_migrate.cli.db
    before = dict(shared_group.commands)
    monkeypatch.setenv("HOST", json.dumps(setup))
    chained, again = create_app(), create_app()
    monkeypatch.setenv("HOST", json.dumps({**setup, "parts": ["db", "migrate"]}))
    plain = create_app()
    assert shared_group.commands == before
    assert plain.cli.commands["db"] is shared_group
    assert chained.cli.commands["db"] is not again.cli.commands["db"]
    assert "include_name" not in plain.extensions["migrate"].configure_args
