"""The message bubbles of a turn, as JSON text."""

from __future__ import annotations

import typing as t

import msgspec

from ..gateway.records import Status

Part = dict[str, t.Any]


def question(task_id: str, text: str) -> str:
    """The bubbles of a turn that has just been accepted."""
    return _encode([_user(task_id, text)])


def answer(
    task_id: str, text: str, reply: str, status: Status, tools: t.Sequence[Part] = ()
) -> str:
    """The bubbles of a turn that has ended.

    :param reply: what the agent said, as far as it came.
    :param tools: the tool calls it made, as parts.
    """
    if not reply and not tools and status != "completed":
        return question(task_id, text)
    bubble: Part = {
        "id": f"{task_id}-1",
        "type": "agent",
        "text": reply,
        "parts": [*tools, {"kind": "text", "text": reply}],
    }
    if status == "failed":
        bubble["isError"] = True
    return _encode([_user(task_id, text), bubble])


def reply_in(bubbles: str) -> str:
    """What the agent said in a turn's bubbles."""
    said = [b.get("text") for b in msgspec.json.decode(bubbles) if b.get("type") == "agent"]
    return "".join(text for text in said if isinstance(text, str))


def stored_size(text: str) -> int:
    """How many bytes ``text`` takes in a statement that stores it in a bubble.

    Escaped twice, as JSON and by MariaDB's driver. A statement of more than 16 MiB would be
    refused by MariaDB's default settings, on every attempt.
    """
    encoded = msgspec.json.encode(text)
    return len(encoded) - 4 + encoded.count(b"\\") + encoded.count(b'"')


def tool_part(call_id: str, name: str, arguments: str) -> Part:
    """A tool call as a part of a bubble."""
    data = {"type": "tool_call", "callId": call_id, "name": name, "arguments": arguments}
    return {"kind": "data", "data": data}


def _user(task_id: str, text: str) -> Part:
    return {"id": f"{task_id}-0", "type": "user", "text": text}


def _encode(bubbles: list[Part]) -> str:
    return msgspec.json.encode(bubbles).decode()
