"""How a turn's end looks in the agent's log and in the chat history: always both."""

from __future__ import annotations

import typing as t

import msgspec

from ..agents.log import Closing, Entry
from ..agents.log import Turn as LoggedTurn
from ..gateway.records import ChatTask, Status, TaskError
from ..gateway.turns import Outcome, Usage
from . import bubbles

INTERRUPTED = TaskError(
    code="interrupted", message="The answer was interrupted before it was complete."
)
FAILED = TaskError(code="agent_error", message="The agent failed.")


def completed(answer: str, state: str | None, usage: list[dict[str, t.Any]]) -> Closing:
    """The end of a turn with an answer, for the log."""
    return Closing("completed", Entry("agent", answer), state, _usage_text(usage))


def without_answer(
    status: t.Literal["failed", "interrupted", "cancelled"],
    partial: str,
    usage: list[dict[str, t.Any]] | None = None,
    *,
    withdrawn: bool = False,
) -> Closing:
    """The end of a turn without an answer, for the log: an event that says so.

    :param partial: what the agent had said by then.
    """
    entry = Entry("agent", partial, name=status)
    return Closing(status, entry, usage=_usage_text(usage or []), withdrawn=withdrawn)


def outcome(
    task: ChatTask,
    status: Status,
    reply: str,
    *,
    error: TaskError | None = None,
    usage: list[dict[str, t.Any]] | None = None,
    tools: t.Sequence[bubbles.Part] = (),
) -> Outcome:
    """The end of a turn, for the chat history.

    :param reply: what the agent said, as far as it came.
    """
    text = bubbles.answer(task.task_id, task.user_message or "", reply, status, tools)
    return Outcome(status, text, error, total(usage or []))


def outcome_of(task: ChatTask, turn: LoggedTurn) -> Outcome:
    """The end of a turn as the agent's log has it, for the chat history."""
    usage = msgspec.json.decode(turn.usage) if turn.usage else []
    status = t.cast(Status, turn.status)
    error = {"failed": FAILED, "interrupted": INTERRUPTED}.get(status)
    return outcome(task, status, turn.answer or "", error=error, usage=usage)


def total(usage: list[dict[str, t.Any]]) -> Usage:
    """What all model calls of a turn took together."""

    def summed(field: str) -> int | None:
        counts = [call[field] for call in usage if call[field] is not None]
        return sum(counts) if counts else None

    return Usage(summed("prompt_tokens"), summed("completion_tokens"), summed("cached_tokens"))


def _usage_text(usage: list[dict[str, t.Any]]) -> str | None:
    return msgspec.json.encode(usage).decode() if usage else None
