"""A list of things to do, as it is kept in an agent's state, and the tools that change it."""

from __future__ import annotations

import typing as t
from collections.abc import Iterable, Mapping, Sequence

from flask_mesh_sessions import Turn

#: How long a list, and one thing on it, may get.
ITEMS = 200
ITEM_LENGTH = 200


class ToolError(Exception):
    """A tool cannot do what it was asked to do. The text says why."""


class TodoList:
    """The list of one conversation. Things on it are numbered from 1.

    :param turn: the turn whose state holds the list.
    """

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self.items: list[dict[str, t.Any]] = turn.state.setdefault("items", [])

    def call(self, tool: str, arguments: Mapping[str, t.Any]) -> tuple[str, str]:
        """Use a tool, on the record: the call, and what came of it, go into the memory.

        :return: the id of the call and its result, which begins with ``Error`` on failure.
        """
        call_id = self._turn.call_tool(tool, arguments)
        try:
            result = self._use(tool, arguments)
        except ToolError as error:
            result = f"Error: {error}"
        self._turn.tool_result(call_id, result)
        return call_id, result

    def _use(self, tool: str, arguments: Mapping[str, t.Any]) -> str:
        if tool == "add":
            return self._add(_texts(arguments.get("items")))
        if tool == "clear":
            return self._clear()
        numbers = self._numbers(arguments.get("numbers"))
        if tool == "finish":
            return self._mark(numbers, True)
        if tool == "reopen":
            return self._mark(numbers, False)
        if tool == "remove":
            return self._remove(numbers)
        raise ToolError(f"there is no tool {tool!r}.")

    def _add(self, texts: Sequence[str]) -> str:
        if len(self.items) + len(texts) > ITEMS:
            raise ToolError(f"a list holds at most {ITEMS} things.")
        self.items += [{"text": text, "done": False} for text in texts]
        return f"Added {', '.join(texts)}."

    def _mark(self, numbers: Sequence[int], done: bool) -> str:
        for number in numbers:
            self.items[number - 1]["done"] = done
        return f"{'Finished' if done else 'Reopened'} {self._named(numbers)}."

    def _remove(self, numbers: Sequence[int]) -> str:
        names = self._named(numbers)
        self.items[:] = [item for n, item in enumerate(self.items, 1) if n not in numbers]
        return f"Removed {names}."

    def _clear(self) -> str:
        self.items.clear()
        return "The list is empty now."

    def _numbers(self, given: t.Any) -> list[int]:
        whole = isinstance(given, list) and given and all(type(n) is int for n in given)
        if not whole:
            raise ToolError("numbers must be a list of whole numbers.")
        for number in given:
            if not 1 <= number <= len(self.items):
                raise ToolError(f"there is no number {number} on the list.")
        return sorted(set(given))

    def _named(self, numbers: Iterable[int]) -> str:
        return ", ".join(str(self.items[number - 1]["text"]) for number in numbers)

    def __str__(self) -> str:
        if not self.items:
            return "There is nothing on the list."
        marks = {True: "x", False: " "}
        lines = enumerate(self.items, 1)
        return "\n".join(f"{n}. [{marks[item['done']]}] {item['text']}" for n, item in lines)


def _texts(given: t.Any) -> list[str]:
    if not isinstance(given, list) or not all(isinstance(text, str) for text in given):
        raise ToolError("items must be a list of texts.")
    texts = [" ".join(text.split()) for text in given]
    texts = [text for text in texts if text]
    if not texts:
        raise ToolError("there is nothing to add.")
    if any(len(text) > ITEM_LENGTH for text in texts):
        raise ToolError(f"one thing has at most {ITEM_LENGTH} characters.")
    return texts
