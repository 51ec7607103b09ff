"""``flask mesh``, and who migrates at start at all."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.migrate_hosts import AFTER, BEFORE, Host, behind, databases, shared, targets
from tests.migration_tools import tables


@pytest.fixture
def own(tmp_path: Path) -> dict[str, str]:
    return databases(tmp_path)


def test_our_own_commands(tmp_path, own):
    pairs = targets(own)
    host = Host(tmp_path / "host", parts=BEFORE, url=own["host"], targets=pairs)
    assert "should be at" in host.run("mesh", "check", fails=True)
    host.run("mesh", "upgrade")
    assert behind(pairs) == set()
    assert tables(own["host"]) == set()
    host.run("mesh", "check")
    assert "Aborted" in host.run("mesh", "downgrade", "gateway", "base", fails=True)
    assert behind(pairs) == set()
    host.run("mesh", "downgrade", "gateway", "--yes")
    assert behind(pairs) == {"gateway"}
    assert "invalid" in host.run("mesh", "downgrade", "nothing", fails=True).lower()


@pytest.mark.parametrize(
    ("arguments", "serves"),
    [
        (["flask", "routes"], False),
        (["flask", "db", "--help"], False),
        (["flask", "mesh", "upgrade"], False),
        (["tests.migrate_host"], True),
    ],
)
def test_who_serves(tmp_path, own, arguments, serves):
    notes = tmp_path / "notes"
    host = Host(
        tmp_path / "host", parts=AFTER, url=own["host"], targets=targets(own), tell=str(notes)
    )
    program, *rest = arguments
    host.run(*rest, program=program)
    assert set(notes.read_text().split()) == {str(serves)}


def test_flask_run_serves(tmp_path, own):
    notes = tmp_path / "notes"
    host = Host(tmp_path / "host", parts=AFTER, url=own["host"], targets=[], tell=str(notes))
    with socket.create_server(("127.0.0.1", 0)) as taken:  # so that it ends once the app is made
        host.run("run", "--port", str(taken.getsockname()[1]), fails=True)
    assert set(notes.read_text().split()) == {"True"}


PLAIN_ENV = """
import sqlalchemy as sa
from alembic import context
from flask_mesh_sessions.cli.db import include_name
from tests.migrate_host import create_app

app = create_app()
with app.app_context():
    db = app.extensions["sqlalchemy"]
    with db.engine.connect() as connection:
        context.configure(
            connection=connection, target_metadata=db.metadata, include_name=include_name
        )
        with context.begin_transaction():
            context.run_migrations()
"""


def test_a_host_with_plain_alembic(tmp_path, own):
    notes = tmp_path / "notes"
    host = Host(
        tmp_path / "host",
        parts=["db", "mesh"],
        url=own["host"],
        targets=shared(own["host"]),
        tell=str(notes),
    )
    host.run("mesh", "upgrade")
    notes.write_text("")
    host.run("init", "migrations", program="alembic")
    (host.folder / "migrations" / "env.py").write_text(PLAIN_ENV)
    host.run("upgrade", "head", program="alembic")
    assert "No new upgrade operations" in host.run("check", program="alembic")
    assert set(notes.read_text().split()) == {"False"}
