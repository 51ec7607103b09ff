"""What clients send and are sent. The same types validate and describe."""

from __future__ import annotations

import typing as t

import msgspec
from msgspec import Meta, Struct, field

from ..gateway.history import Message
from ..gateway.paging import LIMITS, PAGE_NUMBERS, PAGE_SIZES
from ..gateway.records import ChatTask, Session

PageNumber = t.Annotated[int, Meta(ge=PAGE_NUMBERS[0], le=PAGE_NUMBERS[-1])]
PageSize = t.Annotated[int, Meta(ge=PAGE_SIZES[0], le=PAGE_SIZES[-1])]
Limit = t.Annotated[int, Meta(ge=LIMITS[0], le=LIMITS[-1])]


# What is asked for in the query


class ListQuery(Struct, kw_only=True):
    """Which sessions are listed, and how: by page number, or by cursor."""

    page_number: PageNumber = field(default=1, name="pageNumber")
    page_size: PageSize = field(default=20, name="pageSize")
    #: Empty for the first page; then ``meta.nextCursor`` of the page before.
    cursor: str | None = None
    agent_id: str | None = None
    project_id: str | None = None
    source: str | None = None


class SearchQuery(Struct, kw_only=True):
    """What is looked for in titles and messages."""

    query: str
    page_number: PageNumber = field(default=1, name="pageNumber")
    page_size: PageSize = field(default=20, name="pageSize")
    agent_id: str | None = None
    project_id: str | None = field(default=None, name="projectId")


class TasksQuery(Struct, kw_only=True):
    """Which of a session's chat tasks are read; by default all of them."""

    #: Only so many, the newest.
    limit: Limit | None = None
    #: Only those that came before this task.
    before: str | None = None


class AgentQuery(Struct, kw_only=True):
    """Which agent is meant."""

    agent: str | None = None
    agent_name: str | None = None

    @property
    def name(self) -> str | None:
        """The agent's name, whichever way it was given."""
        return self.agent or self.agent_name or None


# Bodies of requests


class CreateSession(Struct, rename="camel", kw_only=True):
    """A conversation that is to begin."""

    name: str | None = None
    agent_id: str | None = None


class RenameSession(Struct, rename="camel", kw_only=True):
    """A session's new title."""

    name: str


class SendMessage(Struct, rename="camel", kw_only=True):
    """A message to an agent."""

    text: str
    agent: str | None = None
    task_id: str | None = None


class RetryTask(Struct, rename="camel", kw_only=True):
    """A turn that is to be done again, with another text if one is given."""

    text: str | None = None
    task_id: str | None = None


class SaveTask(Struct, rename="camel", kw_only=True):
    """A chat task that a client saves itself."""

    task_id: str
    user_message: str | None = None
    #: JSON text of a non-empty array of objects.
    message_bubbles: str
    #: JSON text of an object.
    task_metadata: str | None = None


class Feedback(Struct, rename="camel", kw_only=True):
    """What a user thinks of an answer."""

    task_id: str
    session_id: str
    feedback_type: t.Literal["up", "down"]
    feedback_text: str | None = None


# Bodies of answers


class ErrorBody(Struct, rename="camel"):
    """Why a request failed."""

    detail: str
    message: str
    validation_details: dict[str, list[str]] | None = None


class SessionData(Struct):
    """One session."""

    data: Session


class Pagination(Struct, rename="camel", kw_only=True):
    """Where a page stands among all pages."""

    page_number: int
    count: int
    page_size: int
    next_page: int | None
    total_pages: int


class PageMeta(Struct):
    """About a page found by its number."""

    pagination: Pagination


class SessionPage(Struct):
    """Sessions by page number."""

    data: list[Session]
    meta: PageMeta


class WalkMeta(Struct, rename="camel"):
    """About a page found by a cursor."""

    next_cursor: str | None


class SessionWalk(Struct):
    """Sessions by cursor."""

    data: list[Session]
    meta: WalkMeta


class ChatTasks(Struct):
    """The chat tasks of a session."""

    tasks: list[ChatTask]


Messages = list[Message]


class Viewed(Struct, rename="camel"):
    """When a session was looked at, in epoch milliseconds."""

    last_viewed_at: int


class Note(Struct):
    """What was done, in words."""

    message: str


class FeedbackReceived(Struct):
    """Feedback was taken."""

    status: str = "feedback received"


class Limits(Struct, kw_only=True):
    """How much a client may send."""

    message_bytes: int
    body_bytes: int
    max_waiting: int


class ClientConfig(Struct, kw_only=True):
    """What a client needs to know before it starts."""

    frontend_server_url: str = ""
    frontend_platform_server_url: str = ""
    frontend_use_authorization: bool = False
    frontend_collect_feedback: bool
    frontend_feature_enablement: dict[str, bool]
    persistence_enabled: bool
    agents: list[str]
    #: For each agent who persists: ``A`` both, ``B`` neither, ``C`` only it, ``D`` not it.
    scenarios: dict[str, str]
    limits: Limits


class Health(Struct):
    """The process lives."""

    status: str = "ok"


class Readiness(Struct):
    """Whether each database can be used, by its role: ``ok``, or why not."""

    status: t.Literal["ok", "unavailable"]
    databases: dict[str, str]


def field_names(type_: type[Struct]) -> dict[str, str]:
    """How each field of a type is spelt in JSON, by its name in Python."""
    return {f.name: f.encode_name for f in msgspec.structs.fields(type_)}
