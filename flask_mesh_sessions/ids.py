"""The ids that name users, sessions, tasks and agents, and the text that may be stored.

Ids compare byte for byte everywhere. None can end in a space, so that databases that
pad when they compare cannot take two ids for one.
"""

from __future__ import annotations

import re
import unicodedata
import uuid

from .errors import InvalidInput

SESSION_ID_LENGTH = 128
TASK_ID_LENGTH = 128
AGENT_NAME_LENGTH = 64
USER_ID_LENGTH = 255

#: How the ids of browsers nobody has signed in on begin, and no other user's.
ANONYMOUS_PREFIX = "anonymous-"

_VISIBLE_ASCII = re.compile(r"[\x21-\x7e]+")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def new_session_id() -> str:
    """A fresh conversation id: ``web-session-`` and 32 hex digits."""
    return f"web-session-{uuid.uuid4().hex}"


def new_task_id() -> str:
    """A fresh task id: ``gdk-task-`` and 32 hex digits."""
    return f"gdk-task-{uuid.uuid4().hex}"


def new_anonymous_user() -> str:
    """A fresh id for a browser nobody has signed in on."""
    return f"{ANONYMOUS_PREFIX}{uuid.uuid4().hex}"


def is_public_id(value: object, length: int = SESSION_ID_LENGTH) -> bool:
    """Whether ``value`` is 1 to ``length`` visible ASCII characters."""
    return (
        isinstance(value, str)
        and len(value) <= length
        and _VISIBLE_ASCII.fullmatch(value) is not None
    )


def is_agent_name(value: object) -> bool:
    """Whether ``value`` is 1 to 64 visible ASCII characters."""
    return is_public_id(value, AGENT_NAME_LENGTH)


def is_user_id(value: object) -> bool:
    """Whether ``value`` is 1 to 255 characters, none a control character, no outer spaces."""
    return (
        isinstance(value, str)
        and 1 <= len(value) <= USER_ID_LENGTH
        and value == value.strip()
        and not any(unicodedata.category(c) in ("Cc", "Cs") for c in value)
    )


def check_id(field: str, value: object, length: int = SESSION_ID_LENGTH) -> str:
    """Return ``value`` if it is a public id.

    :raises InvalidInput: naming ``field`` and what is allowed.
    """
    if not is_public_id(value, length):
        why = f"must be 1 to {length} visible ASCII characters"
        raise InvalidInput(f"{field} {why}.", {field: [why]})
    assert isinstance(value, str)
    return value


def check_user_id(value: object) -> str:
    """Return ``value`` if it is a user id.

    :raises InvalidInput: saying what is allowed.
    """
    if not is_user_id(value):
        why = "must be 1 to 255 characters without control characters or outer spaces"
        raise InvalidInput(f"The user id {why}.", {"userId": [why]})
    assert isinstance(value, str)
    return value


def check_text(field: str, value: str) -> str:
    """Return ``value`` if every database can store it.

    :raises InvalidInput: on a NUL or a lone surrogate.
    """
    if _UNSTORABLE.search(value):
        why = "must not contain NUL characters or lone surrogates"
        raise InvalidInput(f"{field} {why}.", {field: [why]})
    return value


def storable(value: str) -> str:
    """``value`` with what no database can store replaced by U+FFFD."""
    return _UNSTORABLE.sub("\ufffd", value)


def searchable(value: str) -> str:
    """The form in which text is searched: NFKC, casefolded."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", value).casefold())
