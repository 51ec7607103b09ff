"""What a turn is to the gateway: what is asked, what is stored, how it ends."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

import msgspec

from ..errors import Conflict
from .records import ChatTask, Status, TaskError


@dataclass(frozen=True)
class NewTask:
    """A turn that asks to be accepted."""

    user_id: str
    session_id: str
    task_id: str
    text: str
    bubbles: str
    runner: str
    ttl_ms: int
    #: The agent that was asked for, if any.
    agent: str | None = None
    retry_of: str | None = None


@dataclass(frozen=True)
class Usage:
    """What a turn cost, in tokens."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None


@dataclass(frozen=True)
class Outcome:
    """How a turn ended."""

    status: Status
    bubbles: str
    error: TaskError | None = None
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True)
class LedgerTask:
    """A chat task together with who runs it."""

    pk: int
    user_id: str
    task: ChatTask
    runner: str | None
    #: Epoch milliseconds of the database; ``None`` once the task has ended.
    runs_until: int | None
    cancel_requested: bool
    #: Nobody runs it any more although it has not ended.
    expired: bool

    @property
    def live(self) -> bool:
        """Whether it has not ended."""
        return self.runs_until is not None


@dataclass(frozen=True)
class Accepted:
    """A task that is stored."""

    task: LedgerTask
    #: False: the same task had been accepted before.
    fresh: bool
    #: Whether tasks of this session stood before it and had not ended.
    queued: bool


@dataclass(frozen=True)
class Piece:
    """Streamed text: ``start`` counts the characters before it, dropped ones included."""

    seq: int
    start: int
    text: str
    reset: bool = False


#: Says which agent answers, given the one asked for and the session's own.
Resolve = t.Callable[[str | None, str | None], str]


class Ledger(t.Protocol):
    """The verbs the runtime needs of a gateway, with a database or without."""

    def accept(self, new: NewTask, resolve: Resolve, max_waiting: int) -> Accepted: ...
    def start(self, pk: int, runner: str, ttl_ms: int) -> bool: ...
    def renew(self, pks: t.Collection[int], runner: str, ttl_ms: int) -> None: ...
    def cancelled(self, pks: t.Collection[int]) -> set[int]: ...
    def request_cancel(self, pk: int) -> None: ...
    def flush(self, pk: int, runner: str, pieces: t.Sequence[Piece]) -> bool: ...
    def finish(
        self, task: LedgerTask, runner: str, outcome: Outcome, streamed: bool
    ) -> ChatTask | None: ...
    def settle(self, task: LedgerTask, outcome: Outcome) -> bool: ...
    def find(self, user_id: str, task_id: str) -> LedgerTask | None: ...
    def ahead(self, task: LedgerTask) -> list[LedgerTask]: ...
    def expired(self, limit: int) -> list[LedgerTask]: ...
    def pieces(self, pk: int, after: int) -> list[Piece]: ...
    def has_session(self, user_id: str, session_id: str) -> bool: ...


def check_same(known: LedgerTask, new: NewTask) -> None:
    """Refuse a task id that is used again for something else.

    :raises Conflict: if session, text, agent or what is retried differ.
    """
    task = known.task
    same = (
        task.session_id == new.session_id
        and task.user_message == new.text
        and task.retry_of == new.retry_of
        and new.agent in (None, task.agent)
    )
    if not same:
        raise Conflict("This taskId was used for another message.")


def new_chat_task(new: NewTask, agent: str, moment: int) -> ChatTask:
    """A task as it stands when it has just been accepted."""
    return ChatTask(
        task_id=new.task_id,
        session_id=new.session_id,
        user_message=new.text,
        message_bubbles=new.bubbles,
        task_metadata=default_metadata("waiting", agent),
        created_time=moment,
        updated_time=None,
        agent=agent,
        status="waiting",
        retry_of=new.retry_of,
    )


def ended(task: ChatTask, outcome: Outcome, moment: int) -> ChatTask:
    """``task`` as it stands once it has ended."""
    return msgspec.structs.replace(
        task,
        status=outcome.status,
        message_bubbles=outcome.bubbles,
        error=outcome.error,
        updated_time=moment,
        task_metadata=default_metadata(outcome.status, task.agent),
    )


def default_metadata(status: Status, agent: str | None) -> str | None:
    """What clients of Agent Mesh expect as a task's metadata, as JSON text."""
    if agent is None:
        return None
    shown = {"completed": "completed", "cancelled": "completed", "waiting": "pending"}
    shown["running"] = "pending"
    metadata = {"schema_version": 1, "status": shown.get(status, "error"), "agent_name": agent}
    return msgspec.json.encode(metadata).decode()
