"""What the gateway stores, in the shape clients see it."""

from __future__ import annotations

import typing as t

import msgspec

Status = t.Literal["waiting", "running", "completed", "failed", "interrupted", "cancelled"]
LIVE: tuple[Status, ...] = ("waiting", "running")


class Session(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One conversation. Times are epoch milliseconds."""

    id: str
    user_id: str
    name: str | None
    agent_id: str | None
    project_id: str | None = None
    project_name: str | None = None
    source: str = "chat"
    has_running_background_task: bool = False
    scheduled_task_id: str | None = None
    scheduled_task_name: str | None = None
    created_time: int
    updated_time: int | None
    last_viewed_at: int | None = None


class TaskError(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Why a task has no answer."""

    code: str
    message: str


class ChatTask(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One turn of a conversation. Times are epoch milliseconds."""

    task_id: str
    session_id: str
    user_message: str | None
    #: JSON text of a list of bubbles, as clients of Agent Mesh expect it.
    message_bubbles: str
    task_metadata: str | None
    created_time: int
    updated_time: int | None
    agent: str | None
    status: Status
    error: TaskError | None = None
    retry_of: str | None = None
