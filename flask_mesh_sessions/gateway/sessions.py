"""The rows of ``sessions``: how they are found, listed and changed.

Every statement is bound to one user. What is deleted is unknown, except to :func:`restore`.
"""

from __future__ import annotations

import functools
import typing as t
from dataclasses import dataclass

import sqlalchemy as sa

from .. import ids
from ..clock import now
from ..errors import InvalidInput
from .paging import Position
from .records import Session
from .tables import chat_tasks as tasks
from .tables import sessions

SOURCES = ("chat", "scheduler")
QUERY_LENGTH = 500

_COLUMNS = (
    sessions.c.pk,
    sessions.c.session_id,
    sessions.c.user_id,
    sessions.c.name,
    sessions.c.agent_id,
    sessions.c.project_id,
    sessions.c.source,
    sessions.c.created_time,
    sessions.c.updated_time,
    sessions.c.last_viewed_at,
)


@dataclass(frozen=True)
class Filters:
    """Which sessions of a user are wanted; ``None`` is any."""

    agent_id: str | None = None
    project_id: str | None = None
    #: One of :data:`SOURCES`.
    source: str | None = None
    #: What title or messages must contain, as :func:`search_filter` gives it.
    text: str | None = None

    def check(self) -> Filters:
        """These filters, if there can be sessions like that.

        :raises InvalidInput: naming the parameter and what is allowed.
        """
        if self.agent_id is not None:
            ids.check_id("agent_id", self.agent_id, ids.AGENT_NAME_LENGTH)
        if self.project_id is not None:
            ids.check_id("project_id", self.project_id)
        if self.source not in (None, *SOURCES):
            why = "must be one of: " + ", ".join(SOURCES)
            raise InvalidInput(f"source {why}.", {"source": [why]})
        return self

    def values(self) -> dict[str, str]:
        """The values of the statement's parameters."""
        given = {key: value for key, value in vars(self).items() if value is not None}
        return {**given, "text": _pattern(self.text)} if self.text is not None else given


def search_filter(query: str) -> str:
    """A search query in the form in which text is stored to be searched.

    :raises InvalidInput: if it is blank, too long or holds what cannot be stored.
    """
    ids.check_text("query", query)
    if not query.strip():
        raise InvalidInput("Search query cannot be empty", {"query": ["must not be empty"]})
    if len(query) > QUERY_LENGTH:
        why = f"must be at most {QUERY_LENGTH} characters"
        raise InvalidInput(f"query {why}.", {"query": [why]})
    return ids.searchable(query.strip())


def own_session(user_id: str, session_id: str) -> tuple[sa.ColumnElement[bool], ...]:
    """The condition that a row is this session of this user, and not deleted."""
    return (
        sessions.c.user_id == user_id,
        sessions.c.session_id == session_id,
        sessions.c.deleted_at.is_(None),
    )


def touch(moment: int | sa.ColumnElement[int]) -> dict[str, t.Any]:
    """The values that make a session the latest: its time goes on even if clocks go back."""
    latest = sessions.c.updated_time
    return {"updated_time": sa.case((latest < moment, moment), else_=latest + 1)}


def _running(pk: sa.ColumnElement[int]) -> sa.Label[bool]:
    live = sa.exists().where(tasks.c.session_pk == pk, tasks.c.runs_until.is_not(None))
    return live.label("running")


def _record(row: t.Iterable[t.Any]) -> Session:
    # Unpacked at once: lists are made of these, and naming columns one by one takes its time.
    _, session_id, user_id, name, agent, project, source, created, updated, seen, running = row
    return Session(
        id=session_id,
        user_id=user_id,
        name=name,
        agent_id=agent,
        project_id=project,
        source=source,
        has_running_background_task=bool(running),
        created_time=created,
        updated_time=updated,
        last_viewed_at=seen,
    )


def read(connection: sa.Connection, user_id: str, session_id: str) -> Session | None:
    """The user's session of this id."""
    statement = sa.select(*_COLUMNS, _running(sessions.c.pk)).where(
        *own_session(user_id, session_id)
    )
    row = connection.execute(statement).first()
    return _record(row) if row is not None else None


def exists(connection: sa.Connection, user_id: str, session_id: str) -> bool:
    """Whether the user has this session."""
    statement = sa.select(sessions.c.pk).where(*own_session(user_id, session_id))
    return connection.execute(statement).first() is not None


def insert(connection: sa.Connection, session: Session) -> None:
    """Store a new session.

    :raises sqlalchemy.exc.IntegrityError: if the user has, or had, one of this id.
    """
    connection.execute(
        sa.insert(sessions).values(
            user_id=session.user_id,
            session_id=session.id,
            name=session.name,
            search_text=_search_text(session.name),
            agent_id=session.agent_id,
            source=session.source,
            created_time=session.created_time,
            updated_time=session.updated_time,
        )
    )


def change(
    connection: sa.Connection, user_id: str, session_id: str, values: t.Mapping[str, t.Any]
) -> bool:
    """Set columns of a session, which locks its row.

    :return: False if the user has no such session.
    """
    statement = sa.update(sessions).where(*own_session(user_id, session_id)).values(values)
    return connection.execute(statement).rowcount == 1


def rename(connection: sa.Connection, user_id: str, session_id: str, name: str) -> bool:
    """Give a session a title.

    :return: False if the user has no such session.
    """
    values = {"name": name, "search_text": _search_text(name), **touch(now())}
    return change(connection, user_id, session_id, values)


def _search_text(name: str | None) -> str | None:
    return None if name is None else ids.searchable(name)


def delete(connection: sa.Connection, user_id: str, session_id: str) -> bool:
    """Hide a session and ask for its running turns to be cancelled.

    :return: False if the user has no such session.
    """
    if not change(connection, user_id, session_id, {"deleted_at": now()}):
        return False
    mine = (sessions.c.user_id == user_id, sessions.c.session_id == session_id)
    parent = sa.select(sessions.c.pk).where(*mine).scalar_subquery()
    live = (tasks.c.session_pk == parent, tasks.c.runs_until.is_not(None))
    connection.execute(sa.update(tasks).where(*live).values(cancel_requested=True))
    return True


def restore(connection: sa.Connection, user_id: str, session_id: str) -> None:
    """Bring a deleted session back."""
    connection.execute(
        sa.update(sessions)
        .where(sessions.c.user_id == user_id, sessions.c.session_id == session_id)
        .values(deleted_at=None)
    )


def viewed(connection: sa.Connection, user_id: str, session_id: str) -> int | None:
    """Note that a session was looked at.

    :return: when, in epoch milliseconds, never before its last change; ``None`` if the
        user has no such session.
    """
    moment, changed = now(), sessions.c.updated_time
    seen = {"last_viewed_at": sa.case((changed < moment, moment), else_=changed)}
    if not change(connection, user_id, session_id, seen):
        return None
    own = own_session(user_id, session_id)
    stored: int = connection.execute(sa.select(sessions.c.last_viewed_at).where(*own)).scalar_one()
    return stored


def page(
    connection: sa.Connection,
    user_id: str,
    filters: Filters,
    limit: int,
    *,
    offset: int = 0,
    after: Position | None = None,
) -> list[Session]:
    """Some of a user's sessions, the latest first.

    :param offset: how many to leave out.
    :param after: leave out everything up to here.
    """
    wanted = filters.values()
    place = after._asdict() if after else {}
    # Only PostgreSQL needs to be told of a column that is always NULL to walk the index
    # backwards, and only MariaDB would sort if it were.
    whole_index = connection.dialect.name == "postgresql"
    statement = _page_query(frozenset(wanted), after is not None, whole_index)
    values = {**wanted, **place, "user": user_id, "limit": limit, "offset": offset}
    return [_record(row) for row in connection.execute(statement, values).all()]


def count(connection: sa.Connection, user_id: str, filters: Filters) -> int:
    """How many sessions :func:`page` finds without a limit."""
    wanted = filters.values()
    values = {**wanted, "user": user_id}
    found: int = connection.execute(_count_query(frozenset(wanted)), values).scalar_one()
    return found


@functools.cache
def _page_query(wanted: frozenset[str], after: bool, whole_index: bool) -> sa.Select[t.Any]:
    first = (sessions.c.deleted_at.desc(),) if whole_index else ()
    rows = (
        sa.select(*_COLUMNS)
        .where(*_wanted(wanted), *(_behind() if after else ()))
        .order_by(*first, sessions.c.updated_time.desc(), sessions.c.session_id.desc())
        .limit(sa.bindparam("limit", type_=sa.Integer))
        .offset(sa.bindparam("offset", type_=sa.BigInteger))
        .subquery("page")
    )
    in_order = (rows.c.updated_time.desc(), rows.c.session_id.desc())
    return sa.select(rows, _running(rows.c.pk)).order_by(*in_order)


def _behind() -> tuple[sa.ColumnElement[bool], ...]:
    time: sa.BindParameter[int] = sa.bindparam("updated_time", type_=sa.BigInteger)
    place: sa.BindParameter[str] = sa.bindparam("session_id", type_=sessions.c.session_id.type)
    earlier = sessions.c.updated_time < time
    # The first condition alone lets every database find the place in the index.
    return sessions.c.updated_time <= time, sa.or_(earlier, sessions.c.session_id < place)


@functools.cache
def _count_query(wanted: frozenset[str]) -> sa.Select[t.Any]:
    return sa.select(sa.func.count()).select_from(sessions).where(*_wanted(wanted))


def _wanted(wanted: frozenset[str]) -> t.Iterator[sa.ColumnElement[bool]]:
    yield sessions.c.user_id == sa.bindparam("user")
    yield sessions.c.deleted_at.is_(None)
    for column in sorted(wanted - {"text"}):
        yield sessions.c[column] == sa.bindparam(column)
    if "text" in wanted:
        yield _contains(sa.bindparam("text", type_=sa.Text))


def _contains(pattern: sa.BindParameter[str]) -> sa.ColumnElement[bool]:
    said = sa.select(tasks.c.session_pk).where(
        tasks.c.user_id == sa.bindparam("user"), tasks.c.search_text.like(pattern, escape="/")
    )
    titled = sessions.c.search_text.like(pattern, escape="/")
    return sa.or_(titled, sessions.c.pk.in_(said))


def _pattern(text: str) -> str:
    for special in "/%_":
        text = text.replace(special, f"/{special}")
    return f"%{text}%"
