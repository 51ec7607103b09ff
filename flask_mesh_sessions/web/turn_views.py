"""Views of turns: a message is sent, followed, cancelled, sent again."""

from __future__ import annotations

from flask import Response, request

from . import incoming, who
from .answers import answer
from .streams import stream
from .types import AgentQuery, Note, RetryTask, SendMessage


def send_message(session_id: str) -> Response:
    """Run a turn."""
    # Without a database any session is everybody's own, and whoever is new becomes somebody.
    if who.state().gateway is None:
        message, agent = _message()
        asked = agent if message.agent is None else message.agent
        # Before anybody becomes somebody for a request that is refused.
        who.state().runtime.check(session_id, message.text, asked, message.task_id)
        return _run(who.somebody(), session_id, message, agent)
    with who.owner_of(session_id) as user:
        message, agent = _message()
        return _run(user, session_id, message, agent)


def _message() -> tuple[SendMessage, str | None]:
    return incoming.body(SendMessage), incoming.query(AgentQuery).name


def _run(user: str, session_id: str, message: SendMessage, agent: str | None) -> Response:
    asked = agent if message.agent is None else message.agent
    task_id = who.state().runtime.send(user, session_id, message.text, asked, message.task_id)
    who.stay(session_id)
    return _answered(user, session_id, task_id)


def retry_chat_task(session_id: str, task_id: str) -> Response:
    """Do the session's last turn again."""
    with who.owner_of(session_id) as user:
        wanted = incoming.body(RetryTask, optional=True)
        new_task_id = who.state().runtime.retry(
            user, session_id, task_id, wanted.text, wanted.task_id
        )
    return _answered(user, session_id, new_task_id)


def _answered(user: str, session_id: str, task_id: str) -> Response:
    runtime = who.state().runtime
    if "text/event-stream" in request.headers.get("Accept", "").lower():
        return stream(runtime.events(user, session_id, task_id, begin="task"))
    return answer(runtime.wait(user, session_id, task_id, sent=True))


def chat_task_events(session_id: str, task_id: str) -> Response:
    """Follow a turn: its text so far, then what comes."""
    user, runtime = who.owner(), who.state().runtime
    runtime.open_session(user, session_id)
    last = request.headers.get("Last-Event-ID")
    return stream(runtime.events(user, session_id, task_id, last))


def cancel_chat_task(session_id: str, task_id: str) -> Response:
    """Cancel a turn."""
    with who.owner_of(session_id) as user:
        incoming.no_body()
        who.state().runtime.cancel(user, session_id, task_id)
    return answer(Note("Cancellation request sent"), 202)
