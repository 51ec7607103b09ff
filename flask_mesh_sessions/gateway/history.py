"""What the bubbles of a chat task say: as messages, and as text to be searched."""

from __future__ import annotations

import typing as t

import msgspec

from .. import ids
from .records import ChatTask

Bubble = dict[str, t.Any]

#: How much of a task can be searched, in characters. Some characters become 18 when they are
#: made searchable, and MariaDB takes 16 MiB at a time.
SEARCH_LENGTH = 2 * 1024 * 1024


class Message(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One bubble of a chat task. Times are epoch milliseconds."""

    id: str
    session_id: str
    message: str
    sender_type: t.Literal["user", "agent"]
    sender_name: str
    message_type: str = "text"
    created_time: int


def bubble_text(bubble: Bubble) -> str:
    """What a bubble says: its ``text``, or the text of its parts when that is empty."""
    text = bubble.get("text")
    if isinstance(text, str) and text:
        return text
    parts = bubble.get("parts")
    found = [p.get("text") for p in parts if isinstance(p, dict)] if isinstance(parts, list) else []
    return "".join(text for text in found if isinstance(text, str))


def task_search_text(user_message: str | None, bubbles_json: str) -> str:
    """The text by which a chat task is found.

    :param user_message: what the user wrote, if anything.
    :param bubbles_json: JSON text of a list of bubbles.
    """
    said = [user_message, *map(bubble_text, msgspec.json.decode(bubbles_json))]
    # The user's message usually stands in a bubble as well.
    text = "\n".join(dict.fromkeys(text for text in said if text))
    return ids.searchable(ids.storable(text[:SEARCH_LENGTH]))[:SEARCH_LENGTH]


def messages(task: ChatTask, user_id: str) -> list[Message]:
    """The messages of a chat task, one for each bubble.

    A message's id is its bubble's, or made of the task's id and the bubble's place: the
    same on every read.

    :param user_id: who wrote what the user wrote.
    """
    bubbles: list[Bubble] = msgspec.json.decode(task.message_bubbles)
    agent = _agent_name(task)
    return [
        Message(
            id=_bubble_id(bubble) or f"{task.task_id}-{index}",
            session_id=task.session_id,
            message=bubble_text(bubble),
            sender_type="user" if bubble.get("type") == "user" else "agent",
            sender_name=user_id if bubble.get("type") == "user" else agent,
            created_time=task.created_time,
        )
        for index, bubble in enumerate(bubbles)
    ]


def _bubble_id(bubble: Bubble) -> str | None:
    value = bubble.get("id")
    return value if isinstance(value, str) else None


def _agent_name(task: ChatTask) -> str:
    metadata = msgspec.json.decode(task.task_metadata) if task.task_metadata else {}
    name = metadata.get("agent_name")
    return name if isinstance(name, str) and name else task.agent or "agent"
