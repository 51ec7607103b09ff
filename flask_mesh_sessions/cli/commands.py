"""The commands that migrate this package's databases, shared by two groups."""

from __future__ import annotations

import contextlib
import typing as t

import click
from flask.cli import with_appcontext

# Importing these declares the tables that `check` compares.
from ..agents import tables as agent_tables  # noqa: F401
from ..errors import MeshError
from ..gateway import tables as gateway_tables  # noqa: F401
from ..platform import tables as platform_tables  # noqa: F401
from ..storage import migration_scripts, migrations
from ..storage.migrations import Target
from ..storage.schema import Schema
from ..web_session import web_sessions  # noqa: F401

Targets = t.Callable[[], t.Sequence[Target]]

SCHEMAS: tuple[Schema, ...] = ("gateway", "agent", "platform")


def upgrade_targets(targets: t.Sequence[Target], sql: bool = False) -> None:
    """Upgrade, and say where every database stands; or print the SQL instead."""
    with reported():
        ordered = sorted(targets, key=lambda target: SCHEMAS.index(target.schema))
        if sql:
            migrations.upgrade_sql(ordered, click.echo)
            return
        for target in migrations.distinct(ordered):
            migrations.upgrade([target])
            click.echo(f"{target}: at {migration_scripts.head(target.schema)}")


@contextlib.contextmanager
def reported() -> t.Iterator[None]:
    """An error of ours ends the command with its message instead of a traceback."""
    try:
        yield
    except MeshError as error:
        raise click.ClickException(error.message) from error


def upgrade_command(targets: Targets) -> click.Command:
    @click.command("upgrade")
    @click.option("--sql", is_flag=True, help="Print the SQL from nothing to the head instead.")
    @with_appcontext
    def upgrade(sql: bool) -> None:
        """Bring every database to its newest version."""
        upgrade_targets(targets(), sql)

    return upgrade


def downgrade_command(targets: Targets) -> click.Command:
    @click.command("downgrade")
    @click.argument("schema", type=click.Choice(SCHEMAS))
    @click.argument("revision", default="-1")
    @click.option("--yes", is_flag=True, help="Do not ask.")
    @with_appcontext
    def downgrade(schema: str, revision: str, yes: bool) -> None:
        """Take the databases of one SCHEMA back to REVISION, one step if it is not given."""
        chosen = [target for target in migrations.distinct(targets()) if target.schema == schema]
        if not chosen:
            raise click.ClickException(f"No database has the {schema} schema.")
        places = ", ".join(target.place for target in chosen)
        if not yes:
            click.confirm(f"This deletes data from {places}. Go on?", abort=True)
        with reported():
            for target in chosen:
                migrations.downgrade(target, revision)
                click.echo(f"{target}: at {migrations.current_revision(target) or 'base'}")

    return downgrade


def current_command(targets: Targets) -> click.Command:
    @click.command("current")
    @with_appcontext
    def current() -> None:
        """Show the version of every database."""
        with reported():
            for target in migrations.distinct(targets()):
                revision = migrations.current_revision(target)
                head = " (head)" if revision == migration_scripts.head(target.schema) else ""
                click.echo(f"{target}: at {revision or 'base'}{head}")

    return current


def history_command() -> click.Command:
    @click.command("history")
    def history() -> None:
        """List the versions of every schema, newest first."""
        for schema in SCHEMAS:
            for revision in migration_scripts.revisions(schema):
                click.echo(f"{schema} {revision.id}: {revision.title}")

    return history


def check_command(targets: Targets) -> click.Command:
    @click.command("check")
    @with_appcontext
    def check() -> None:
        """Fail unless every database is at its newest version and unchanged."""
        with reported():
            pending = migrations.pending(targets())
            for one in pending:
                click.echo(f"{one.target}: at {one.current or 'base'}, should be at {one.head}")
            if pending:
                raise click.ClickException("Run the upgrade.")
            migrations.check(targets())
        click.echo("Every database is as it should be.")

    return check
