"""Views of chat tasks: the history, and what clients save in it."""

from __future__ import annotations

import logging

from flask import Response

from ..gateway.feedback import opinion
from . import incoming, who
from .answers import answer
from .types import ChatTasks, Feedback, FeedbackReceived, SaveTask, TasksQuery

log = logging.getLogger("flask_mesh_sessions.web")


def list_chat_tasks(session_id: str) -> Response:
    """The chat tasks of a session, in the order they came."""
    with who.owner_of(session_id) as user:
        wanted = incoming.query(TasksQuery)
        with incoming.naming_the_query():
            found = who.gateway().tasks(user, session_id, before=wanted.before, limit=wanted.limit)
    return answer(ChatTasks(found))


def save_chat_task(session_id: str) -> Response:
    """Store a chat task as a client has it."""
    with who.owner_of(session_id) as user:
        given = incoming.body(SaveTask, snake_case=True)
        task = who.gateway().save_task(
            user,
            session_id,
            task_id=given.task_id,
            user_message=given.user_message,
            message_bubbles=given.message_bubbles,
            task_metadata=given.task_metadata,
        )
    return answer(task)


def list_messages(session_id: str) -> Response:
    """The messages of a session, in the order they came."""
    return answer(who.gateway().messages(who.owner(), session_id))


def give_feedback() -> Response:
    """Take what a user thinks of an answer."""
    given = incoming.body(Feedback)
    service = who.state().gateway
    if service is not None:
        service.feedback(
            who.owner(),
            task_id=given.task_id,
            session_id=given.session_id,
            rating=given.feedback_type,
            comment=given.feedback_text,
        )
    else:
        user = who.asking() or "nobody"
        checked = opinion(
            user, given.session_id, given.task_id, given.feedback_type, given.feedback_text
        )
        log.info("Feedback on task %s: %s", checked.task_id, checked.rating)
    return answer(FeedbackReceived(), 202)
