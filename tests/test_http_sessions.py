"""Sessions, history and feedback over HTTP."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest
from flask import Flask

from tests.http_support import BUBBLES, Client, cookies_stored, refused, serving

SESSION_KEYS = {
    "id",
    "userId",
    "name",
    "agentId",
    "projectId",
    "projectName",
    "source",
    "hasRunningBackgroundTask",
    "scheduledTaskId",
    "scheduledTaskName",
    "createdTime",
    "updatedTime",
    "lastViewedAt",
}
TASK_KEYS = {
    "taskId",
    "sessionId",
    "userMessage",
    "messageBubbles",
    "taskMetadata",
    "createdTime",
    "updatedTime",
    "agent",
    "status",
    "error",
    "retryOf",
}


@pytest.fixture
def app(sqlite_url: str, tmp_path: Path) -> t.Iterator[Flask]:
    with serving(tmp_path, sqlite_url, sqlite_url) as app:
        yield app


@pytest.fixture
def browser(app: Flask) -> Client:
    return Client(app)


def test_a_new_session(app, browser):
    made = browser("POST", "/sessions", {"name": " Plans ", "agentId": "counter"})
    assert made.status_code == 201
    session = made.json["data"]
    assert set(session) == SESSION_KEYS
    assert (session["name"], session["agentId"], session["source"]) == ("Plans", "counter", "chat")
    assert isinstance(session["createdTime"], int)
    assert made.headers["Cache-Control"] == "no-store"
    where = browser("GET", "/session-cookie").json["data"]
    assert (where["sessionId"], where["userId"]) == (session["id"], session["userId"])
    assert browser("GET", f"/sessions/{session['id']}").json == {"data": session}


def test_a_new_session_needs_no_body(browser):
    assert browser("POST", "/sessions").status_code == 201
    assert browser("POST", "/sessions", {"name": None, "agentId": None}).status_code == 201
    refused(browser("POST", "/sessions", {"name": "  "}), 422, "Session name cannot be empty")


def test_a_session_of_an_agent_there_is_not(browser):
    said = refused(browser("POST", "/sessions", {"agentId": "nobody"}), 404)
    assert "nobody" in said["message"]


def test_the_list_by_page(browser):
    made = [browser.session() for _ in range(3)]
    first = browser("GET", "/sessions?pageSize=2").json
    assert first["meta"] == {
        "pagination": {
            "pageNumber": 1,
            "count": 3,
            "pageSize": 2,
            "nextPage": 2,
            "totalPages": 2,
        }
    }
    second = browser("GET", "/sessions?pageSize=2&pageNumber=2").json
    assert second["meta"]["pagination"]["nextPage"] is None
    assert {s["id"] for s in first["data"] + second["data"]} == set(made)
    assert all(set(session) == SESSION_KEYS for session in first["data"])


def test_the_list_by_cursor(browser):
    made = {browser.session() for _ in range(5)}
    found, cursor = [], ""
    while cursor is not None:
        step = browser("GET", f"/sessions?cursor={cursor}&pageSize=2").json
        found += [session["id"] for session in step["data"]]
        assert set(step["meta"]) == {"nextCursor"}
        cursor = step["meta"]["nextCursor"]
    assert len(found) == 5 and set(found) == made


def test_the_list_of_nobody_is_empty(app, browser):
    assert browser("GET", "/sessions").json["meta"]["pagination"]["count"] == 0
    assert browser("GET", "/sessions?cursor=").json == {"data": [], "meta": {"nextCursor": None}}
    assert browser("GET", "/sessions/search?query=x").json["data"] == []
    assert cookies_stored(app) == 0


def test_filters(browser):
    mine = browser.session(agentId="counter")
    browser.session()
    for query in ("agent_id=counter", "agent_id=counter&source=chat&project_id="):
        assert [s["id"] for s in browser("GET", f"/sessions?{query}").json["data"]] == [mine]
    assert browser("GET", "/sessions?source=scheduler").json["data"] == []
    assert browser("GET", "/sessions?project_id=p").json["data"] == []
    assert browser("GET", "/sessions?agent_id=&source=").json["meta"]["pagination"]["count"] == 2


def test_search(browser):
    session_id = browser.session(name="Plans")
    browser.say(session_id, "Straße nach Rom")
    for query in ("plan", "STRASSE", "you%20said"):
        found = browser("GET", f"/sessions/search?query={query}").json
        assert [session["id"] for session in found["data"]] == [session_id]
        assert found["meta"]["pagination"]["count"] == 1
    assert browser("GET", "/sessions/search?query=%25").json["data"] == []
    refused(browser("GET", "/sessions/search?query=%20"), 422, "Search query cannot be empty")
    assert "query.query" in refused(browser("GET", "/sessions/search"), 422)["validationDetails"]


def test_rename(browser):
    session_id = browser.session()
    renamed = browser("PATCH", f"/sessions/{session_id}", {"name": " New "})
    assert (renamed.status_code, renamed.json["name"]) == (200, "New")
    assert set(renamed.json) == SESSION_KEYS
    assert renamed.json["updatedTime"] > renamed.json["createdTime"]


def test_delete_and_restore(browser):
    session_id = browser.session(name="Plans")
    browser.say(session_id, "Hello")
    gone = browser("DELETE", f"/sessions/{session_id}")
    assert (gone.status_code, gone.data) == (204, b"")
    refused(browser("GET", f"/sessions/{session_id}"), 404, "Session not found.")
    refused(browser("DELETE", f"/sessions/{session_id}"), 404)
    back = browser("POST", f"/sessions/{session_id}/restore")
    assert (back.status_code, back.json["data"]["name"]) == (200, "Plans")
    assert len(browser.tasks(session_id)) == 1


def test_viewed(browser):
    session_id = browser.session()
    bodies: list[t.Any] = [{}, None, ["whatever"]]
    for body in bodies:
        seen = browser("POST", f"/sessions/{session_id}/viewed", body)
        assert seen.status_code == 200
    shown = browser("GET", f"/sessions/{session_id}").json["data"]
    assert shown["lastViewedAt"] == seen.json["lastViewedAt"]


def test_chat_tasks_and_messages(browser):
    session_id = browser.session()
    browser.say(session_id, "Hello", taskId="t1")
    browser.say(session_id, "Again", agent="counter")
    tasks = browser.tasks(session_id)
    assert [set(task) for task in tasks] == [TASK_KEYS, TASK_KEYS]
    assert [task["userMessage"] for task in tasks] == ["Hello", "Again"]
    assert [b["type"] for b in json.loads(tasks[0]["messageBubbles"])] == ["user", "agent"]
    messages = browser("GET", f"/sessions/{session_id}/messages").json
    assert [(m["senderType"], m["senderName"]) for m in messages][1:] == [
        ("agent", "echo"),
        ("user", messages[0]["senderName"]),
        ("agent", "counter"),
    ]
    assert messages[1]["message"] == "You said: Hello"
    assert set(messages[0]) == {
        "id",
        "sessionId",
        "message",
        "senderType",
        "senderName",
        "messageType",
        "createdTime",
    }
    assert messages == browser("GET", f"/sessions/{session_id}/messages").json


def test_chat_tasks_in_pieces(browser):
    session_id = browser.session()
    for n in range(3):
        body = {"taskId": f"t{n}", "messageBubbles": BUBBLES}
        browser("POST", f"/sessions/{session_id}/chat-tasks", body)

    def some(query: str) -> list[str]:
        found = browser("GET", f"/sessions/{session_id}/chat-tasks?{query}").json["tasks"]
        return [task["taskId"] for task in found]

    assert some("") == ["t0", "t1", "t2"]
    assert some("limit=1") == ["t2"]
    assert some("limit=1&before=t2") == ["t1"]


def test_a_client_saves_its_own_task(browser):
    session_id = browser.session()
    body = {
        "taskId": "t1",
        "userMessage": "Hello",
        "messageBubbles": BUBBLES,
        "taskMetadata": '{"schema_version":1,"status":"pending","agent_name":"echo"}',
    }
    first = browser("POST", f"/sessions/{session_id}/chat-tasks", body)
    assert (first.status_code, set(first.json)) == (200, TASK_KEYS)
    assert (first.json["agent"], first.json["updatedTime"]) == ("echo", None)
    again = browser("POST", f"/sessions/{session_id}/chat-tasks", {**body, "taskMetadata": " "})
    assert again.status_code == 200
    assert again.json["updatedTime"] >= again.json["createdTime"] == first.json["createdTime"]
    elsewhere = browser.session()
    refused(browser("POST", f"/sessions/{elsewhere}/chat-tasks", body), 409)


def test_feedback(browser):
    session_id = browser.session()
    task = browser.say(session_id, "Hello")
    body = {"taskId": task["taskId"], "sessionId": session_id, "feedbackType": "up"}
    given = browser("POST", "/feedback", body)
    assert (given.status_code, given.json) == (202, {"status": "feedback received"})
    browser("POST", "/feedback", {**body, "feedbackType": "down", "feedbackText": "hm"})
    metadata = json.loads(browser.tasks(session_id)[0]["taskMetadata"])
    assert metadata["feedback"] == {"type": "down", "text": "hm", "submitted": True}
    assert metadata["agent_name"] == "echo"
    refused(browser("POST", "/feedback", {**body, "taskId": "other"}), 404, "Task not found.")
    wrong = refused(browser("POST", "/feedback", {**body, "feedbackType": "sideways"}), 422)
    assert set(wrong["validationDetails"]) == {"feedbackType"}


def test_a_user_of_the_host_needs_no_cookie(app):
    ann, other = Client(app, "ann"), Client(app, "ann")
    session_id = ann.session()
    other.say(session_id, "Hello")
    assert len(ann.tasks(session_id)) == 1
    assert cookies_stored(app) == 1  # that of the browser which began the conversation


def test_requests_in_one_app_context_are_each_of_their_own_user(app):
    """As a host's tests may make them."""
    with app.app_context():
        ann, bob = Client(app, "ann"), Client(app, "bob")
        session_id = ann.session()
        refused(bob("GET", f"/sessions/{session_id}"), 404)
        assert ann("GET", f"/sessions/{session_id}").status_code == 200


# Without a database


def test_without_a_database_there_is_no_history(tmp_path):
    with serving(tmp_path, None) as app:
        browser = Client(app)
        session_id = browser.session(name="Plans")
        body = {"name": "x", "taskId": "t", "messageBubbles": BUBBLES}
        for method, path in (
            ("GET", "/sessions"),
            ("GET", "/sessions?pageSize=0"),
            ("GET", "/sessions/search"),
            ("GET", f"/sessions/{session_id}"),
            ("PATCH", f"/sessions/{session_id}"),
            ("DELETE", f"/sessions/{session_id}"),
            ("POST", f"/sessions/{session_id}/restore"),
            ("POST", f"/sessions/{session_id}/viewed"),
            ("GET", f"/sessions/{session_id}/messages"),
            ("GET", f"/sessions/{session_id}/chat-tasks"),
            ("POST", f"/sessions/{session_id}/chat-tasks"),
            ("POST", f"/sessions/{session_id}/chat-tasks/t/retry"),
        ):
            answer = browser(method, path, body if method in ("POST", "PATCH") else None)
            refused(answer, 501, "Session management requires database configuration.")


def test_without_a_database_feedback_is_taken(tmp_path, caplog):
    caplog.set_level("INFO", "flask_mesh_sessions.web")
    with serving(tmp_path, None) as app:
        body = {"taskId": "t1", "sessionId": "s1", "feedbackType": "up", "feedbackText": "private"}
        given = Client(app)("POST", "/feedback", body)
        assert (given.status_code, given.json) == (202, {"status": "feedback received"})
        assert "Set-Cookie" not in given.headers
        refused(Client(app)("POST", "/feedback", {**body, "taskId": "a b"}), 422)
    assert "Feedback on task t1: up" in caplog.text
    assert "private" not in caplog.text


def test_without_a_database_the_cookie_knows_the_conversation(tmp_path):
    with serving(tmp_path, None) as app:
        browser = Client(app)
        made = browser("POST", "/sessions", {"name": "Plans"})
        assert (made.status_code, set(made.json["data"])) == (201, SESSION_KEYS)
        session_id = made.json["data"]["id"]
        assert browser("GET", "/session-cookie").json["data"]["sessionId"] == session_id
        assert browser.say(session_id, "Hello")["status"] == "completed"


# What the app says of itself


def test_config(app, browser):
    shown = browser("GET", "/config").json
    assert shown["persistence_enabled"] is shown["frontend_collect_feedback"] is True
    assert shown["frontend_server_url"] == ""
    assert shown["frontend_use_authorization"] is False
    assert set(shown["frontend_feature_enablement"].values()) == {False}
    assert shown["agents"][0] == "echo"
    assert shown["scenarios"]["echo"] == "A"
    assert shown["limits"] == {
        "message_bytes": 1024 * 1024,
        "body_bytes": 2 * 1024 * 1024,
        "max_waiting": 16,
    }


def test_config_without_databases(tmp_path):
    with serving(tmp_path, None) as app:
        shown = Client(app)("GET", "/config").json
        assert shown["persistence_enabled"] is shown["frontend_collect_feedback"] is False
        assert set(shown["scenarios"].values()) == {"B"}
        assert Client(app)("GET", "/ready").json == {"status": "ok", "databases": {}}


def test_health_and_readiness(app, browser):
    assert browser("GET", "/health").json == {"status": "ok"}
    ready = browser("GET", "/ready")
    assert (ready.status_code, ready.json["status"]) == (200, "ok")
    assert ready.json["databases"]["gateway"] == "ok"
    assert set(ready.json["databases"].values()) == {"ok"}


def test_before_the_databases_are_migrated(sqlite_url, tmp_path):
    with serving(tmp_path, sqlite_url, sqlite_url, auto_migrate=False) as app:
        browser = Client(app)
        assert browser("GET", "/health").status_code == 200
        assert browser("GET", "/config").status_code == 200
        ready = browser("GET", "/ready")
        assert (ready.status_code, ready.json["status"]) == (503, "unavailable")
        assert ready.json["databases"]["gateway"] == "not migrated"
        for method, path in (
            ("GET", "/sessions"),
            ("POST", "/sessions"),
            ("GET", "/session-cookie"),
            ("POST", "/sessions/s/messages"),
            ("GET", "/platform/agents"),
        ):
            answer = browser(method, path)
            refused(answer, 503)
            assert answer.headers["Retry-After"].isdigit()
