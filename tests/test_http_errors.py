"""Every error under the prefix has the same body, whatever the host does with its own."""

from __future__ import annotations

import logging
import typing as t
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask, abort, got_request_exception, jsonify, request
from flask_wtf import CSRFProtect
from werkzeug.exceptions import HTTPException

from flask_mesh_sessions.errors import ConfigError, StorageUnavailable
from flask_mesh_sessions.web.streams import stream
from tests.http_support import PREFIX, Client, refused, routes, serving
from tests.mesh_app import KEY, FastMesh, make_app, mesh_of, register, settings, state_of


@pytest.fixture
def app(sqlite_url: str, tmp_path: Path) -> t.Iterator[Flask]:
    with serving(tmp_path, sqlite_url, sqlite_url) as app:
        yield app


@pytest.fixture
def browser(app: Flask) -> Client:
    return Client(app)


PATHS = ["", "/", "/nope", "/sessions/", "//sessions", "/a%0Ab", "/%00", "/a/b/c/d", "/%FF", "/a//"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "MAGIC"])
def test_an_unknown_path(browser, path, method):
    refused(browser(method, path), 404, "Not Found")


def test_a_wrong_method(app, browser):
    by_path: dict[str, set[str]] = {}
    for method, path, _ in routes(app):
        by_path.setdefault(path.replace("<session_id>", "s").replace("<task_id>", "t"), set()).add(
            method
        )
    by_path["/sessions/search"] |= by_path["/sessions/s"]  # which any word can be
    for path, methods in by_path.items():
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "MAGIC"} - methods:
            answer = browser(method, path)
            refused(answer, 405, "Method Not Allowed")
            head = {"HEAD"} if "GET" in methods else set()
            assert set(answer.headers["Allow"].split(", ")) == methods | head | {"OPTIONS"}
        asked = browser("OPTIONS", path)
        assert (asked.status_code, asked.data) == (200, b"")
        assert set(asked.headers["Allow"].split(", ")) >= methods


def test_head(browser):
    session_id = browser.session()
    found = browser("HEAD", f"/sessions/{session_id}")
    assert (found.status_code, found.data) == (200, b"")
    assert browser("HEAD", "/sessions/other").status_code == 404
    task = browser.say(session_id, "Hello")
    followed = browser("HEAD", f"/sessions/{session_id}/chat-tasks/{task['taskId']}/events")
    assert (followed.status_code, followed.data) == (200, b"")


def test_a_websocket_there_is_not(browser):
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket"}
    refused(browser("GET", "/sessions", headers=upgrade), 404)


@pytest.mark.parametrize("path", ["", "/", "/agents", "/models/1/dependents"])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "MAGIC"])
def test_without_a_platform_database(browser, path, method):
    message = "Platform management requires database configuration."
    refused(browser(method, f"/platform{path}", data=b"{"), 501, message)


def test_with_a_platform_database_unknown_routes_are_unknown(make_url, tmp_path):
    with serving(
        tmp_path, make_url(), make_url(), platform_service={"database_url": make_url()}
    ) as app:
        refused(Client(app)("GET", "/platform/nothing"), 404, "Not Found")


@pytest.fixture
def make_url(tmp_path: Path) -> t.Callable[[], str]:
    numbers = iter(range(10))
    return lambda: f"sqlite:///{tmp_path}/{next(numbers)}.db"


def host_handlers(app: Flask) -> None:
    """A host that has pages of its own for everything."""

    def page(error: Exception) -> tuple[str, int]:
        return "the host's page", getattr(error, "code", 500)

    for status in (400, 401, 403, 404, 405, 409, 413, 422, 429, 500, 501, 503):
        app.register_error_handler(status, page)
    app.register_error_handler(HTTPException, page)
    app.register_error_handler(Exception, page)


def test_the_hosts_error_pages_are_for_its_own_paths(app, browser):
    host_handlers(app)
    session_id = browser.session()
    refused(browser("GET", "/nope"), 404)
    refused(browser("PUT", "/sessions"), 405)
    refused(browser("GET", "/sessions?source=x"), 400)
    refused(browser("GET", "/sessions/other"), 404)
    refused(browser("POST", f"/sessions/{session_id}/messages", {}), 422)
    refused(browser("GET", "/platform/agents"), 501)
    refused(browser("POST", "/sessions", {}, headers={"Origin": "https://evil.example"}), 403)
    assert browser.client.get("/nope").text == "the host's page"


def test_what_a_host_aborts_keeps_its_status(app):
    @app.before_request
    def closed():
        if "closed" in request.args:
            abort(int(request.args["closed"]), "Closed for today")
        if "bare" in request.args:
            abort(403)
        if "own" in request.args:
            abort(jsonify(mine=True))

    host_handlers(app)
    for path in ("/sessions", "/nope", "/health"):
        refused(Client(app)("GET", f"{path}?closed=418"), 418, "Closed for today")
        refused(Client(app)("GET", f"{path}?closed=503"), 503, "Closed for today")
    refused(Client(app)("GET", "/sessions?bare="), 403, "Forbidden")
    assert Client(app)("GET", "/sessions?own=").json == {"mine": True}


def test_what_a_user_loader_aborts_keeps_its_status(app):
    def load_user() -> str:
        abort(401, "Token expired")

    mesh_of(app).user_loader(load_user)
    refused(Client(app)("GET", "/sessions"), 401, "Token expired")
    refused(Client(app)("POST", "/sessions"), 401, "Token expired")
    assert Client(app)("GET", "/health").status_code == 200


@pytest.mark.parametrize("testing", [True, False])
def test_an_unexpected_error_says_nothing_but_its_id(app, caplog, testing):
    app.testing = app.debug = testing
    app.config["PROPAGATE_EXCEPTIONS"] = testing
    seen = []
    error = RuntimeError("the password is swordfish")

    def load_user() -> str:
        raise error

    def note(sender, exception) -> None:
        seen.append(exception)

    got_request_exception.connect(note, app)
    mesh_of(app).user_loader(load_user)
    with caplog.at_level(logging.ERROR, "flask_mesh_sessions.web"):
        body = refused(Client(app)("GET", "/sessions"), 500)
    prefix, _, error_id = body["message"].rpartition(" ")
    assert prefix == "Internal error. Error id"
    assert "swordfish" not in str(body)
    [record] = [r for r in caplog.records if error_id in r.getMessage()]
    assert record.name == "flask_mesh_sessions.web"
    assert record.exc_info and record.exc_info[1] is error
    assert seen == [error]


def test_an_error_in_the_middle_of_a_stream_says_nothing_but_its_id(app, browser, caplog):
    """The agent's failure is the turn's; this is one of ours."""

    def broken(error: Exception):
        yield None
        raise error

    with app.test_request_context():
        told = stream(broken(StorageUnavailable("Please retry."))).get_data(as_text=True)
        hidden = stream(broken(RuntimeError("swordfish"))).get_data(as_text=True)
    assert told.startswith(": keep-alive\n\nevent: error\n")
    assert '"message":"Please retry."' in told
    assert "Internal error. Error id" in hidden and "swordfish" not in hidden
    assert "swordfish" in caplog.text


def test_a_database_that_is_away(app, browser, sqlite_url):
    session_id = browser.session()
    engine = state_of(app).binds()["mesh_gateway"].engine

    def gone(*args):
        raise sa.exc.OperationalError(None, None, Exception("connection refused to db.internal"))

    ann = Client(app, "ann")
    sa.event.listen(engine, "begin", gone)
    for method, path in (
        ("GET", "/sessions"),
        ("POST", "/sessions"),
        ("PATCH", f"/sessions/{session_id}"),
        ("POST", f"/sessions/{session_id}/messages"),
    ):
        answer = ann(method, path, {"name": "x", "text": "x"} if method != "GET" else None)
        said = refused(answer, 503)
        assert answer.headers["Retry-After"].isdigit()
        assert "db.internal" not in str(said)
    sa.event.remove(engine, "begin", gone)
    assert ann("GET", "/sessions").status_code == 200


# Who may


def test_nobody_where_anonymous_use_is_off(sqlite_url, tmp_path):
    with serving(tmp_path, sqlite_url, sqlite_url, anonymous=False) as app:
        nobody, ann = Client(app), Client(app, "ann")
        session_id = ann.session()
        own = ("session_cookie", "start_session_cookie", "end_session_cookie")
        for method, path, endpoint in routes(app):
            url = path.replace("<session_id>", session_id).replace("<task_id>", "t")
            answer = nobody(method, url, {} if method != "GET" else None)
            if endpoint in ("health", "ready", "client_config"):
                assert answer.status_code == 200
            elif endpoint not in (*own, "rotate_session_cookie"):
                refused(answer, 401)
            assert "Set-Cookie" not in answer.headers
        refused(nobody("POST", "/session-cookie"), 401)
        assert ann("GET", f"/sessions/{session_id}").status_code == 200


# Requests from other sites


def forged(browser: Client, headers: dict[str, str]) -> bool:
    """Whether a request is refused as one from another site."""
    answer = browser("POST", "/sessions", {}, headers={"Host": "app.example:8080", **headers})
    if answer.status_code == 403:
        refused(answer, 403, "Requests from other sites are not allowed.")
        return True
    assert answer.status_code == 201
    return False


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, False),
        ({"Sec-Fetch-Site": "same-origin"}, False),
        ({"Sec-Fetch-Site": "none"}, False),
        ({"Sec-Fetch-Site": "same-site"}, True),
        ({"Sec-Fetch-Site": "cross-site"}, True),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "https://app.example:8080"}, True),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "https://evil.example"}, False),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "https://friend.example"}, False),
        ({"Origin": "https://friend.example"}, False),
        ({"Origin": "https://FRIEND.example:443"}, False),
        ({"Origin": "http://friend.example"}, True),
        ({"Origin": "https://friend.example.evil.example"}, True),
        ({"Origin": "http://app.example:8080"}, False),
        ({"Origin": "https://APP.example:8080"}, False),
        ({"Origin": "https://app.example:8081"}, True),
        ({"Origin": "https://app.example"}, True),
        ({"Origin": "null"}, True),
        ({"Origin": ""}, True),
        ({"Origin": "https://[::1"}, True),
        ({"Origin": "https://evil.example", "Host": "app.example"}, True),
        ({"Origin": "https://app.example", "Host": "app.example"}, False),
        ({"Origin": "https://app.example", "Host": "app.example:443"}, False),
    ],
)
def test_requests_from_other_sites(sqlite_url, tmp_path, headers, expected):
    origins = ["https://friend.example"]
    with serving(tmp_path, sqlite_url, sqlite_url, trusted_origins=origins) as app:
        assert forged(Client(app), headers) is expected


def test_every_unsafe_route_refuses_other_sites_and_no_safe_one_does(app, browser):
    session_id = browser.session()
    task = browser.say(session_id, "Hello")["taskId"]
    for method, path, _ in routes(app):
        url = path.replace("<session_id>", session_id).replace("<task_id>", task)
        answer = browser(method, url, headers={"Sec-Fetch-Site": "cross-site"})
        assert (answer.status_code == 403) == (method != "GET"), (method, path)
    assert browser("GET", f"/sessions/{session_id}").status_code == 200


@pytest.mark.parametrize("first", [True, False])
def test_form_tokens_are_not_asked_for(sqlite_url, tmp_path, first):
    app = Flask("host", instance_path=str(tmp_path))
    app.config.update(SECRET_KEY=KEY, MESH_SESSIONS=settings(sqlite_url, sqlite_url))
    protect, mesh = CSRFProtect(), FastMesh()
    register(mesh)
    for extension in (protect, mesh) if first else (mesh, protect):
        extension.init_app(app)

    @app.post("/own")
    def own():
        return "done"

    browser = Client(app)
    assert browser.client.post("/own").status_code == 400
    session_id = browser.session()
    assert browser("PATCH", f"/sessions/{session_id}", {"name": "x"}).status_code == 200
    assert browser("POST", "/session-cookie").status_code == 200
    refused(browser("POST", "/nope"), 404)
    evil = {"Sec-Fetch-Site": "cross-site"}
    refused(browser("POST", "/sessions", {}, headers=evil), 403)
    assert browser.client.post("/own").status_code == 400
    state_of(app).close()


# Routes of the host's


def host_with(rule: str, folder: Path, **more: t.Any) -> Flask:
    app = Flask("host", instance_path=str(folder))
    app.config.update(SECRET_KEY=KEY, MESH_SESSIONS=settings(None, None, **more))
    app.add_url_rule(rule, "hosts_own", lambda **named: "the host's", methods=["GET", "POST"])
    mesh = FastMesh()
    register(mesh)
    mesh.init_app(app)
    return app


@pytest.mark.parametrize(
    "rule",
    [
        "/api/v1/sessions",
        "/api/v1/sessions/",
        "/api/v1/<anything>",
        "/api/v1/sessions/<int:number>",
        "/api/v1/sessions/mine/messages",
        "/api/v1/<path:rest>",
        "/api/v1/sessions/<path:rest>",
        "/api/v1/health",
        "/api/v1/session-cookie",
    ],
)
def test_a_route_in_the_way_is_an_error_that_names_the_setting(tmp_path, rule):
    with pytest.raises(ConfigError, match="url_prefix") as refusal:
        host_with(rule, tmp_path)
    assert rule in str(refusal.value)


@pytest.mark.parametrize(
    ("rule", "path"),
    [
        ("/<path:rest>", "/anything"),
        ("/", "/"),
        ("/api/<path:rest>", "/api/v2/sessions"),
        ("/api/v1", "/api/v1"),
        ("/api/v1/orders", "/api/v1/orders"),
        ("/api/v1/orders/<int:number>", "/api/v1/orders/7"),
        ("/api/v10/sessions", "/api/v10/sessions"),
        ("/sessions", "/sessions"),
    ],
)
def test_a_route_beside_ours_is_left_alone(tmp_path, rule, path):
    app = host_with(rule, tmp_path)
    assert app.test_client().get(path).text == "the host's"
    assert Client(app)("GET", "/health").json == {"status": "ok"}
    refused(Client(app)("GET", "/nope"), 404)
    state_of(app).close()


def test_the_prefix_can_be_another_or_none(tmp_path):
    app = make_app(tmp_path, None, None, url_prefix="/mesh/api", ui=False)
    assert app.test_client().get("/mesh/api/health").json == {"status": "ok"}
    assert app.test_client().get(f"{PREFIX}/health").status_code == 404
    off = make_app(tmp_path / "off", None, None, url_prefix=False, ui=False)
    assert [r.rule for r in off.url_map.iter_rules() if "mesh" in r.endpoint] == []
    state_of(app).close()
    state_of(off).close()


def test_two_apps_in_one_process(sqlite_url, tmp_path):
    with (
        serving(tmp_path / "1", sqlite_url, sqlite_url) as one,
        serving(tmp_path / "2", None, url_prefix="/two") as two,
    ):
        assert Client(one)("GET", "/config").json["persistence_enabled"] is True
        assert b'"persistence_enabled":false' in two.test_client().get("/two/config").data
