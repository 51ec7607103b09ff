"""An agent without a model: it keeps a to-do list, through tools and its state."""

from __future__ import annotations

import re
from collections.abc import Sequence

from flask_mesh_sessions import MeshError, Turn

from .todo_list import TodoList
from .words import is_question, plainly

HELP = (
    "I keep your to-do list. Say for example:\n\n"
    "- add milk, bread\n- done 2\n- reopen 2\n- remove milk\n- remove done\n- list\n- clear"
)

#: How long a message may be.
TEXT_LENGTH = 10_000

_I = re.IGNORECASE | re.DOTALL
_LIST = r"(\s+(?:to|on|onto|from)\s+(?:my|the)(?:\s+to-?do)?\s+list)?[.!]?$"
_ADD = re.compile(
    r"(?:please\s+)?(?:add|put|remember\s+to|remind\s+me\s+to|i\s+(?:need|have|want)\s+to|i\s+must"
    r"|to-?do:)\s+(?P<what>.+?)" + _LIST,
    _I,
)
_CLEAR = re.compile(
    r"(?:(?:clear|empty)(?:\s+(?:my|the|all|everything|to-?do|list)\b)*"
    r"|(?:remove|delete)\s+(?:all|everything))" + _LIST,
    _I,
)
_CHANGES = {
    "reopen": re.compile(
        r"(?:reopen|undo|uncheck|untick|not\s+done:?)\s+(?P<what>.+?)" + _LIST, _I
    ),
    "finish": re.compile(
        r"(?:i(?:'m|\s+am|\s+have|'ve)?\s+)?(?:done|did|finish(?:ed)?|complete[d]?|check(?:ed)?"
        r"|tick(?:ed)?)(?:\s+off|\s+with)?\s+(?P<what>.+?)" + _LIST,
        _I,
    ),
    "remove": re.compile(r"(?:please\s+)?(?:remove|delete|drop)\s+(?P<what>.+?)" + _LIST, _I),
}
_IS_DONE = re.compile(r"(?P<what>.+?)\s+(?:is|are)\s+(?:done|finished)[.!]?$", _I)
_SHOW = re.compile(
    r"(?:please\s+)?(?:show\b.*|list\b.{0,20}|what(?:'s|\s+is|\s+do\s+i)\b.*\b(?:list|left|open|do)"
    r"\b.{0,20})",
    _I,
)
_DONE_ONES = re.compile(r"(?:the\s+|everything\s+|all\s+)?(?:done|finished)(?:\s+ones)?", _I)
_SEPARATOR = re.compile(r"\s*(?:[,;\n、，；]\s*(?:and\s+)?)+")


def todo(turn: Turn) -> str:
    """Do what the message says, and show the list."""
    todos = TodoList(turn)
    if len(turn.text) > TEXT_LENGTH:
        return f"That is too long for a list: at most {TEXT_LENGTH} characters, please."
    text = _tidy(turn.text)
    if _SHOW.fullmatch(text):
        return str(todos)
    result = _changed(todos, text)
    if result is not None:
        return f"{re.sub('^Error:', 'That did not work:', result)}\n\n{todos}"
    return _asked(turn) if is_question(text) else HELP


def _tidy(text: str) -> str:
    """One space or line end at a time, and one kind of apostrophe."""
    lines = (" ".join(line.split()) for line in text.replace("\u2019", "'").splitlines())
    return "\n".join(line for line in lines if line)


def _changed(todos: TodoList, text: str) -> str | None:
    """What came of the change that ``text`` asks for; None if it asks for none."""
    added = _ADD.fullmatch(text)
    if added:
        return todos.call("add", {"items": _split(added["what"])})[1]
    if _CLEAR.fullmatch(text):
        return todos.call("clear", {})[1]
    for tool, pattern in (*_CHANGES.items(), ("finish", _IS_DONE)):
        found = pattern.fullmatch(text)
        if found:
            return _apply(todos, tool, found["what"])
    return None


def _apply(todos: TodoList, tool: str, what: str) -> str:
    done = [n for n, item in enumerate(todos.items, 1) if item["done"]]
    if tool == "remove" and _DONE_ONES.fullmatch(what):
        numbers, unknown = done, "" if done else "anything done"
    else:
        numbers, unknown = _numbers(todos, _split(what))
    if unknown:
        return f"I did not find {unknown} on the list."
    return todos.call(tool, {"numbers": numbers})[1]


def _numbers(todos: TodoList, names: Sequence[str]) -> tuple[list[int], str]:
    """The numbers of the things named, and the first name that fits none or several."""
    numbers: list[int] = []
    for name in names:
        found = _find(todos, name)
        if found is None:
            return [], name
        numbers.append(found)
    return numbers, ""


def _find(todos: TodoList, name: str) -> int | None:
    digits = re.fullmatch(r"#?(\d{1,4})\.?", name)
    if digits:
        number = int(digits[1])
        return number if number <= len(todos.items) and number > 0 else None
    texts = [plainly(item["text"]) for item in todos.items]
    wanted = plainly(name)
    same = [n for n, text in enumerate(texts, 1) if text == wanted]
    alike = same or [n for n, text in enumerate(texts, 1) if wanted in text]
    return alike[0] if len(alike) == 1 or same else None


def _split(text: str) -> list[str]:
    return [part.strip() for part in _SEPARATOR.split(text) if part.strip()]


def _asked(turn: Turn) -> str:
    """What the librarian says, who remembers other things than this agent does."""
    try:
        said = turn.ask("librarian", turn.text)
    except MeshError as error:
        return f"That is not about your list, and the librarian did not answer: {error.message}"
    return f"That is not about your list, so I asked the librarian.\n\n{said}"
