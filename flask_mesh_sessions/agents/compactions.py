"""The statements of compaction. A compaction is only ever added; the head says which counts.

Undoing one moves the head to its parent, so that what the model is sent is again what it
was, with the events that have come since.
"""

from __future__ import annotations

import typing as t

import msgspec
import sqlalchemy as sa

from ..clock import now
from ..errors import LeaseLost
from .log import Compaction, Lease, NewCompaction
from .statements import held
from .tables import agent_compactions as compactions
from .tables import agent_sessions as sessions

_COLUMNS = (
    compactions.c.pk,
    compactions.c.version,
    compactions.c.through_seq,
    compactions.c.summary,
    compactions.c.literals,
    compactions.c.tokens_before,
    compactions.c.tokens_after,
    compactions.c.trigger,
    compactions.c.cost,
    compactions.c.parent,
    compactions.c.created_time,
)


def add(connection: sa.Connection, lease: Lease, new: NewCompaction) -> int:
    """Add a compaction and move the head to it, from where the lease has it.

    :return: its key.
    :raises LeaseLost: if the lease is not held any more, or the head has moved.
    """
    move_head(connection, lease, lease.head_compaction)  # takes the row's lock
    last = sa.select(sa.func.coalesce(sa.func.max(compactions.c.version), 0)).where(
        compactions.c.session_pk == lease.key
    )
    values = {
        "session_pk": lease.key,
        "version": connection.execute(last).scalar_one() + 1,
        "through_seq": new.through_seq,
        "summary": new.summary,
        "literals": msgspec.json.encode(new.literals).decode(),
        "tokens_before": new.tokens_before,
        "tokens_after": new.tokens_after,
        "trigger": new.trigger,
        "cost": new.cost,
        "parent": lease.head_compaction,
        "created_time": now(),
    }
    inserted = connection.execute(sa.insert(compactions).values(values))
    key = t.cast("tuple[int]", inserted.inserted_primary_key)[0]
    move_head(connection, lease, key)
    return key


def move_head(connection: sa.Connection, lease: Lease, head: int | None) -> None:
    """Let another compaction count, or none.

    :raises LeaseLost: if the lease is not held any more, or the head has moved.
    """
    known = sessions.c.head_compaction.is_not_distinct_from(lease.head_compaction)
    moved = sa.update(sessions).where(*held(lease), known)
    if connection.execute(moved.values(head_compaction=head, updated_time=now())).rowcount != 1:
        raise LeaseLost("Another worker has taken this session over.")


def head_of(connection: sa.Connection, lease: Lease) -> int | None:
    """The head as it is stored."""
    statement = sa.select(sessions.c.head_compaction).where(sessions.c.pk == lease.key)
    return connection.execute(statement).scalar()


def all_of(connection: sa.Connection, own: t.Iterable[sa.ColumnElement[bool]]) -> list[Compaction]:
    """The compactions of a session, the oldest first."""
    statement = (
        sa.select(*_COLUMNS, sessions.c.head_compaction)
        .join_from(compactions, sessions, compactions.c.session_pk == sessions.c.pk)
        .where(*own)
        .order_by(compactions.c.version)
    )
    return [_compaction(row) for row in connection.execute(statement)]


def _compaction(row: t.Any) -> Compaction:
    return Compaction(
        key=row.pk,
        version=row.version,
        through_seq=row.through_seq,
        summary=row.summary,
        literals=tuple(msgspec.json.decode(row.literals, type=list[str])),
        tokens_before=row.tokens_before,
        tokens_after=row.tokens_after,
        trigger=row.trigger,
        cost=row.cost,
        parent=row.parent,
        created_time=row.created_time,
        in_force=row.pk == row.head_compaction,
    )
