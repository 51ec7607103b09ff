"""The shipped Alembic scripts: one folder and one version table per schema."""

from __future__ import annotations

import contextlib
import functools
import io
import threading
import typing as t
from pathlib import Path

import sqlalchemy as sa

from .schema import METADATA, Schema, version_table

if t.TYPE_CHECKING:
    from alembic.config import Config

_FOLDER = Path(__file__).resolve().parent.parent / "migrations"

#: The tables of each schema, in any of its revisions.
TABLES: dict[Schema, frozenset[str]] = {
    "gateway": frozenset({"sessions", "chat_tasks", "chat_task_parts", "feedback", "web_sessions"}),
    "agent": frozenset(
        {"agent_sessions", "agent_turns", "agent_events", "agent_compactions", "agent_states"}
    ),
    "platform": frozenset(
        {
            "platform_models",
            "platform_agents",
            "platform_connectors",
            "platform_deployments",
            "mesh_deployment_connectors",
        }
    ),
}

#: Made where the server allows it, and no difference if they are missing.
OPTIONAL_INDEXES = frozenset({"ix_sessions_trigrams", "ix_chat_tasks_trigrams"})

# Alembic keeps the environment it runs in module globals.
_running = threading.RLock()


class ScriptError(Exception):
    """Alembic refuses, saying why."""


@contextlib.contextmanager
def _alembic() -> t.Iterator[t.Any]:
    """Alembic's commands. It is imported when it is needed: that takes as long as the rest."""
    from alembic import command
    from alembic.util import CommandError

    with _running:
        try:
            yield command
        except CommandError as error:
            raise ScriptError(str(error)) from error


class Revision(t.NamedTuple):
    """One step of a schema's history."""

    id: str
    title: str


def head(schema: Schema) -> str:
    """The revision this package's code needs."""
    return revisions(schema)[0].id


@functools.cache
def revisions(schema: Schema) -> tuple[Revision, ...]:
    """The whole history of a schema, newest first."""
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory.from_config(_config(schema, "sqlite"))
    return tuple(Revision(script.revision, script.doc) for script in scripts.walk_revisions())


def upgrade(schema: Schema, connection: sa.Connection) -> None:
    """Run what is missing up to the head."""
    with _alembic() as command:
        command.upgrade(_config(schema, connection.dialect.name, connection), "head")


def downgrade(schema: Schema, connection: sa.Connection, revision: str) -> None:
    """Go back to ``revision``, which may be ``base`` or relative as in Alembic."""
    with _alembic() as command:
        command.downgrade(_config(schema, connection.dialect.name, connection), revision)


def check(schema: Schema, connection: sa.Connection) -> None:
    """Compare the tables in the database with the declared ones.

    :raises ScriptError: if they differ.
    """
    with _alembic() as command:
        command.check(_config(schema, connection.dialect.name, connection))


def upgrade_sql(schema: Schema, dialect: str, output: t.TextIO) -> None:
    """Write the statements of an upgrade from nothing to the head."""
    with _alembic() as command:
        config = _config(schema, dialect, output=output)
        command.upgrade(config, "head", sql=True)


def _config(
    schema: Schema,
    dialect: str,
    connection: sa.Connection | None = None,
    output: t.TextIO | None = None,
) -> Config:
    from alembic.config import Config

    # Without an ini file the host's logging stays as it is. Alembic's commands print, but
    # these run inside servers.
    config = Config(stdout=io.StringIO(), output_buffer=output)
    config.set_main_option("script_location", _escaped(_FOLDER))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", _escaped(_FOLDER / schema / "versions"))
    config.attributes.update(
        connection=connection,
        dialect=dialect,
        metadata=METADATA[schema],
        version_table=version_table(schema),
        tables=TABLES[schema],
        optional_indexes=OPTIONAL_INDEXES,
    )
    return config


def _escaped(path: Path) -> str:
    return str(path).replace("%", "%%")
