"""What can go wrong, as one tree of exceptions.

::

    MeshError
    ├── ConfigError            a setting is wrong (also a ValueError)
    ├── MigrationError         a database cannot be brought to the right version
    ├── InvalidInput           a value from outside is refused, with the reasons by field
    │   └── TooLarge           … because of its size
    ├── Unauthorized           nobody is signed in, and anonymous use is off
    ├── NotFound               unknown, deleted, or somebody else's: never told apart
    │   ├── SessionNotFound
    │   ├── TaskNotFound
    │   └── AgentNotFound
    ├── Conflict               the request contradicts what is stored or running
    ├── TooManyWaiting         the session's queue is full; try again later
    ├── NotPersistent          this needs a database that is not configured
    ├── StorageUnavailable     a database cannot be reached or is not migrated
    ├── LeaseLost              another worker has taken this session over
    ├── DelegationCycle        an agent was asked to ask itself
    ├── DelegationTimeout      the other agent is busy
    ├── TurnFailed             an agent that was asked did not answer
    └── ContextOverflow        a turn cannot be made to fit the model's context window
"""

from __future__ import annotations

import typing as t


class MeshError(Exception):
    """The root of every error this package raises on purpose.

    :param message: what was wrong, in words that may be shown to a client.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        #: What was wrong. Never holds a password or a key.
        self.message = message


class ConfigError(MeshError, ValueError):
    """A setting is unknown, missing, of the wrong type or out of range."""


class MigrationError(MeshError):
    """A database cannot be brought to the version this package needs."""


class InvalidInput(MeshError):
    """A value from outside is refused.

    :param details: the reasons, by field name.
    """

    def __init__(
        self, message: str, details: t.Mapping[str, t.Sequence[str]] | None = None
    ) -> None:
        super().__init__(message)
        #: The reasons, by field name.
        self.details = {field: list(why) for field, why in (details or {}).items()}


class TooLarge(InvalidInput):
    """A value is larger than the configured limit."""


class Unauthorized(MeshError):
    """Nobody is signed in, and anonymous use is switched off."""

    def __init__(self, message: str = "Authentication is required.") -> None:
        super().__init__(message)


class NotFound(MeshError):
    """There is no such thing for this user."""


class SessionNotFound(NotFound):
    def __init__(self, message: str = "Session not found.") -> None:
        super().__init__(message)


class TaskNotFound(NotFound):
    def __init__(self, message: str = "Task not found.") -> None:
        super().__init__(message)


class AgentNotFound(NotFound):
    """No agent of this name can answer."""


class Conflict(MeshError):
    """The request contradicts what is stored or running."""


class TooManyWaiting(MeshError):
    """The session's queue is full.

    :param retry_after: seconds after which trying again makes sense.
    """

    def __init__(self, message: str, retry_after: int = 2) -> None:
        super().__init__(message)
        #: Seconds after which trying again makes sense.
        self.retry_after = retry_after


class NotPersistent(MeshError):
    """This needs a database that is not configured."""

    def __init__(
        self, message: str = "Session management requires database configuration."
    ) -> None:
        super().__init__(message)


class StorageUnavailable(MeshError):
    """A database cannot be reached, or is not migrated."""


class LeaseLost(MeshError):
    """Another worker has taken this session over; nothing was written."""


class DelegationCycle(MeshError):
    """An agent that is already answering in this chain was asked again."""


class DelegationTimeout(MeshError):
    """The agent that was asked is busy in this session."""


class TurnFailed(MeshError):
    """An agent that was asked did not answer."""


class ContextOverflow(MeshError):
    """A turn cannot be made to fit the model's context window; it says what is too big."""
