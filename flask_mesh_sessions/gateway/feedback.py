"""What users think of chat tasks."""

from __future__ import annotations

import typing as t

import sqlalchemy as sa

from .. import ids
from ..clock import now
from ..errors import InvalidInput, SessionNotFound, TaskNotFound
from . import chat, sessions
from .tables import feedback

Rating = t.Literal["up", "down"]
RATINGS: tuple[Rating, ...] = ("up", "down")


class Opinion(t.NamedTuple):
    """What one user thinks of one chat task."""

    user_id: str
    session_id: str
    task_id: str
    rating: Rating
    comment: str | None


def opinion(
    user_id: str, session_id: str, task_id: str, rating: Rating, comment: str | None
) -> Opinion:
    """Check what a user thinks of a chat task.

    :raises InvalidInput: naming the value that is refused.
    """
    ids.check_user_id(user_id)
    ids.check_id("sessionId", session_id)
    ids.check_id("taskId", task_id, ids.TASK_ID_LENGTH)
    if rating not in RATINGS:
        why = "must be one of: " + ", ".join(RATINGS)
        raise InvalidInput(f"feedbackType {why}.", {"feedbackType": [why]})
    if comment is not None:
        ids.check_text("feedbackText", comment)
    return Opinion(user_id, session_id, task_id, rating, comment)


def rate(connection: sa.Connection, given: Opinion) -> None:
    """Store an opinion in place of the one before.

    :raises SessionNotFound: if the user has no such session.
    :raises TaskNotFound: if it has no such task.
    :raises sqlalchemy.exc.IntegrityError: if the same is done at the same moment.
    """
    if not chat.has_task(connection, given.user_id, given.session_id, given.task_id):
        known = sessions.exists(connection, given.user_id, given.session_id)
        raise TaskNotFound if known else SessionNotFound
    mine = (feedback.c.user_id == given.user_id, feedback.c.task_id == given.task_id)
    values = {"rating": given.rating, "comment": given.comment, "created_time": now()}
    if connection.execute(sa.update(feedback).where(*mine).values(values)).rowcount:
        return
    key = {"user_id": given.user_id, "session_id": given.session_id, "task_id": given.task_id}
    connection.execute(sa.insert(feedback).values({**key, **values}))
