"""What a conversation's events say, as pieces of text that have a speaker."""

from __future__ import annotations

import typing as t

from ..agents.log import Event

Speaker = t.Literal["User", "Agent", "Tool"]

#: How much is kept of a tool call's arguments, and of its result.
ARGUMENT_CHARACTERS = 400
RESULT_CHARACTERS = 4000

_MARKS = {
    "failed": "[not finished: it failed]",
    "interrupted": "[not finished: it was interrupted]",
    "cancelled": "[not finished: the user cancelled it]",
}


class Block(t.NamedTuple):
    """Something that was said."""

    speaker: Speaker
    text: str


def blocks(events: t.Iterable[Event]) -> list[Block]:
    """The events as blocks: tool calls and results abbreviated, empty ones left out."""
    names: dict[str | None, str | None] = {}
    said: list[Block] = []
    for event in events:
        if event.kind == "tool_call":
            names[event.call_id] = event.name
        block = _block(event, names.get(event.call_id))
        if block.text:
            said.append(block)
    return said


def _block(event: Event, tool: str | None) -> Block:
    if event.kind == "user":
        return Block("User", event.content.strip())
    if event.kind == "agent":
        mark = _MARKS.get(event.name or "", "")
        return Block("Agent", f"{event.content.strip()} {mark}".strip())
    if event.kind == "tool_call":
        arguments = shortened(event.content, ARGUMENT_CHARACTERS)
        return Block("Tool", f"called {event.name}({arguments})")
    result = shortened(event.content.strip(), RESULT_CHARACTERS)
    return Block("Tool", f"{tool or 'an earlier call'} answered: {result}")


def shortened(text: str, characters: int) -> str:
    """``text`` without its middle, which is named as left out, if it is longer."""
    if len(text) <= characters:
        return text
    head, tail = characters * 3 // 4, characters // 4
    return f"{text[:head]} […{len(text) - head - tail} characters left out…] {text[-tail:]}"
