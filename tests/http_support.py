"""Apps and requests for the tests of the HTTP side."""

from __future__ import annotations

import contextlib
import json
import typing as t
from pathlib import Path

import sqlalchemy as sa
from flask import Flask, request
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from flask_mesh_sessions.agents import tables as agent_tables
from flask_mesh_sessions.gateway import tables as gateway_tables
from flask_mesh_sessions.web_session import web_sessions
from tests import databases
from tests.mesh_app import make_app, mesh_of, state_of

PREFIX = "/api/v1"
BUBBLES = json.dumps([{"id": "b1", "type": "user", "text": "Hello"}])

#: What a request may not have changed. Web sessions are kept apart: they have no content.
TABLES = (
    gateway_tables.sessions,
    gateway_tables.chat_tasks,
    gateway_tables.feedback,
    agent_tables.agent_sessions,
    agent_tables.agent_turns,
    agent_tables.agent_events,
)


@contextlib.contextmanager
def two_databases(backend: str, folder: Path) -> t.Iterator[tuple[str, str]]:
    """One for the gateway, one for the agents."""
    with (
        databases.temporary_database(backend, folder) as gateway,
        databases.temporary_database(backend, folder) as agents,
    ):
        yield gateway, agents


@contextlib.contextmanager
def serving(
    folder: Path, gateway_url: str | None, agent_url: str | None = None, **more: t.Any
) -> t.Iterator[Flask]:
    """An app whose users are named by the header ``X-User``; others are anonymous."""
    app = make_app(folder, gateway_url, agent_url, **more)
    mesh_of(app).user_loader(lambda: request.headers.get("X-User"))
    yield app
    state_of(app).close()


class Client:
    """A browser, or a user of the API with the header ``X-User``."""

    def __init__(self, app: Flask, user: str | None = None) -> None:
        self.app = app
        self.client: FlaskClient = app.test_client()
        self.headers = {"X-User": user} if user else {}

    def __call__(self, method: str, path: str, body: t.Any = None, **options: t.Any) -> t.Any:
        """Make a request below the prefix; ``body`` is sent as JSON."""
        headers = {**self.headers, **options.pop("headers", {})}
        if body is not None:
            options["json"] = body
        return self.client.open(PREFIX + path, method=method, headers=headers, **options)

    def session(self, **values: t.Any) -> str:
        """A new session's id."""
        made = self("POST", "/sessions", values)
        assert made.status_code == 201, made.text
        session_id: str = made.json["data"]["id"]
        return session_id

    def say(self, session_id: str, text: str, **values: t.Any) -> dict[str, t.Any]:
        """The finished chat task of a message."""
        sent = self("POST", f"/sessions/{session_id}/messages", {"text": text, **values})
        assert sent.status_code == 200, sent.text
        task: dict[str, t.Any] = sent.json
        return task

    def tasks(self, session_id: str) -> list[dict[str, t.Any]]:
        """The chat tasks of a session."""
        found = self("GET", f"/sessions/{session_id}/chat-tasks")
        assert found.status_code == 200, found.text
        tasks: list[dict[str, t.Any]] = found.json["tasks"]
        return tasks


def is_refusal(answer: TestResponse, status: int) -> bool:
    """Whether an answer is an error of this status with the body every error has."""
    body = answer.get_json(silent=True)
    return (
        answer.status_code == status
        and answer.mimetype == "application/json"
        and isinstance(body, dict)
        and set(body) == {"detail", "message", "validationDetails"}
        and isinstance(body["detail"], str)
        and body["detail"] == body["message"] != ""
        and isinstance(body["validationDetails"], (dict, type(None)))
    )


def refused(answer: TestResponse, status: int, message: str | None = None) -> dict[str, t.Any]:
    """The body of an error, after a look at its shape."""
    assert is_refusal(answer, status), (answer.status_code, answer.text)
    body: dict[str, t.Any] = answer.json  # type: ignore[assignment]
    assert message is None or body["message"] == message
    return body


def events(answer: TestResponse) -> list[tuple[str, t.Any, str | None]]:
    """The server-sent events of an answer: name, data, id."""
    found = []
    for block in answer.get_data(as_text=True).split("\n\n"):
        if block and not block.startswith(":"):
            fields = dict(line.split(": ", 1) for line in block.split("\n"))
            found.append((fields["event"], json.loads(fields["data"]), fields.get("id")))
    return found


def stored(app: Flask, user: str | None = None) -> dict[str, list[t.Any]]:
    """Everything in the tables of an app, or one user's rows of those that know users."""
    found: dict[str, list[t.Any]] = {}
    for url, database in _databases(app):
        with database.connect() as connection:
            present = set(sa.inspect(connection).get_table_names())
            for table in TABLES:
                if table.name in present and (user is None or "user_id" in table.c):
                    found[f"{url} {table.name}"] = _rows(connection, table, user)
    return found


def _databases(app: Flask) -> t.Iterable[tuple[str, sa.Engine]]:
    return [(role, db.engine) for role, db in state_of(app).binds().items()]


def _rows(connection: sa.Connection, table: sa.Table, user: str | None) -> list[t.Any]:
    statement = sa.select(table).order_by(*table.primary_key.columns)
    if user is not None:
        statement = statement.where(table.c.user_id == user)
    return [tuple(row) for row in connection.execute(statement)]


def forget_everything(app: Flask) -> None:
    """Empty the tables of an app, so that the next test can have them."""
    for _, engine in _databases(app):
        with engine.begin() as connection:
            present = set(sa.inspect(connection).get_table_names())
            for table in (*reversed(TABLES), web_sessions):
                if table.name in present:
                    connection.execute(sa.delete(table))


def cookies_stored(app: Flask) -> int:
    """How many web sessions are stored."""
    engine = state_of(app).binds()["mesh_gateway"].engine
    with engine.connect() as connection:
        count = sa.select(sa.func.count()).select_from(web_sessions)
        found: int = connection.execute(count).scalar_one()
    return found


def routes(app: Flask) -> list[tuple[str, str, str]]:
    """Method, rule below the prefix, and endpoint of every route of ours."""
    found = []
    for rule in app.url_map.iter_rules():
        if rule.rule.startswith(PREFIX) and rule.methods is not None:
            for method in sorted(rule.methods - {"HEAD", "OPTIONS"}):
                endpoint = rule.endpoint.rpartition(".")[2]
                found.append((method, rule.rule.removeprefix(PREFIX), endpoint))
    return sorted(found)
