"""Bad input on every route: an error that says what is wrong, and nothing stored."""

from __future__ import annotations

import io
import json
import typing as t

import pytest
from flask import Flask

from tests.http_support import (
    BUBBLES,
    Client,
    cookies_stored,
    forget_everything,
    is_refusal,
    refused,
    routes,
    serving,
    stored,
    two_databases,
)

BODY_BYTES, MESSAGE_BYTES = 20_000, 1_000

#: Every unsafe route with a body it takes, and which fields it may do without.
BODIES: dict[str, tuple[dict[str, t.Any], set[str]]] = {
    "create_session": ({"name": "n", "agentId": "echo"}, {"name", "agentId"}),
    "rename_session": ({"name": "n"}, set()),
    "send_message": ({"text": "x", "agent": "echo", "taskId": "new"}, {"agent", "taskId"}),
    "retry_chat_task": ({"text": "x", "taskId": "new"}, {"text", "taskId"}),
    "save_chat_task": (
        {"taskId": "new", "messageBubbles": BUBBLES, "userMessage": "u", "taskMetadata": "{}"},
        {"userMessage", "taskMetadata"},
    ),
    "give_feedback": (
        {"taskId": "t1", "sessionId": "s1", "feedbackType": "up", "feedbackText": "x"},
        {"feedbackText"},
    ),
}
#: Routes that read past whatever they are sent.
BODILESS = {
    "delete_session",
    "restore_session",
    "session_viewed",
    "cancel_chat_task",
    "start_session_cookie",
    "end_session_cookie",
    "rotate_session_cookie",
}
#: How long a value may be, in characters.
LENGTHS = {
    "name": 255,
    "agentId": 64,
    "agent": 64,
    "taskId": 128,
    "sessionId": 128,
    "text": MESSAGE_BYTES,
}

DEEP = "[" * 100_000 + "]" * 100_000
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def running(backend: str, tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Flask]:
    folder = tmp_path_factory.mktemp("app")
    limits = {"body_bytes": BODY_BYTES, "message_bytes": MESSAGE_BYTES}
    with two_databases(backend, folder) as urls, serving(folder, *urls, limits=limits) as app:
        yield app


@pytest.fixture
def app(running: Flask) -> t.Iterator[Flask]:
    yield running
    running.config["MAX_CONTENT_LENGTH"] = None
    forget_everything(running)


@pytest.fixture
def ann(app: Flask) -> Client:
    with app.app_context():
        app.extensions["mesh_sessions"].gateway.create("ann", session_id="s1")
    ann = Client(app, "ann")
    ann.say("s1", "Hello", taskId="t1")
    return ann


class Raw(t.NamedTuple):
    """A body as it is sent."""

    content: bytes
    headers: dict[str, str] = JSON


def bad_bodies(endpoint: str) -> t.Iterator[tuple[str, Raw]]:
    """Everything a route must not take, with what is wrong about it."""
    body, optional = BODIES[endpoint]
    good = json.dumps(body).encode()
    if optional != set(body):
        yield "missing", Raw(b"")
        yield "blank", Raw(b" \n ")
    yield "no JSON", Raw(b'{"name": ')
    yield "no object", Raw(b"[]")
    yield "null", Raw(b"null")
    yield "bad UTF-8", Raw(b'{"extra": "\xff"}')
    yield "UTF-16", Raw(json.dumps(body).encode("utf-16"))
    yield "a form", Raw(good, {"Content-Type": "application/x-www-form-urlencoded"})
    yield "text", Raw(good, {"Content-Type": "text/plain"})
    yield "multipart", Raw(good, {"Content-Type": "multipart/form-data; boundary=x"})
    for field in body:
        yield from _bad_fields(body, field, field in optional)


def _bad_fields(body: dict[str, t.Any], field: str, optional: bool) -> t.Iterator[tuple[str, Raw]]:
    def with_value(value: t.Any) -> Raw:
        return Raw(json.dumps({**body, field: value}).encode())

    if not optional:
        rest = {key: value for key, value in body.items() if key != field}
        yield f"{field} missing", Raw(json.dumps(rest).encode())
        yield f"{field} null", with_value(None)
    others: list[t.Any] = [7, 1.5, True, [], {}, ["x"]]
    for wrong in others:
        yield f"{field} {wrong!r}", with_value(wrong)
    yield f"{field} NUL", with_value("a\x00b")
    yield f"{field} surrogate", with_value("a\ud800b")
    if field in ("messageBubbles", "taskMetadata"):
        yield f"{field} no JSON", with_value("{")
        yield f"{field} NUL in JSON", with_value('[{"text": "\\u0000"}]')
    if field in LENGTHS:
        yield f"{field} too long", with_value("x" * (LENGTHS[field] + 1))
    if field not in ("userMessage", "taskMetadata", "feedbackText", "text"):
        yield f"{field} empty", with_value("")


def too_deep(endpoint: str) -> t.Iterator[tuple[str, Raw]]:
    """Bodies that only go wrong when they are read, whatever the limit allows."""
    yield "deep", Raw(DEEP.encode())
    yield "a deep field", Raw(('{"extra": ' + DEEP + "}").encode())
    yield "deep objects", Raw(b'{"a":' * 100_000)


def unsafe(app: Flask) -> list[tuple[str, str, str]]:
    return [route for route in routes(app) if route[0] != "GET"]


def send(client: Client, method: str, path: str, raw: Raw) -> t.Any:
    path = path.replace("<session_id>", "s1").replace("<task_id>", "t1")
    return client(method, path, data=raw.content, headers=raw.headers)


def test_every_unsafe_route_is_known_here(app):
    assert {endpoint for _, _, endpoint in unsafe(app)} == set(BODIES) | BODILESS


def test_the_bodies_that_are_spoilt_here_are_good(app, ann):
    for number, (method, path, endpoint) in enumerate(unsafe(app)):
        if endpoint in BODIES:
            session_id, task_id = f"s1-{number}", f"t1-{number}"
            with app.app_context():
                app.extensions["mesh_sessions"].gateway.create("ann", session_id=session_id)
            ann.say(session_id, "Hello", taskId=task_id)
            body = {**BODIES[endpoint][0], "sessionId": session_id}
            body["taskId"] = task_id if endpoint == "give_feedback" else f"new-{number}"
            url = path.replace("<session_id>", session_id).replace("<task_id>", task_id)
            answer = ann(method, url, body)
            assert answer.status_code in (200, 201, 202), (path, answer.text)


def test_bad_bodies(app, ann):
    before = stored(app)
    wrong: list[tuple[t.Any, ...]] = []
    for method, path, endpoint in unsafe(app):
        for name, raw in bad_bodies(endpoint) if endpoint in BODIES else ():
            answer = send(ann, method, path, raw)
            too_large = name == "text too long"
            if not is_refusal(answer, 413 if too_large else 422):
                wrong.append((method, path, name, answer.status_code, answer.text[:200]))
            elif not answer.json["validationDetails"]:
                wrong.append((method, path, name, "without details"))
    assert wrong == []
    assert stored(app) == before


def test_deep_bodies(sqlite_url, tmp_path):
    """With a limit that lets them through to the parser."""
    with serving(tmp_path, sqlite_url, sqlite_url) as app:
        with app.app_context():
            app.extensions["mesh_sessions"].gateway.create("ann", session_id="s1")
        ann = Client(app, "ann")
        ann.say("s1", "Hello", taskId="t1")
        before = stored(app)
        for method, path, endpoint in unsafe(app):
            for _, raw in too_deep(endpoint) if endpoint in BODIES else ():
                refused(send(ann, method, path, raw), 422)
        deep = {"taskId": "t", "messageBubbles": '[{"a":' + DEEP + "}]"}
        refused(ann("POST", "/sessions/s1/chat-tasks", deep), 422)
        assert stored(app) == before


def chunked(client: Client, method: str, path: str, content: bytes) -> t.Any:
    """A body whose length nobody said before."""
    return client(
        method,
        path,
        input_stream=io.BytesIO(content),
        headers={**JSON, "Transfer-Encoding": "chunked"},
        environ_overrides={"wsgi.input_terminated": True, "CONTENT_LENGTH": ""},
    )


def test_bodies_over_the_limit(app, ann):
    before = stored(app)
    content = json.dumps({"text": "x" * BODY_BYTES}).encode()
    for method, path, _ in unsafe(app):
        refused(send(ann, method, path, Raw(content)), 413)
        path = path.replace("<session_id>", "s1").replace("<task_id>", "t1")
        refused(chunked(ann, method, path, content), 413)
    assert stored(app) == before


@pytest.mark.parametrize("own", [10, 10_000_000])
def test_the_hosts_own_limit_is_for_its_own_routes(app, ann, own):
    app.config["MAX_CONTENT_LENGTH"] = own
    refused(ann("POST", "/sessions", data=b"x" * (BODY_BYTES + 1), headers=JSON), 413)
    longest = b"{}".ljust(BODY_BYTES)
    assert ann("POST", "/sessions", data=longest, headers=JSON).status_code == 201
    assert chunked(ann, "POST", "/sessions", longest).status_code == 201


def test_a_message_may_be_as_long_as_the_limit_in_bytes(app, ann):
    assert ann.say("s1", "ä" * (MESSAGE_BYTES // 2))["status"] == "completed"
    refused(ann("POST", "/sessions/s1/messages", {"text": "ä" * (MESSAGE_BYTES // 2) + "x"}), 413)


QUERIES = {
    "list_sessions": [
        "pageNumber=0",
        "pageNumber=-1",
        f"pageNumber={2**31}",
        f"pageNumber={10**40}",
        "pageNumber=x",
        "pageNumber=",
        "pageNumber=1.5",
        "pageSize=0",
        "pageSize=101",
        "pageSize=%00",
        "cursor=x",
        "cursor=%00",
        "cursor=MTAwMA&pageSize=20",
        "agent_id=two%20words",
        "agent_id=%00",
        "agent_id=" + "x" * 65,
        "project_id=%C3%A4",
        "cursor=&agent_id=%00",
    ],
    "search_sessions": [
        "",
        "query=",
        "query=%20%20",
        "query=%00",
        "query=" + "x" * 501,
        "query=x&pageNumber=0",
        f"query=x&pageNumber={2**31}",
        "query=x&agent_id=%00",
        "query=x&projectId=%00",
    ],
    "list_chat_tasks": ["limit=0", "limit=1001", "limit=x", "before=%00", "before=unknown"],
}


@pytest.mark.parametrize("user", ["ann", None])
def test_bad_queries(app, ann, user):
    client = Client(app, user)
    wrong: list[tuple[t.Any, ...]] = []
    for method, path, endpoint in routes(app):
        for query in QUERIES.get(endpoint, ()) if method == "GET" else ():
            answer = client(method, path.replace("<session_id>", "s1") + "?" + query)
            status = 404 if user is None and endpoint == "list_chat_tasks" else 422
            if not is_refusal(answer, status):
                wrong.append((path, query, answer.status_code, answer.text[:200]))
            elif status == 422:
                [field] = answer.json["validationDetails"]
                if not field.startswith("query."):
                    wrong.append((path, query, field))
    assert wrong == []


def test_a_source_there_is_not(app, ann):
    refused(
        ann("GET", "/sessions?source=moon"),
        400,
        "Invalid source filter: moon. Must be one of: chat, scheduler",
    )


def test_pages_that_are_merely_empty(app, ann):
    for query in (f"pageNumber={2**31 - 1}&pageSize=100", "pageNumber=2"):
        assert ann("GET", f"/sessions?{query}").json["data"] == []


@pytest.mark.parametrize(
    "bad", ["null", "undefined", "%20", "a%20b", "s1%20", "%00", "%FF", "x" * 129, "%0A", "a%0Ab"]
)
def test_bad_ids_in_a_path(app, ann, bad):
    before = stored(app)
    for method, path, endpoint in routes(app):
        body = BODIES.get(endpoint, ({}, set()))[0] if method != "GET" else None
        if "<session_id>" in path:
            url = path.replace("<session_id>", bad).replace("<task_id>", "t1")
            refused(ann(method, url, body), 404)
        if "<task_id>" in path:
            refused(
                ann(method, path.replace("<session_id>", "s1").replace("<task_id>", bad), body), 404
            )
    assert stored(app) == before


def test_a_bad_body_for_a_session_that_is_not_there_is_not_found(app, ann):
    for method, path, _ in unsafe(app):
        if "<session_id>" in path:
            url = path.replace("<session_id>", "s2").replace("<task_id>", "t1")
            for content in (b"{", b"x" * (BODY_BYTES + 1)):
                refused(ann(method, url, data=content, headers=JSON), 404)


def test_bad_input_of_a_visitor_stores_no_cookie(app):
    visitor, before = Client(app), cookies_stored(app)
    for name, raw in bad_bodies("create_session"):
        answer = send(visitor, "POST", "/sessions", raw)
        assert is_refusal(answer, 422), name
        assert "Set-Cookie" not in answer.headers
    assert cookies_stored(app) == before


def test_without_a_database_bad_messages_are_refused_as_well(tmp_path):
    with serving(tmp_path, None, limits={"message_bytes": MESSAGE_BYTES}) as app:
        visitor = Client(app)
        for name, raw in bad_bodies("send_message"):
            answer = send(visitor, "POST", "/sessions/s1/messages", raw)
            assert is_refusal(answer, 413 if name == "text too long" else 422), name


def test_unknown_fields_are_ignored_and_names_may_be_written_with_underscores(app, ann):
    made = ann("POST", "/sessions", {"name": "x", "extra": [1]})
    assert made.status_code == 201
    saved = {"task_id": "t9", "message_bubbles": BUBBLES, "user_message": "u", "extra": None}
    answer = ann("POST", "/sessions/s1/chat-tasks", saved)
    assert (answer.status_code, answer.json["userMessage"]) == (200, "u")
    both = {**saved, "taskId": "t10"}
    assert ann("POST", "/sessions/s1/chat-tasks", both).json["taskId"] == "t10"


def test_a_body_without_a_type_is_read_as_json(app, ann):
    answer = ann("POST", "/sessions", data=b'{"name": "x"}')
    assert answer.status_code == 201
    suffixed = {"Content-Type": "application/vnd.api+json; charset=utf-8"}
    assert ann("POST", "/sessions", data=b"{}", headers=suffixed).status_code == 201
