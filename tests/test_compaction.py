"""Conversations that outgrow the model's window go on, without the agent knowing."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest
from flask import Flask

from flask_mesh_sessions import ChatTask, Turn
from flask_mesh_sessions.agents.messages import to_messages
from flask_mesh_sessions.compaction.compactor import SummaryRequest
from flask_mesh_sessions.compaction.tokens import message_tokens
from flask_mesh_sessions.runtime.runtime import Event
from tests import databases
from tests.mesh_app import KEY as SECRET
from tests.mesh_app import FastMesh, mesh_of, state_of
from tests.openai_server import KEY, OpenAIServer, Refused, Request

USER = "ada"
WINDOW = 600
FILLER = "It was a long day at the harbour and the ships came in one after another. " * 2


class Model:
    """A model with a small window that answers what is in its window and nothing else."""

    def __init__(self) -> None:
        self.refused = 0
        self.summaries: t.Callable[[Request], str] = lambda request: "They spoke of ships."

    def __call__(self, request: Request) -> str:
        messages = request["messages"]
        if "You keep the memory" in str(messages[0]["content"]):
            return self.summaries(request)
        tokens = sum(map(message_tokens, messages))
        if tokens > WINDOW:
            self.refused += 1
            message = (
                f"This model's maximum context length is {WINDOW} tokens. However, your"
                f" messages resulted in {tokens} tokens. Please reduce their length."
            )
            code = "context_length_exceeded"
            raise Refused(400, message, "invalid_request_error", "messages", code)
        return f"I see {len(messages)} messages"


@pytest.fixture(scope="module")
def urls(backend: str, tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[tuple[str, str]]:
    folder = tmp_path_factory.mktemp("databases")
    with (
        databases.temporary_database(backend, folder) as gateway,
        databases.temporary_database(backend, folder) as agents,
    ):
        yield gateway, agents


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
def make(urls: tuple[str, str], tmp_path: Path, model: Model) -> t.Iterator[t.Callable[..., Flask]]:
    """Makes apps whose agent is nothing but a model."""
    apps: list[Flask] = []
    pytest.importorskip("openai")

    with OpenAIServer(model) as server:

        def make(mesh: FastMesh | None = None, **options: t.Any) -> Flask:
            app = Flask("compaction", instance_path=str(tmp_path))
            app.secret_key = SECRET
            sql = [{"type": "sql", "database_url": url} for url in urls]
            chat = {"name": "gpt-test", "api_base": server.url, "api_key": KEY}
            summarization = {"compaction_percentage": 0.5, **options}
            agent = {
                "name": "assistant",
                "session_service": sql[1],
                "auto_summarization": summarization,
                "model": chat,
            }
            mesh = mesh or FastMesh()
            mesh.init_app(app, {"session_service": sql[0], "agents": [agent]})
            app.extensions["mesh_for_tests"] = mesh
            apps.append(app)
            return app

        yield make
        for app in apps:
            state_of(app).close()


def new_session(app: Flask) -> str:
    with app.app_context():
        return mesh_of(app).gateway.create(USER).id


def send(app: Flask, session: str, text: str) -> ChatTask:
    with app.app_context():
        return mesh_of(app).send(session, text, user_id=USER)


def talk(app: Flask, session: str, turns: int) -> None:
    for number in range(turns):
        task = send(app, session, f"{number}: {FILLER}")
        assert task.status == "completed", task.error


def context(app: Flask, session: str) -> list[dict[str, t.Any]]:
    sessions = state_of(app).sessions("assistant")
    lease = sessions.acquire(USER, session, 1000)
    assert lease is not None
    sessions.release(lease)
    return to_messages(sessions.context(lease))


def test_a_conversation_outgrows_the_window_and_goes_on(
    make: t.Callable[..., Flask], model: Model
) -> None:
    app = make()
    session = new_session(app)
    talk(app, session, 40)
    assert model.refused > 2, "the window was never full"
    found = state_of(app).sessions("assistant").compactions(USER, session)
    assert [c.version for c in found] == list(range(1, len(found) + 1))
    assert all(c.tokens_after < c.tokens_before for c in found)
    assert "They spoke of ships." in context(app, session)[0]["content"]
    with app.app_context():
        history = mesh_of(app).gateway.tasks(USER, session)
    assert [task.status for task in history] == ["completed"] * 40, "all of it is still shown"
    log = state_of(app).sessions("assistant").events(USER, session, limit=1000)
    assert [event.seq for event in log] == list(range(1, 81)), "nothing is deleted"


@pytest.mark.parametrize("summary", ["", "Error: overloaded", "x " * 5000])
def test_a_summary_that_is_none_is_replaced_by_an_extract(
    make: t.Callable[..., Flask], model: Model, summary: str
) -> None:
    model.summaries = lambda request: summary
    app = make()
    session = new_session(app)
    send(app, session, "My boat is called Aurora and its number is HH-4711.")
    talk(app, session, 10)
    first = context(app, session)[0]["content"]
    assert "Aurora" in first and "HH-4711" in first
    assert summary[:20] not in first or summary == ""


def test_a_summarizer_of_the_hosts_own(make: t.Callable[..., Flask]) -> None:
    mesh, asked = FastMesh(), []

    @mesh.summarizer
    def shorten(request: SummaryRequest) -> str:
        asked.append(request)
        return f"Summary number {len(asked)}."

    app = make(mesh)
    session = new_session(app)
    talk(app, session, 20)
    assert len(asked) > 1
    assert asked[0].previous == "" and "Summary number 1." in asked[1].previous
    assert "0: It was a long day" in asked[0].text
    assert f"Summary number {len(asked)}." in context(app, session)[0]["content"]


def test_what_was_streamed_before_the_overflow_is_dropped(
    urls: tuple[str, str], tmp_path: Path
) -> None:
    app = Flask("compaction", instance_path=str(tmp_path))
    app.secret_key = SECRET
    mesh = FastMesh()

    @mesh.agent("assistant")
    def assistant(turn: Turn) -> t.Iterator[str]:
        turn.state["calls"] = turn.state.get("calls", 0) + 1
        yield f"{len(turn.messages)} "
        if len(turn.messages) > 6:
            raise ValueError("Error code: 400 - prompt is too long: 9999 tokens > 800 maximum")
        yield "done"

    sql = [{"type": "sql", "database_url": url} for url in urls]
    agent = {"name": "assistant", "session_service": sql[1]}
    mesh.init_app(app, {"session_service": sql[0], "agents": [agent]})
    app.extensions["mesh_for_tests"] = mesh
    session = new_session(app)
    runtime = state_of(app).runtime
    for number in range(3):
        send(app, session, f"{number}: {FILLER * 4}")
    task_id = runtime.send(USER, session, "the seventh message")
    events = [e for e in runtime.events(USER, session, task_id, begin="task") if e is not None]
    assert "reset" in [event.name for event in events]
    assert shown(events).endswith("done") and shown(events).count(" ") == 1
    finished = events[-1].data
    assert isinstance(finished, ChatTask)
    assert json.loads(finished.message_bubbles)[1]["text"] == shown(events)
    lease = state_of(app).sessions("assistant").acquire(USER, session, 1000)
    assert lease is not None
    stored = state_of(app).sessions("assistant").state(lease)
    assert stored is not None and json.loads(stored) == {"calls": 4}, "the last call counts"
    state_of(app).close()


def shown(events: list[Event]) -> str:
    text = ""
    for event in events:
        if event.name == "reset":
            text = ""
        elif event.name == "delta":
            text += t.cast("dict[str, str]", event.data)["text"]
    return text


def test_a_message_that_fits_no_window_fails_and_the_conversation_goes_on(
    make: t.Callable[..., Flask],
) -> None:
    app = make()
    session = new_session(app)
    talk(app, session, 2)
    before = context(app, session)
    task = send(app, session, FILLER * 40)
    assert task.status == "failed" and task.error is not None
    assert task.error.code == "context_overflow"
    assert "This message" in task.error.message and "600 tokens" in task.error.message
    after = context(app, session)
    assert [m["role"] for m in after][-1] == "assistant", "the turn was withdrawn"
    assert after[-1] == before[-1]
    assert send(app, session, "and now?").status == "completed"


@pytest.mark.parametrize("options", [{"enabled": False}, {"compaction_percentage": 0.0}])
def test_compaction_can_be_switched_off(
    make: t.Callable[..., Flask], options: dict[str, t.Any]
) -> None:
    app = make(**options)
    session = new_session(app)
    task = None
    for number in range(30):
        task = send(app, session, f"{number}: {FILLER}")
        if task.status != "completed":
            break
    assert task is not None and task.error is not None
    assert task.error.code == "context_overflow" and "switched off" in task.error.message
    assert state_of(app).sessions("assistant").compactions(USER, session) == []
