"""Many processes start together on one database: each revision is run once, nothing fails."""

from __future__ import annotations

import itertools
import os
import typing as t
from pathlib import Path

import pytest

from flask_mesh_sessions.storage import migrations
from flask_mesh_sessions.storage.migrations import OWNED_TABLES, Target
from flask_mesh_sessions.storage.schema import Schema
from tests import databases
from tests.migration_crowd import Crowd
from tests.migration_tools import SCHEMAS, tables

PROCESSES = 8
ROUNDS = int(os.environ.get("MESH_TEST_MIGRATION_ROUNDS", "50"))

#: Between two statements, one early and one late in each schema.
FAULTS = (
    "migration.sessions",
    "migration.ix_chat_tasks_live",
    "migration.ix_web_sessions_expires",
    "migration.agent_events",
    "migration.platform_models",
    "migration.ix_mesh_deployment_connectors_connector_pk",
)


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Crowd]:
    helper = Crowd(tmp_path_factory.mktemp("crowd"))
    yield helper
    helper.close()


def made(backend: str, *schemas: Schema) -> set[str]:
    elsewhere = set() if backend == "mariadb" else {"mesh_migrations"}
    return {table for schema in schemas for table in OWNED_TABLES[schema]} - elsewhere


def test_once_however_many_start_together(backend: str, crowd: Crowd, tmp_path: Path) -> None:
    for schema in itertools.islice(itertools.cycle(SCHEMAS), ROUNDS):
        with databases.temporary_database(backend, tmp_path) as url:
            target = Target(schema, url)
            members = crowd.upgrade(*[[target]] * PROCESSES)
            assert [member.error for member in members] == [None] * PROCESSES
            assert sum(member.runs for member in members) == 1
            assert migrations.pending([target]) == []
            assert tables(url) == made(backend, schema)


@pytest.mark.parametrize("fault", FAULTS)
def test_one_is_killed_in_the_middle(
    backend: str, crowd: Crowd, database_url: str, fault: str
) -> None:
    targets = [Target(schema, database_url) for schema in SCHEMAS]
    members = crowd.upgrade(*[targets] * PROCESSES, fault=fault)
    assert [member.killed for member in members].count(True) == 1
    assert [member.error for member in members] == [None] * PROCESSES
    assert migrations.pending(targets) == []
    assert tables(database_url) == made(backend, *SCHEMAS)
    migrations.check(targets)


def test_schemas_of_one_database_at_once(backend: str, crowd: Crowd, database_url: str) -> None:
    members = crowd.upgrade(*[[Target(schema, database_url)] for schema in SCHEMAS * 3])
    assert [member.error for member in members] == [None] * 9
    assert sum(member.runs for member in members) == 3
    assert tables(database_url) == made(backend, *SCHEMAS)
