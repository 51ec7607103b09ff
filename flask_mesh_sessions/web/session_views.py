"""Views of sessions."""

from __future__ import annotations

from flask import Response, abort

from .. import ids
from ..errors import AgentNotFound
from ..gateway.begin import checked_name, new_session
from ..gateway.paging import Page, Walk, position_of
from ..gateway.records import Session
from ..gateway.sessions import SOURCES, Filters, search_filter
from . import incoming, who
from .answers import answer
from .types import (
    CreateSession,
    ListQuery,
    PageMeta,
    Pagination,
    RenameSession,
    SearchQuery,
    SessionData,
    SessionPage,
    SessionWalk,
    Viewed,
    WalkMeta,
)


def create_session() -> Response:
    """Begin a conversation; the browser is in it from now on."""
    wanted = incoming.body(CreateSession, optional=True)
    # Before anybody becomes somebody for a request that is refused.
    name = checked_name(wanted.name) if wanted.name is not None else None
    _check_agent(wanted.agent_id)
    service = who.state().gateway
    begin = service.create if service is not None else new_session
    session = begin(who.somebody(), name=name, agent_id=wanted.agent_id)
    who.enter(session.id)
    return answer(SessionData(session), 201)


def _check_agent(name: str | None) -> None:
    if name is None:
        return
    ids.check_id("agentId", name, ids.AGENT_NAME_LENGTH)
    if name not in who.state().agent_names:
        raise AgentNotFound(f"There is no agent named {name!r} that can answer.")


def list_sessions() -> Response:
    """The user's sessions, the latest first."""
    wanted = incoming.query(ListQuery)
    if wanted.source and wanted.source not in SOURCES:
        allowed = ", ".join(SOURCES)
        abort(400, f"Invalid source filter: {wanted.source}. Must be one of: {allowed}")
    with incoming.naming_the_query():
        return _by_page(wanted) if wanted.cursor is None else _by_cursor(wanted, wanted.cursor)


def _by_page(wanted: ListQuery) -> Response:
    user, filters = who.asking(), _filters(wanted)
    if user is None:
        return _page(Page([], 0, wanted.page_number, wanted.page_size))
    found = who.gateway().list(
        user,
        page_number=wanted.page_number,
        page_size=wanted.page_size,
        agent_id=filters.agent_id,
        project_id=filters.project_id,
        source=filters.source,
    )
    return _page(found)


def _by_cursor(wanted: ListQuery, cursor: str) -> Response:
    user, filters = who.asking(), _filters(wanted)
    if user is None:
        if cursor:
            position_of(cursor)
        return _walk(Walk([], None))
    found = who.gateway().walk(
        user,
        cursor=cursor,
        page_size=wanted.page_size,
        agent_id=filters.agent_id,
        project_id=filters.project_id,
        source=filters.source,
    )
    return _walk(found)


def _filters(wanted: ListQuery) -> Filters:
    source = wanted.source or None
    return Filters(wanted.agent_id or None, wanted.project_id or None, source).check()


def search_sessions() -> Response:
    """The user's sessions that contain a text, the latest first."""
    wanted, user = incoming.query(SearchQuery), who.asking()
    agent, project = wanted.agent_id or None, wanted.project_id or None
    with incoming.naming_the_query():
        Filters(agent, project, text=search_filter(wanted.query)).check()
    if user is None:
        return _page(Page([], 0, wanted.page_number, wanted.page_size))
    found = who.gateway().search(
        user,
        wanted.query,
        page_number=wanted.page_number,
        page_size=wanted.page_size,
        agent_id=agent,
        project_id=project,
    )
    return _page(found)


def _page(page: Page[Session]) -> Response:
    pagination = Pagination(
        page_number=page.page_number,
        count=page.count,
        page_size=page.page_size,
        next_page=page.next_page,
        total_pages=page.total_pages,
    )
    return answer(SessionPage(page.data, PageMeta(pagination)))


def _walk(walk: Walk[Session]) -> Response:
    return answer(SessionWalk(walk.data, WalkMeta(walk.next_cursor)))


def get_session(session_id: str) -> Response:
    """One session."""
    return answer(SessionData(who.gateway().get(who.owner(), session_id)))


def rename_session(session_id: str) -> Response:
    """Give a session a title."""
    with who.owner_of(session_id) as user:
        wanted = incoming.body(RenameSession)
        return answer(who.gateway().rename(user, session_id, wanted.name))


def delete_session(session_id: str) -> Response:
    """Hide a session and cancel what runs in it."""
    with who.owner_of(session_id) as user:
        incoming.no_body()
        who.gateway().delete(user, session_id)
    return Response(status=204, mimetype="application/json")


def restore_session(session_id: str) -> Response:
    """Bring a deleted session back."""
    with who.owner_of(session_id) as user:
        incoming.no_body()
        return answer(SessionData(who.gateway().restore(user, session_id)))


def session_viewed(session_id: str) -> Response:
    """Note that the user looked at a session."""
    with who.owner_of(session_id) as user:
        incoming.no_body()
        return answer(Viewed(who.gateway().viewed(user, session_id)))
