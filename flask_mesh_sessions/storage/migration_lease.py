"""The row in MariaDB and MySQL that says who migrates, and until when that is to be believed.

A process that was killed loses its lease after :data:`LEASE_SECONDS`; the next one then
completes what was begun, which every revision allows.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
import typing as t
import uuid

import sqlalchemy as sa

from ..errors import MigrationError
from .schema import TABLE_OPTIONS, Schema, ascii_id, now_ms

log = logging.getLogger("flask_mesh_sessions.migrations")

#: Seconds after which a process that says nothing more no longer migrates.
LEASE_SECONDS = 20.0
#: Seconds between two looks at a lease somebody else holds.
POLL_SECONDS = 0.1

_NO_SUCH_TABLE = 1146
#: Record changed, lock wait timeout, deadlock.
_RETRY = frozenset({1020, 1205, 1213})

leases = sa.Table(
    "mesh_migrations",
    sa.MetaData(),
    sa.Column("name", ascii_id(16), primary_key=True),
    sa.Column("owner", ascii_id(64)),
    sa.Column("lease_until", sa.BigInteger, nullable=False),
    **TABLE_OPTIONS,
)


@contextlib.contextmanager
def lease(engine: sa.Engine, schema: Schema) -> t.Iterator[sa.Connection]:
    """A connection on which statements run only while this process has the lease.

    :raises MigrationError: if another process took over meanwhile.
    """
    mine = Lease(engine, schema)
    with mine.held(), mine.renewed(), engine.connect() as connection:
        sa.event.listen(connection, "before_cursor_execute", mine.check)
        yield connection
        connection.commit()


def forget(engine: sa.Engine, schema: Schema) -> None:
    """Remove what :func:`lease` left of a schema that is gone, unless it is held again."""
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        expired = (leases.c.name == schema) & (leases.c.lease_until < now_ms())
        connection.execute(sa.delete(leases).where(expired))
        with contextlib.suppress(sa.exc.DBAPIError):  # locking tables is a right of its own
            connection.exec_driver_sql("LOCK TABLES mesh_migrations WRITE")
            if connection.scalar(sa.select(sa.func.count()).select_from(leases)) == 0:
                leases.drop(connection, checkfirst=False)
            connection.exec_driver_sql("UNLOCK TABLES")


class Lease:
    """One process's claim to a row, by the database's clock."""

    def __init__(self, engine: sa.Engine, schema: Schema) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._schema = schema
        self._me = uuid.uuid4().hex
        self._believe_until = 0.0

    @contextlib.contextmanager
    def held(self) -> t.Iterator[None]:
        """Wait for the lease, take it, and give it back at the end of the block."""
        with self._engine.connect() as connection:
            while not self._attempt(connection):
                time.sleep(POLL_SECONDS)
            try:
                yield
            finally:
                with contextlib.suppress(sa.exc.DBAPIError):  # then it expires
                    self._give_back(connection)

    def check(self, *event: object) -> None:
        """Called before every statement of the migration.

        :raises MigrationError: if the lease was lost.
        """
        if time.monotonic() > self._believe_until:
            raise MigrationError(
                f"Another process may have taken the migration of the {self._schema} schema"
                " over. Start again: what is missing is completed."
            )

    @contextlib.contextmanager
    def renewed(self) -> t.Iterator[None]:
        """Keep the lease for as long as the block takes."""
        done = threading.Event()
        thread = threading.Thread(
            target=self._renew, args=(done,), name="mesh-migration-lease", daemon=True
        )
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def _renew(self, done: threading.Event) -> None:
        while not done.wait(LEASE_SECONDS / 4):
            try:
                with self._engine.connect() as connection:
                    if not self._take(connection, leases.c.owner == self._me):
                        self._believe_until = 0.0
                        return
            except sa.exc.DBAPIError as error:
                log.warning("The migration's lease was not renewed: %s", error.orig)

    def _give_back(self, connection: sa.Connection) -> None:
        mine = (leases.c.name == self._schema) & (leases.c.owner == self._me)
        connection.execute(sa.update(leases).where(mine).values(owner=None, lease_until=0))

    def _attempt(self, connection: sa.Connection) -> bool:
        try:
            return self._take(connection, leases.c.lease_until < now_ms()) or self._insert(
                connection
            )
        except sa.exc.DBAPIError as error:
            number = error.orig.args[0] if error.orig and error.orig.args else None
            if number == _NO_SUCH_TABLE:
                connection.execute(sa.schema.CreateTable(leases, if_not_exists=True))
            elif number not in _RETRY:
                raise
            return False

    def _take(self, connection: sa.Connection, condition: sa.ColumnElement[bool]) -> bool:
        asked = time.monotonic()
        taken = connection.execute(
            sa.update(leases)
            .where(leases.c.name == self._schema, condition)
            .values(owner=self._me, lease_until=_expiry())
        ).rowcount
        if taken:
            self._believe_until = asked + LEASE_SECONDS
        return taken == 1

    def _insert(self, connection: sa.Connection) -> bool:
        asked = time.monotonic()
        row = {"name": self._schema, "owner": self._me, "lease_until": _expiry()}
        try:
            connection.execute(sa.insert(leases).values(row))
        except sa.exc.IntegrityError:
            return False
        self._believe_until = asked + LEASE_SECONDS
        return True


def _expiry() -> sa.ColumnElement[int]:
    return now_ms() + int(LEASE_SECONDS * 1000)
