"""The routes of ``/session-cookie``."""

from __future__ import annotations

import flask
import pytest

from flask_mesh_sessions.identity import Identity
from flask_mesh_sessions.web import session_cookie

from .web_session_host import (
    browser,
    calls,
    flask_cookie,
    json_of,
    living,
    make_host,
    make_plain,
    open_database,
    payload_of,
    rename,
    rows,
    state,
    value_of,
)

PATH = "/api/v1/session-cookie"


@pytest.fixture
def database(sqlite_url):
    database = open_database(sqlite_url)
    yield database
    database.dispose()


@pytest.fixture(params=["memory", "sql", "off"])
def app(request, database):
    """An app in each mode; ``off`` keeps Flask's own session interface."""
    if request.param == "off":
        app = make_plain()
    else:
        app = make_host(database if request.param == "sql" else None)
    return serve(app, request.param == "sql")


def serve(app: flask.Flask, persistent: bool, anonymous: bool = True) -> flask.Flask:
    state(app, Identity(anonymous), persistent)
    blueprint = flask.Blueprint("mesh", __name__, url_prefix="/api/v1")
    session_cookie.register(blueprint)
    app.register_blueprint(blueprint)
    return app


def test_showing_makes_nobody(app, database):
    client = browser(app)
    response = client.get(PATH)
    assert response.status_code == 200
    assert json_of(response)["data"].pop("persistent") in (True, False)
    assert json_of(response)["data"] | {"persistent": None} == {
        "userId": None,
        "anonymous": True,
        "sessionId": None,
        "persistent": None,
    }
    assert value_of(client) is None and rows(database) == []


@pytest.mark.parametrize("persistent", [True, False])
def test_it_says_whether_conversations_are_kept(persistent):
    app = serve(make_host(), persistent)
    assert json_of(browser(app).get(PATH))["data"]["persistent"] is persistent


def test_starting_makes_somebody_in_no_conversation(app):
    client = browser(app)
    started = client.post(PATH)
    assert started.status_code == 200
    data = json_of(started)["data"]
    assert data["userId"].startswith("anonymous-") and data["anonymous"] is True
    assert data["sessionId"] is None
    assert client.get(PATH).json == started.json


def test_starting_leaves_the_current_conversation(app):
    client = browser(app)
    first = json_of(client.post(PATH))["data"]["userId"]
    client.get("/set/mesh_session/web-session-1")
    assert json_of(client.get(PATH))["data"]["sessionId"] == "web-session-1"
    again = json_of(client.post(PATH))["data"]
    assert again["sessionId"] is None and again["userId"] == first
    assert json_of(client.get(PATH))["data"] == again


@pytest.mark.parametrize("given", ["", "a b", "ä", "x" * 129, 7, ["a"]])
def test_a_conversation_that_cannot_be_one_is_none(app, given):
    client = browser(app, flask_cookie({"mesh_session": given}))
    assert json_of(client.get(PATH))["data"]["sessionId"] is None


def test_ending_forgets_everything(app):
    client = browser(app)
    first = json_of(client.post(PATH))["data"]["userId"]
    response = client.delete(PATH)
    assert response.status_code == 204 and response.data == b""
    assert value_of(client) is None
    assert json_of(client.get(PATH))["data"]["userId"] is None
    assert json_of(client.post(PATH))["data"]["userId"] != first


def test_ending_is_final_in_sql_mode(database):
    app = serve(make_host(database), True)
    client = browser(app)
    client.post(PATH)
    value = value_of(client)
    client.delete(PATH)
    assert json_of(browser(app, value).get(PATH))["data"]["userId"] is None
    assert living(database) == []


def test_ending_nothing_is_fine(app):
    response = browser(app).delete(PATH)
    assert response.status_code == 204 and "Set-Cookie" not in response.headers


def test_rotating_keeps_who_and_which_conversation(app):
    client = browser(app)
    client.post(PATH)
    client.get("/set/mesh_session/web-session-1")
    before = client.get(PATH).json
    rotated = client.post(f"{PATH}/rotate")
    assert rotated.status_code == 200 and rotated.json == before
    assert client.get(PATH).json == before


@pytest.mark.parametrize("mode", ["memory", "sql"])
def test_rotating_changes_the_id(database, mode):
    app = serve(make_host(database if mode == "sql" else None), mode == "sql")
    client = browser(app)
    client.post(PATH)
    key = "_sid" if mode == "sql" else "_mesh_id"
    value, before = value_of(client), payload_of(client)[key]
    client.post(f"{PATH}/rotate")
    assert value_of(client) != value and payload_of(client)[key] != before


def test_rotating_makes_nobody(app, database):
    client = browser(app)
    response = client.post(f"{PATH}/rotate")
    assert response.status_code == 200 and json_of(response)["data"]["userId"] is None
    assert value_of(client) is None and rows(database) == []


def test_without_anonymous_use_only_showing_is_free():
    app = serve(make_host(), False, anonymous=False)
    client = browser(app)
    assert json_of(client.get(PATH))["data"]["userId"] is None
    assert client.post(PATH).status_code == 401
    assert client.delete(PATH).status_code == 204


def test_a_user_of_the_host_is_not_anonymous(app):
    app.extensions["mesh_sessions"].identity.user_loader = lambda: "ada"
    data = json_of(browser(app).get(PATH))["data"]
    assert data["userId"] == "ada" and data["anonymous"] is False


def test_a_view_of_the_host_sees_the_same_session(app):
    client = browser(app)
    client.post(PATH)
    calls(app, who=lambda: {"user": flask.session["mesh_user"]})
    assert json_of(client.get("/call/who"))["user"] == json_of(client.get(PATH))["data"]["userId"]


def test_in_an_outage_nothing_is_said_to_be_done(database):
    app = serve(make_host(database), True)
    client = browser(app)
    client.post(PATH)
    value = value_of(client)
    rename(database, "web_sessions", "hidden")
    answers = [client.get(PATH), client.post(PATH), client.delete(PATH)]
    answers.append(client.post(f"{PATH}/rotate"))
    assert [answer.status_code for answer in answers] == [503] * 4
    assert value_of(client) == value
