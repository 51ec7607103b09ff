"""Brings databases to the version this package's code needs, and says where they stand."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import logging
import typing as t

import sqlalchemy as sa

from ..errors import MeshError, MigrationError, StorageUnavailable
from . import migration_lease, migration_scripts
from .database import make_engine
from .migration_lock import hold, sqlite_file
from .schema import Schema, version_table

log = logging.getLogger("flask_mesh_sessions.migrations")

#: Every table that is made for a schema, in any of its revisions, and while migrating it.
OWNED_TABLES: dict[Schema, frozenset[str]] = {
    schema: frozenset({*tables, version_table(schema), migration_lease.leases.name})
    for schema, tables in migration_scripts.TABLES.items()
}


@dataclasses.dataclass(frozen=True)
class Target:
    """A schema and the database it lives in.

    :param url: an SQLAlchemy URL with its driver.
    """

    schema: Schema
    url: str = dataclasses.field(repr=False)

    @property
    def place(self) -> str:
        """The database, fit to be shown: without password and options."""
        return sa.make_url(self.url).set(query={}).render_as_string(hide_password=True)

    def __str__(self) -> str:
        return f"{self.schema} in {self.place}"


@dataclasses.dataclass(frozen=True)
class Pending:
    """A database that is not at the version this package's code needs.

    :param current: the revision it is at, or ``None`` if it was never migrated.
    :param head: the revision it should be at.
    """

    target: Target
    current: str | None
    head: str


def distinct(targets: t.Iterable[Target]) -> list[Target]:
    """``targets`` in their order, each once: agents may share a database."""
    return list(dict.fromkeys(targets))


def upgrade(targets: t.Iterable[Target]) -> None:
    """Bring every database to its head.

    However many processes do this at once, each revision is run by one of them, and all
    return when it is done. A database that is at its head costs one query.

    :raises MigrationError: if a database cannot be upgraded. It names a table that is in
        the way, if that is why.
    :raises StorageUnavailable: if a database cannot be reached.
    """
    for target in distinct(targets):
        with _opened(target) as engine:
            if _is_behind(engine, target):
                _upgrade(engine, target)


def downgrade(target: Target, revision: str) -> None:
    """Take one database back, with the data that the older version has no place for.

    :param revision: a revision of its schema, ``-1`` for one step, or ``base`` for nothing
        of ours.
    :raises MigrationError: if there is no such revision, or the database refuses.
    :raises StorageUnavailable: if the database cannot be reached.
    """
    if current_revision(target) is None:
        raise MigrationError(f"Never migrated: {target}.")
    with _opened(target) as engine:
        with hold(engine, target.schema) as connection:
            migration_scripts.downgrade(target.schema, connection, revision)
            reached = _version(connection, target.schema)
            if reached is None:
                _drop_version_table(connection, target.schema)
        if reached is None and engine.dialect.name in ("mysql", "mariadb"):
            migration_lease.forget(engine, target.schema)
    log.info("Took %s back to revision %s", target, reached or "base")


def pending(targets: t.Iterable[Target]) -> list[Pending]:
    """The databases that are not at their head. Nothing is written.

    :raises StorageUnavailable: if a database cannot be reached.
    """
    found = []
    for target in distinct(targets):
        current, head = current_revision(target), migration_scripts.head(target.schema)
        if current != head:
            found.append(Pending(target, current, head))
    return found


def current_revision(target: Target) -> str | None:
    """The revision a database is at, or ``None`` if it was never migrated.

    :raises StorageUnavailable: if the database cannot be reached.
    """
    with _opened(target) as engine:
        if not _exists(engine):
            return None
        with engine.connect() as connection:
            return _current(connection, target.schema)


def upgrade_sql(targets: t.Iterable[Target], write: t.Callable[[str], object]) -> None:
    """Write the statements that would make every database's tables, from nothing."""
    for target in distinct(targets):
        output = io.StringIO()
        dialect = sa.make_url(target.url).get_backend_name()
        migration_scripts.upgrade_sql(target.schema, dialect, output)
        write(f"-- {target}\n\n{output.getvalue()}")


def check(targets: t.Iterable[Target]) -> None:
    """Compare what is in every database with the tables the code declares.

    The modules that declare the tables must have been imported.

    :raises MigrationError: if they differ, saying how.
    :raises StorageUnavailable: if a database cannot be reached.
    """
    for target in distinct(targets):
        if current_revision(target) is None:
            raise MigrationError(f"Never migrated: {target}.")
        with _opened(target) as engine, engine.connect() as connection:
            migration_scripts.check(target.schema, connection)


def _is_behind(engine: sa.Engine, target: Target) -> bool:
    """Asked before the lock is taken, which already leaves traces in some databases."""
    if not _exists(engine):
        return True
    with engine.connect() as connection:
        current = _current(connection, target.schema)
        if current == migration_scripts.head(target.schema):
            return False
        _refuse_newer(current, target)
        _refuse_foreign(connection, target)
        return True


def _upgrade(engine: sa.Engine, target: Target) -> None:
    schema, head = target.schema, migration_scripts.head(target.schema)
    with hold(engine, schema) as connection:
        before = _version(connection, schema)
        if before == head:
            return
        _refuse_foreign(connection, target)
        migration_scripts.upgrade(schema, connection)
    log.info("Migrated %s from revision %s to %s", target, before or "base", head)


def _current(connection: sa.Connection, schema: Schema) -> str | None:
    """The version by one query where there is one, which is the common case by far."""
    try:
        return _read_version(connection, schema)
    except (sa.exc.OperationalError, sa.exc.ProgrammingError):
        connection.rollback()
        return _version(connection, schema)


def _exists(engine: sa.Engine) -> bool:
    """Connecting would make a SQLite file that does not exist."""
    file = sqlite_file(engine.url)
    return file is None or file.exists()


def _version(connection: sa.Connection, schema: Schema) -> str | None:
    if not sa.inspect(connection).has_table(version_table(schema)):
        return None
    return _read_version(connection, schema)


def _read_version(connection: sa.Connection, schema: Schema) -> str | None:
    version: sa.ColumnElement[str] = sa.column("version_num", sa.String)
    found = sa.select(version).select_from(sa.table(version_table(schema)))
    return connection.execute(found).scalar()


def _drop_version_table(connection: sa.Connection, schema: Schema) -> None:
    sa.Table(version_table(schema), sa.MetaData()).drop(connection)


def _refuse_newer(current: str | None, target: Target) -> None:
    known = {revision.id for revision in migration_scripts.revisions(target.schema)}
    if current is not None and current not in known:
        raise MigrationError(
            f"{target} is at revision {current}, which this version of flask-mesh-sessions does"
            " not know: a newer version migrated it. Install that version."
        )


def _refuse_foreign(connection: sa.Connection, target: Target) -> None:
    """Our version table is made first, so a table of ours without it is not ours.

    The tables are read before it: another process may be making both just now.
    """
    inspector = sa.inspect(connection)
    schema = inspector.default_schema_name
    names = {*inspector.get_table_names(schema), *inspector.get_view_names(schema)}
    taken = sorted(names & migration_scripts.TABLES[target.schema])
    if not taken or inspector.has_table(version_table(target.schema)):
        return
    raise MigrationError(
        f"{target.place} already has a table that is not ours: {', '.join(taken)}. Nothing was"
        f" changed. Give the {target.schema} schema another database, or on PostgreSQL another"
        " schema of this one, with ?options=-csearch_path%3Dmesh in the URL."
    )


@contextlib.contextmanager
def _opened(target: Target) -> t.Iterator[sa.Engine]:
    """An engine without a pool that is gone at the end; what it raises names the database."""
    engine = make_engine(sa.make_url(target.url), None)
    try:
        yield engine
    except (migration_scripts.ScriptError, OSError) as error:
        raise MigrationError(f"Cannot migrate {target}: {error}") from error
    except sa.exc.DBAPIError as error:
        raise _translated(target, error) from error
    finally:
        engine.dispose()


def _translated(target: Target, error: sa.exc.DBAPIError) -> MeshError:
    reason = " ".join(str(error.orig).split())
    if error.connection_invalidated or error.statement is None:
        return StorageUnavailable(f"Cannot reach {target}: {reason}")
    return MigrationError(f"Cannot migrate {target}: {reason}")
