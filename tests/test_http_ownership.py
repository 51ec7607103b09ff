"""Two users never meet, by whatever route, on whatever database."""

from __future__ import annotations

import typing as t

import pytest
from flask import Flask

from tests.http_support import (
    BUBBLES,
    Client,
    forget_everything,
    refused,
    routes,
    serving,
    stored,
    two_databases,
)

SESSION = "Plan-Aa"
TASK = "Task-Aa"
SECRET = "Rosebud"

#: Routes that name nobody's data in their path: what they say must not tell of it.
GENERAL = {
    "create_session",
    "list_sessions",
    "search_sessions",
    "give_feedback",
    "client_config",
    "health",
    "ready",
    "session_cookie",
    "start_session_cookie",
    "end_session_cookie",
    "rotate_session_cookie",
}


@pytest.fixture(scope="module")
def running(backend: str, tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Flask]:
    folder = tmp_path_factory.mktemp("app")
    with two_databases(backend, folder) as urls, serving(folder, *urls) as app:
        yield app


@pytest.fixture
def app(running: Flask) -> t.Iterator[Flask]:
    yield running
    forget_everything(running)


@pytest.fixture
def ann(app: Flask) -> Client:
    """A user with a session, a turn in it, and feedback on it."""
    with app.app_context():
        gateway = app.extensions["mesh_sessions"].gateway
        gateway.create("ann", session_id=SESSION, name=SECRET)
    ann = Client(app, "ann")
    assert ann.say(SESSION, SECRET, taskId=TASK)["status"] == "completed"
    rating = {"taskId": TASK, "sessionId": SESSION, "feedbackType": "up"}
    assert ann("POST", "/feedback", rating).status_code == 202
    return ann


def body(session_id: str, task_id: str) -> dict[str, t.Any]:
    """A body that every unsafe route takes for good."""
    return {
        "name": "changed",
        "text": SECRET,
        "taskId": task_id,
        "sessionId": session_id,
        "messageBubbles": BUBBLES,
        "feedbackType": "down",
    }


def in_path(path: str, session_id: str, task_id: str) -> str:
    return path.replace("<session_id>", session_id).replace("<task_id>", task_id)


def test_every_route_is_of_one_kind(app):
    for method, path, endpoint in routes(app):
        assert ("<session_id>" in path) != (endpoint in GENERAL), (method, path)


@pytest.mark.parametrize("session_id", [SESSION, SESSION.swapcase(), SESSION + "%20", "plan-aa"])
def test_another_users_session_is_not_found_by_any_route(app, ann, session_id):
    bob, before = Client(app, "bob"), stored(app)
    for method, path, endpoint in routes(app):
        if endpoint not in GENERAL:
            for task_id in (TASK, "other"):
                sent = body(session_id, task_id) if method != "GET" else None
                answer = bob(method, in_path(path, session_id, task_id), sent)
                refused(answer, 404)
                assert SECRET not in answer.text
    assert stored(app) == before


@pytest.mark.parametrize("change", [str.swapcase, lambda given: given + "%20"])
def test_ones_own_ids_are_exact(app, ann, change):
    before = stored(app)
    for method, path, endpoint in routes(app):
        if endpoint in GENERAL:
            continue
        sent = body("x", "y") if method != "GET" else None
        refused(ann(method, in_path(path, change(SESSION), TASK), sent), 404)
        if "<task_id>" in path:
            refused(ann(method, in_path(path, SESSION, change(TASK)), sent), 404)
    assert stored(app) == before


def test_another_users_task_is_not_found_in_ones_own_session(app, ann):
    bob = Client(app, "bob")
    own = bob.session()
    before = stored(app)
    for method, path, _ in routes(app):
        if "<task_id>" in path:
            sent = body(own, TASK) if method != "GET" else None
            refused(bob(method, in_path(path, own, TASK), sent), 404)
    assert stored(app) == before


def test_no_general_route_tells_of_another_users_data(app, ann):
    bob, before = Client(app, "bob"), stored(app, "ann")
    for query in ("", f"?query={SECRET}", "?cursor="):
        for method, path, endpoint in routes(app):
            if endpoint in GENERAL:
                answer = bob(method, path + query, body(SESSION, TASK) if method != "GET" else None)
                assert not any(word in answer.text for word in ("ann", SESSION, TASK)), path
                assert SECRET not in answer.text.replace(f'"name":"{SECRET}"', "")
    assert stored(app, "ann") == before


def test_lists_and_search_show_ones_own(app, ann):
    bob = Client(app, "bob")
    own = bob.session(name=SECRET)
    for path in ("/sessions", "/sessions?cursor=", f"/sessions/search?query={SECRET}"):
        assert [row["id"] for row in bob("GET", path).json["data"]] == [own]
        assert [row["id"] for row in ann("GET", path).json["data"]] == [SESSION]


def test_feedback_on_another_users_task_is_not_found(app, ann):
    before = stored(app)
    rating = {"taskId": TASK, "sessionId": SESSION, "feedbackType": "down"}
    refused(Client(app, "bob")("POST", "/feedback", rating), 404, "Session not found.")
    assert stored(app) == before


def test_the_same_ids_of_two_users_are_two_conversations(app, ann):
    bob = Client(app, "bob")
    with app.app_context():
        app.extensions["mesh_sessions"].gateway.create("bob", session_id=SESSION)
    before = stored(app, "ann")
    assert bob.say(SESSION, "mine", taskId=TASK)["userMessage"] == "mine"
    rating = {"taskId": TASK, "sessionId": SESSION, "feedbackType": "down"}
    assert bob("POST", "/feedback", rating).status_code == 202
    assert bob("DELETE", f"/sessions/{SESSION}").status_code == 204
    assert stored(app, "ann") == before


def test_two_browsers_are_two_users(app, ann):
    one, two = Client(app), Client(app)
    session_id = one.session()
    one.say(session_id, "Hello")
    refused(two("GET", f"/sessions/{session_id}"), 404, "Session not found.")
    refused(two("POST", f"/sessions/{session_id}/messages", {"text": "Hello"}), 404)
    assert two("GET", "/sessions").json["data"] == []
    assert len(one.tasks(session_id)) == 1


def test_reading_makes_nobody_of_anybody(app, ann):
    visitor = Client(app)
    for method, path, endpoint in routes(app):
        if method == "GET":
            answer = visitor(method, in_path(path, SESSION, TASK))
            assert "Set-Cookie" not in answer.headers, path
            without_a_query = 422 if endpoint == "search_sessions" else 200
            assert answer.status_code == (without_a_query if endpoint in GENERAL else 404), path


def test_what_is_refused_makes_nobody_of_anybody(app):
    visitor = Client(app)
    for path, sent in (
        ("/sessions", {"name": ""}),
        ("/sessions", {"agentId": "unknown"}),
        (f"/sessions/{SESSION}/messages", {"text": "Hello"}),
    ):
        answer = visitor("POST", path, sent)
        assert answer.status_code in (404, 422)
        assert "Set-Cookie" not in answer.headers
