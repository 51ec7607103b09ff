"""A conversation as it begins, with a database or without."""

from __future__ import annotations

from .. import ids
from ..clock import now
from ..errors import InvalidInput
from .records import Session
from .tables import NAME_LENGTH

#: Well-formed, but only ever sent by clients that have lost the real id, or a route's name.
NO_IDS = ("null", "undefined", "search")


def new_session(
    user_id: str,
    *,
    name: str | None = None,
    agent_id: str | None = None,
    session_id: str | None = None,
) -> Session:
    """A conversation that begins now; nothing is stored.

    :param name: its title, 1 to 255 characters.
    :param agent_id: the agent that answers unless another is asked.
    :param session_id: its id; by default a new one.
    :raises InvalidInput: naming the value that is refused.
    """
    moment = now()
    return Session(
        id=ids.new_session_id() if session_id is None else _session_id(session_id),
        user_id=ids.check_user_id(user_id),
        name=checked_name(name) if name is not None else None,
        agent_id=None
        if agent_id is None
        else ids.check_id("agentId", agent_id, ids.AGENT_NAME_LENGTH),
        created_time=moment,
        updated_time=moment,
    )


def is_session_id(value: str) -> bool:
    """Whether there can be a session of this id."""
    return ids.is_public_id(value) and value not in NO_IDS


def checked_name(name: str) -> str:
    """A session's title without outer spaces.

    :raises InvalidInput: if it is blank, too long, or cannot be stored.
    """
    ids.check_text("name", name)
    if not name.strip():
        raise _refused("Session name cannot be empty", "must not be empty")
    if len(name) > NAME_LENGTH:
        why = f"must be at most {NAME_LENGTH} characters"
        raise _refused(f"name {why}.", why)
    return name.strip()


def _session_id(value: str) -> str:
    ids.check_id("sessionId", value)
    if value in NO_IDS:
        why = "must not be " + " or ".join(NO_IDS)
        raise InvalidInput(f"sessionId {why}.", {"sessionId": [why]})
    return value


def _refused(message: str, why: str) -> InvalidInput:
    return InvalidInput(message, {"name": [why]})
