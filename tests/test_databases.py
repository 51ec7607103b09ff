"""What the other tests rely on: databases that are fresh, are dropped, and are missed loudly."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests import databases

ROOT = Path(__file__).parent.parent
NOWHERE = "postgresql://somebody:secret@127.0.0.1:1/postgres"


def test_a_fresh_database_is_empty_and_its_own(make_database_url):
    first, second = (sa.create_engine(make_database_url(), poolclass=sa.NullPool) for _ in "12")
    with first.begin() as connection:
        connection.execute(sa.text("CREATE TABLE note (a INTEGER)"))
    assert sa.inspect(first).get_table_names() == ["note"]
    assert sa.inspect(second).get_table_names() == []


def test_text_outside_the_basic_plane_is_kept(database_url):
    engine = sa.create_engine(database_url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE note (a VARCHAR(9))"))
        connection.execute(sa.text("INSERT INTO note VALUES (:a)"), {"a": "\N{GRINNING FACE}"})
        assert connection.scalar(sa.text("SELECT a FROM note")) == "\N{GRINNING FACE}"


@pytest.mark.parametrize("backend", ["postgresql", "mariadb"], indirect=True)
def test_a_database_is_dropped_under_an_open_transaction(backend, tmp_path):
    with databases.temporary_database(backend, tmp_path) as url:
        engine = sa.create_engine(url, poolclass=sa.NullPool)
        connection = engine.connect()
        connection.execute(sa.text("CREATE TABLE note (a INTEGER)"))
        connection.commit()
        connection.execute(sa.text("SELECT * FROM note"))
    connection.invalidate()
    connection.close()
    with pytest.raises(sa.exc.OperationalError, match="(?i)unknown database|does not exist"):
        engine.connect()


def run_without_postgresql(required: str) -> subprocess.CompletedProcess[str]:
    test = f"{__file__}::{test_a_fresh_database_is_empty_and_its_own.__name__}"
    environment = {
        **os.environ,
        databases.URL_VARIABLES["postgresql"]: NOWHERE,
        databases.REQUIRE_VARIABLE: required,
    }
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", test, "-k", "postgresql"]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


def test_a_missing_database_is_skipped_and_said_loudly():
    run = run_without_postgresql(required="")
    assert run.returncode == 0
    assert "1 skipped" in run.stdout
    assert "NOT EVERYTHING WAS TESTED" in run.stdout
    assert "NOT TESTED: postgresql: no answer at" in run.stdout
    assert "secret" not in run.stdout + run.stderr


def test_a_missing_database_that_is_required_fails():
    run = run_without_postgresql(required="postgresql")
    assert run.returncode == 1
    assert "1 error" in run.stdout


def test_a_misspelt_requirement_is_refused():
    run = run_without_postgresql(required="postgres")
    assert run.returncode == pytest.ExitCode.USAGE_ERROR
    assert "names postgres; allowed are sqlite, postgresql, mariadb, browser" in run.stderr
