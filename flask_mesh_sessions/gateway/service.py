"""The session service of the gateway: the verbs of the HTTP API, for host code too."""

from __future__ import annotations

import logging
import typing as t

import sqlalchemy as sa

from .. import ids
from ..errors import Conflict, SessionNotFound, StorageUnavailable, TaskNotFound
from ..storage.database import Database
from . import chat
from . import sessions as rows
from .begin import checked_name, is_session_id, new_session
from .feedback import Rating, opinion, rate
from .history import Message, messages
from .paging import (
    Page,
    Position,
    Walk,
    check_limit,
    check_page,
    check_page_size,
    cursor_after,
    position_of,
)
from .records import ChatTask, Session
from .saved import saved_task
from .sessions import Filters, search_filter

log = logging.getLogger("flask_mesh_sessions.gateway")

# Inside of the class, `list` is a verb.
Tasks = list[ChatTask]
Messages = list[Message]
T = t.TypeVar("T")


class GatewayService:
    """Sessions and chat history of every user, in the gateway's database.

    Every verb takes the user first. Whatever is another user's is unknown.

    :param database: the gateway's database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        #: Brings a chat task to its end that nobody runs any more; set by the runtime. Takes
        #: user, session and task id.
        self.settle: t.Callable[[str, str, str], object] | None = None

    def create(
        self,
        user_id: str,
        *,
        name: str | None = None,
        agent_id: str | None = None,
        session_id: str | None = None,
    ) -> Session:
        """Begin a conversation.

        :param name: its title, 1 to 255 characters.
        :param agent_id: the agent that answers unless another is asked.
        :param session_id: its id; by default a new one.
        :raises InvalidInput: naming the value that is refused.
        :raises Conflict: if the user has, or had, a session of this id.
        """
        session = new_session(user_id, name=name, agent_id=agent_id, session_id=session_id)

        def work(connection: sa.Connection) -> Session:
            rows.insert(connection, session)
            return session

        def written(connection: sa.Connection) -> Session | None:
            found = rows.read(connection, user_id, session.id)
            return found if found == session else None

        try:
            return self._database.write(work, written)
        except sa.exc.IntegrityError:
            raise Conflict("There is, or was, a session of this id.") from None

    def list(
        self,
        user_id: str,
        *,
        page_number: int = 1,
        page_size: int = 20,
        agent_id: str | None = None,
        project_id: str | None = None,
        source: str | None = None,
    ) -> Page[Session]:
        """One page of the user's sessions by its number, the latest first.

        :param source: ``chat`` or ``scheduler``.
        :raises InvalidInput: naming the parameter that is refused.
        """
        filters = Filters(agent_id, project_id, source)
        return self._page(user_id, filters, page_number, page_size)

    def walk(
        self,
        user_id: str,
        *,
        cursor: str = "",
        page_size: int = 20,
        agent_id: str | None = None,
        project_id: str | None = None,
        source: str | None = None,
    ) -> Walk[Session]:
        """Some of the user's sessions from a cursor on, the latest first.

        A session that does not change during a walk appears in it exactly once.

        :param cursor: the ``next_cursor`` of the step before; empty at first.
        :param source: ``chat`` or ``scheduler``.
        :raises InvalidInput: naming the parameter that is refused.
        """
        ids.check_user_id(user_id)
        check_page_size(page_size)
        after = position_of(cursor) if cursor else None
        filters = Filters(agent_id, project_id, source).check()
        found = self._database.read(
            lambda c: rows.page(c, user_id, filters, page_size + 1, after=after)
        )
        data = found[:page_size]
        return Walk(data, _cursor(data[-1]) if len(found) > page_size else None)

    def search(
        self,
        user_id: str,
        query: str,
        *,
        page_number: int = 1,
        page_size: int = 20,
        agent_id: str | None = None,
        project_id: str | None = None,
    ) -> Page[Session]:
        """The user's sessions whose title or messages contain a text, the latest first.

        Case does not matter, nor which of Unicode's ways of writing it is used. Nothing in
        the text is a wildcard.

        :param query: what to look for, up to 500 characters.
        :raises InvalidInput: naming the parameter that is refused.
        """
        filters = Filters(agent_id, project_id, text=search_filter(query))
        return self._page(user_id, filters, page_number, page_size)

    def _page(
        self, user_id: str, filters: Filters, page_number: int, page_size: int
    ) -> Page[Session]:
        ids.check_user_id(user_id)
        check_page(page_number, page_size)
        filters.check()
        offset = (page_number - 1) * page_size

        def work(connection: sa.Connection) -> Page[Session]:
            data = rows.page(connection, user_id, filters, page_size, offset=offset)
            count = rows.count(connection, user_id, filters)
            return Page(data, count, page_number, page_size)

        return self._database.read(work)

    def get(self, user_id: str, session_id: str) -> Session:
        """One session.

        :raises SessionNotFound: if the user has no such session.
        """
        _check_known(user_id, session_id)
        return _known(self._database.read(lambda c: rows.read(c, user_id, session_id)))

    def rename(self, user_id: str, session_id: str, name: str) -> Session:
        """Give a session a title.

        :param name: 1 to 255 characters; outer spaces are dropped.
        :raises InvalidInput: if the title is refused.
        :raises SessionNotFound: if the user has no such session.
        """
        _check_known(user_id, session_id)
        title = checked_name(name)

        def work(connection: sa.Connection) -> Session | None:
            rows.rename(connection, user_id, session_id, title)
            return rows.read(connection, user_id, session_id)

        return _known(self._repeatable(work))

    def delete(self, user_id: str, session_id: str) -> None:
        """Hide a session at once and cancel what runs in it. See :meth:`restore`.

        :raises SessionNotFound: if the user has no such session.
        """
        _check_known(user_id, session_id)

        def hidden(connection: sa.Connection) -> bool | None:
            return None if rows.exists(connection, user_id, session_id) else True

        if not self._database.write(lambda c: rows.delete(c, user_id, session_id), hidden):
            raise SessionNotFound

    def restore(self, user_id: str, session_id: str) -> Session:
        """Bring a deleted session back.

        :raises SessionNotFound: if the user never had such a session, or it was pruned.
        """
        _check_known(user_id, session_id)

        def work(connection: sa.Connection) -> Session | None:
            rows.restore(connection, user_id, session_id)
            return rows.read(connection, user_id, session_id)

        return _known(self._repeatable(work))

    def viewed(self, user_id: str, session_id: str) -> int:
        """Note that the user looked at a session.

        :return: when, in epoch milliseconds, never before its last change.
        :raises SessionNotFound: if the user has no such session.
        """
        _check_known(user_id, session_id)
        return _known(self._repeatable(lambda c: rows.viewed(c, user_id, session_id)))

    def tasks(
        self,
        user_id: str,
        session_id: str,
        *,
        before: str | None = None,
        limit: int | None = None,
    ) -> Tasks:
        """The chat tasks of a session, in the order they came.

        :param before: only those that came before this task.
        :param limit: only so many, the newest.
        :raises InvalidInput: naming the parameter that is refused.
        :raises SessionNotFound: if the user has no such session.
        """
        _check_known(user_id, session_id)
        if before is not None:
            ids.check_id("before", before, ids.TASK_ID_LENGTH)
        check_limit(limit)

        def read(connection: sa.Connection) -> list[chat.Found]:
            return chat.read(connection, user_id, session_id, before=before, limit=limit)

        found = self._database.read(read)
        if self._settled(user_id, found):
            found = self._database.read(read)
        return [row.task for row in found]

    def task(self, user_id: str, session_id: str, task_id: str) -> ChatTask:
        """One chat task.

        :raises SessionNotFound: if the user has no such session.
        :raises TaskNotFound: if it has no such task.
        """
        _check_known(user_id, session_id)
        if not ids.is_public_id(task_id, ids.TASK_ID_LENGTH):
            self.get(user_id, session_id)
            raise TaskNotFound

        def read(connection: sa.Connection) -> chat.Found:
            return chat.read_one(connection, user_id, session_id, task_id)

        found = self._database.read(read)
        if self._settled(user_id, [found]):
            found = self._database.read(read)
        return found.task

    def _settled(self, user_id: str, found: t.Iterable[chat.Found]) -> bool:
        """Bring what nobody runs any more to its end; whether there was any."""
        abandoned = [row.task for row in found if row.abandoned]
        if self.settle is None:
            return False
        for task in abandoned:
            try:
                self.settle(user_id, task.session_id, task.task_id)
            except StorageUnavailable:
                # The history can be read all the same; a later read settles the task.
                log.warning("Task %s cannot be settled yet.", task.task_id)
        return bool(abandoned)

    def messages(self, user_id: str, session_id: str) -> Messages:
        """The messages of a session, in the order they came.

        :raises SessionNotFound: if the user has no such session.
        """
        tasks = self.tasks(user_id, session_id)
        return [message for task in tasks for message in messages(task, user_id)]

    def save_task(
        self,
        user_id: str,
        session_id: str,
        *,
        task_id: str,
        user_message: str | None,
        message_bubbles: str,
        task_metadata: str | None,
    ) -> ChatTask:
        """Store a chat task that a client has run itself, or shows otherwise than was stored.

        While the runtime runs the task nothing is changed. Afterwards its bubbles and its
        metadata may be replaced, never its user message, agent, status or tokens.

        :param message_bubbles: JSON text of a non-empty list of objects.
        :param task_metadata: JSON text of an object, or blank for none.
        :raises InvalidInput: naming the value that is refused.
        :raises SessionNotFound: if the user has no such session.
        :raises Conflict: if the user has a task of this id in another session.
        """
        _check_known(user_id, session_id)
        saved = saved_task(task_id, user_message, message_bubbles, task_metadata)
        try:
            return self._repeatable(lambda c: chat.save(c, user_id, session_id, saved))
        except sa.exc.IntegrityError:
            raise Conflict("This taskId is used in another session.") from None

    def feedback(
        self,
        user_id: str,
        *,
        task_id: str,
        session_id: str,
        rating: Rating,
        comment: str | None = None,
    ) -> None:
        """Store what the user thinks of a chat task, in place of what they thought before.

        :raises InvalidInput: naming the value that is refused.
        :raises SessionNotFound: if the user has no such session.
        :raises TaskNotFound: if it has no such task.
        """
        given = opinion(user_id, session_id, task_id, rating, comment)
        try:
            self._repeatable(lambda c: rate(c, given))
        except sa.exc.IntegrityError:  # the same user at the same moment: now it is there
            self._repeatable(lambda c: rate(c, given))

    def _repeatable(self, work: t.Callable[[sa.Connection], T]) -> T:
        """Run a transaction that does no harm if it is run again after it was committed."""
        return self._database.write(work, lambda connection: None)


def _check_known(user_id: str, session_id: str) -> None:
    ids.check_user_id(user_id)
    if not is_session_id(session_id):
        raise SessionNotFound


def _known(found: T | None) -> T:
    if found is None:
        raise SessionNotFound
    return found


def _cursor(session: Session) -> str:
    return cursor_after(Position(session.updated_time or 0, session.id))
