"""Chat tasks that a client saves itself: what is accepted, and what it says of the turn."""

from __future__ import annotations

import typing as t

import msgspec

from .. import ids
from ..errors import InvalidInput
from .records import Status

#: How deep lists and objects may be nested in what a client saves.
MAX_DEPTH = 100

#: What the metadata's status means; anything else is ``completed``, as nothing runs it.
_STATUSES: dict[t.Any, Status] = {
    "error": "failed",
    "failed": "failed",
    "interrupted": "interrupted",
    "cancelled": "cancelled",
    "canceled": "cancelled",
}


class SavedTask(t.NamedTuple):
    """A chat task as a client saves it, checked."""

    task_id: str
    user_message: str | None
    #: JSON text of a list of objects that is not empty.
    bubbles: str
    #: JSON text of an object.
    metadata: str | None
    agent: str | None
    status: Status


def saved_task(
    task_id: str, user_message: str | None, message_bubbles: str, task_metadata: str | None
) -> SavedTask:
    """Check a chat task that a client saves.

    The agent is the metadata's ``agent_name``, if that can be an agent's name. The status
    follows the metadata's ``status``.

    :param message_bubbles: JSON text of a list of objects that is not empty.
    :param task_metadata: JSON text of an object, or blank for none.
    :raises InvalidInput: naming the field and what is allowed.
    """
    checked_id = ids.check_id("taskId", task_id.strip(), ids.TASK_ID_LENGTH)
    if user_message is not None:
        ids.check_text("userMessage", user_message)
    _check_bubbles(message_bubbles)
    metadata = _metadata(task_metadata) if task_metadata and task_metadata.strip() else None
    said = metadata or {}
    agent, status = said.get("agent_name"), said.get("status")
    return SavedTask(
        task_id=checked_id,
        user_message=user_message,
        bubbles=message_bubbles,
        metadata=task_metadata if metadata is not None else None,
        agent=agent if ids.is_agent_name(agent) else None,
        status=_STATUSES.get(status, "completed") if isinstance(status, str) else "completed",
    )


def _check_bubbles(text: str) -> None:
    bubbles = _decoded("messageBubbles", text)
    objects = isinstance(bubbles, list) and all(isinstance(b, dict) for b in bubbles)
    if not bubbles or not objects:
        raise _refused("messageBubbles", "must be JSON text of a non-empty array of objects")


def _metadata(text: str) -> dict[str, t.Any]:
    metadata = _decoded("taskMetadata", text)
    if not isinstance(metadata, dict):
        raise _refused("taskMetadata", "must be JSON text of an object")
    return metadata


def _decoded(field: str, text: str) -> t.Any:
    ids.check_text(field, text)
    try:
        value = msgspec.json.decode(text)
    except (ValueError, RecursionError):
        raise _refused(field, "must be JSON text") from None
    for string in _strings(field, value):
        ids.check_text(field, string)
    return value


def _strings(field: str, value: t.Any) -> t.Iterator[str]:
    """Every string in a JSON value, keys too."""
    left = [(value, 1)]
    while left:
        item, depth = left.pop()
        if depth > MAX_DEPTH:
            raise _refused(field, f"must not be nested deeper than {MAX_DEPTH} levels")
        if isinstance(item, str):
            yield item
        elif isinstance(item, list):
            left.extend((element, depth + 1) for element in item)
        elif isinstance(item, dict):
            yield from item
            left.extend((element, depth + 1) for element in item.values())


def _refused(field: str, why: str) -> InvalidInput:
    return InvalidInput(f"{field} {why}.", {field: [why]})
