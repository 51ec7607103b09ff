"""Web sessions in the cookie itself, and what is the same in both modes."""

from __future__ import annotations

import threading
import typing as t
from datetime import timedelta

import flask
import pytest
from flask.sessions import SecureCookieSessionInterface

from flask_mesh_sessions import web_session
from flask_mesh_sessions.config import Pool
from flask_mesh_sessions.errors import StorageUnavailable
from flask_mesh_sessions.storage.database import Database
from flask_mesh_sessions.web_session import MeshSessionInterface, WebSession
from flask_mesh_sessions.web_session.outage import Outage

from .web_session_host import (
    KEY,
    LIFETIME,
    browser,
    calls,
    flask_cookie,
    get,
    json_of,
    make_host,
    make_plain,
    open_database,
    payload_of,
    value_of,
)


@pytest.fixture(params=["memory", "sql"])
def database(request, sqlite_url):
    """The database of an app in each mode."""
    if request.param == "memory":
        yield None
        return
    database = open_database(sqlite_url)
    yield database
    database.dispose()


def attributes(response) -> set[str]:
    """The names and values of a cookie's attributes, without its own value and its dates."""
    header = response.headers["Set-Cookie"]
    return {part for part in header.split("; ")[1:] if not part.startswith("Expires=")}


def test_memory_mode_keeps_the_data_and_a_stable_id_in_the_cookie():
    client = browser(make_host())
    client.get("/set/name/Ada")
    first = payload_of(client)
    client.get("/set/more/1")
    second = payload_of(client)
    assert first == {"name": "Ada", "_mesh_id": second["_mesh_id"]}
    assert second["more"] == "1" and len(second["_mesh_id"]) == 43
    assert client.get("/get").json == {"name": "Ada", "more": "1"}


def test_every_browser_has_another_id():
    app = make_host()
    one, other = browser(app), browser(app)
    one.get("/set/name/Ada"), other.get("/set/name/Ada")
    assert payload_of(one)["_mesh_id"] != payload_of(other)["_mesh_id"]


def login() -> None:
    flask.session["_user_id"] = "ada"


def start_over() -> None:
    flask.session.clear()
    flask.session["user"] = "ada"


def test_what_changes_the_id_in_memory_mode():
    """Whoever planted the old cookie must not meet its user in one row after a move to sql."""
    app = make_host()
    calls(app, login=login, start_over=start_over)
    calls(app, rotate=lambda: web_session.rotate(flask.session))
    for path in ("/call/login", "/call/start_over", "/call/rotate"):
        client = browser(app)
        client.get("/set/name/Ada")
        before = payload_of(client)["_mesh_id"]
        client.get(path)
        assert payload_of(client)["_mesh_id"] != before


def test_a_cookie_of_plain_flask_goes_on_in_memory_mode():
    client = browser(make_host(), flask_cookie({"name": "Ada"}))
    assert client.get("/get").json == {"name": "Ada"}
    client.get("/set/more/1")
    assert client.get("/get").json == {"name": "Ada", "more": "1"}
    assert len(payload_of(client)["_mesh_id"]) == 43


def test_plain_flask_reads_a_cookie_of_memory_mode():
    client = browser(make_host())
    client.get("/set/name/Ada")
    assert json_of(get(make_plain(), value_of(client)))["name"] == "Ada"


def test_a_cookie_of_memory_mode_expires_as_in_flask():
    app = make_host(PERMANENT_SESSION_LIFETIME=timedelta(hours=1))
    assert get(app, flask_cookie({"a": "1"}, age=timedelta(minutes=50))).json == {"a": "1"}
    assert get(app, flask_cookie({"a": "1"}, age=timedelta(minutes=70))).json == {}


def test_an_expired_cookie_is_not_signed_again(database):
    app = make_host(database, SECRET_KEY="newer", SECRET_KEY_FALLBACKS=[KEY])
    old = flask_cookie({"name": "Ada"}, age=LIFETIME + timedelta(hours=1))
    assert "Set-Cookie" not in get(app, old, "/idle").headers


def test_a_memory_cookie_signed_by_an_older_key_is_signed_again():
    client = browser(make_host())
    client.get("/set/name/Ada")
    newer = make_host(SECRET_KEY="newer", SECRET_KEY_FALLBACKS=[KEY])
    again = browser(newer, value_of(client))
    assert "Cookie" in again.get("/idle").vary
    assert payload_of(again, "newer") == payload_of(client)
    assert "Set-Cookie" not in again.get("/idle").headers


def test_the_keys_of_sessions_sign_and_those_of_flask_still_verify(database):
    client = browser(make_host(database))
    client.get("/set/name/Ada")
    app = make_host(database, SESSION_SECRET_KEY="its own")
    again = browser(app, value_of(client))
    assert again.get("/get").json == {"name": "Ada"}
    assert payload_of(again, "its own")


def test_a_key_set_after_installation_counts(database):
    app = make_host(database, SECRET_KEY=None)
    app.secret_key = "later"
    client = browser(app)
    client.get("/set/name/Ada")
    assert payload_of(client, "later")


def test_without_a_key_the_session_says_so(database):
    app = make_host(database, SECRET_KEY=None)
    assert browser(app).get("/get").json == {}
    app.config["PROPAGATE_EXCEPTIONS"] = True
    with pytest.raises(RuntimeError, match="secret key"):
        browser(app).get("/set/name/Ada")


def test_only_flasks_own_interface_is_replaced():
    class Own(SecureCookieSessionInterface):
        pass

    app = make_plain()
    app.session_interface = own = Own()
    assert web_session.install(app, lambda: None) is False
    assert app.session_interface is own


def test_what_the_host_set_on_flasks_interface_stays():
    app = make_plain()
    app.session_interface = SecureCookieSessionInterface()
    app.session_interface.salt = "pepper"
    assert web_session.install(app, lambda: None)
    assert isinstance(app.session_interface, MeshSessionInterface)
    assert get(app, flask_cookie({"name": "Ada"})).json == {}
    client = browser(app)
    client.get("/set/name/Ada")
    assert client.get("/get").json == {"name": "Ada"}


def test_attributes_where_the_host_set_none(database):
    app = make_host(database)
    response = browser(app).get("/set/name/Ada")
    assert attributes(response) == {"HttpOnly", "Path=/", "SameSite=Lax"}


def test_the_cookie_is_secure_over_https_outside_debug(database):
    app = make_host(database)
    assert "Secure" in attributes(app.test_client().get("https://x/set/a/1"))
    app.debug = True
    assert "Secure" not in attributes(app.test_client().get("https://x/set/a/1"))


def test_attributes_of_the_host_count_when_setting_and_deleting(database):
    app = make_host(
        database,
        SESSION_COOKIE_DOMAIN="example.org",
        SESSION_COOKIE_PATH="/app",
        SESSION_COOKIE_SECURE=True,
        SESSION_COOKIE_HTTPONLY=False,
        SESSION_COOKIE_SAMESITE="None",
        SESSION_COOKIE_PARTITIONED=True,
    )
    made = app.test_client().get("http://example.org/set/a/1")
    wanted = {"Domain=example.org", "Path=/app", "Secure", "SameSite=None", "Partitioned"}
    assert attributes(made) == wanted
    value = made.headers["Set-Cookie"].partition(";")[0]
    gone = app.test_client(use_cookies=False).get("/clear", headers={"Cookie": value})
    assert attributes(gone) == wanted | {"Max-Age=0"}


def test_the_name_of_the_cookie_is_the_hosts(database):
    client = browser(make_host(database, SESSION_COOKIE_NAME="crumb"))
    client.get("/set/name/Ada")
    assert client.get_cookie("crumb") and not client.get_cookie("session")
    assert client.get("/get").json == {"name": "Ada"}


def test_a_permanent_session_lasts_as_long_as_the_host_wants(database):
    def put():
        flask.session.permanent = True
        flask.session["name"] = "Ada"

    app = make_host(database, PERMANENT_SESSION_LIFETIME=3600)
    calls(app, put=put)
    client = browser(app)
    assert "Max-Age=3600" in attributes(client.get("/call/put"))
    assert client.get("/get").json == {"name": "Ada", "_permanent": True}


def test_a_session_the_host_did_not_make_permanent_ends_with_the_browser(database):
    response = browser(make_host(database)).get("/set/name/Ada")
    assert "Expires" not in response.headers["Set-Cookie"]
    assert "Max-Age" not in response.headers["Set-Cookie"]


def test_session_transaction_works(database):
    app = make_host(database)
    client = browser(app)
    with client.session_transaction() as session:
        session["name"] = "Ada"
    with client.session_transaction() as session:
        assert session == {"name": "Ada"}
        session.clear()
    assert client.get("/get").json == {}


def test_flashes_are_shown_once(database):
    app = make_host(database)
    calls(app, flash=lambda: flask.flash("saved"))
    calls(app, show=lambda: {"flashes": flask.get_flashed_messages()})
    client = browser(app)
    client.get("/call/flash")
    assert client.get("/call/show").json == {"flashes": ["saved"]}
    assert client.get("/call/show").json == {"flashes": []}
    assert value_of(client) is None


def test_a_form_token_of_flask_wtf_is_valid_in_the_next_request(database):
    from flask_wtf.csrf import CSRFProtect, generate_csrf

    app = make_host(database)
    CSRFProtect(app)
    calls(app, token=generate_csrf)
    app.add_url_rule("/save", view_func=lambda: "saved", methods=["POST"], endpoint="save")
    client = browser(app)
    token = client.get("/call/token").text
    assert client.post("/save", headers={"X-CSRFToken": token}).text == "saved"
    assert client.post("/save", headers={"X-CSRFToken": "wrong"}).status_code == 400


def test_the_session_behaves_like_a_dict():
    cookie = flask_cookie({"name": "Ada", "n": 1})
    app = make_host()
    found: dict[str, t.Any] = {}

    def look():
        session = flask.session._get_current_object()  # type: ignore[attr-defined]
        found.update(
            copy=session.copy(),
            union=session | {"more": 2},
            spread={**session},
            length=len(session),
            text=repr(session),
            missing=session.get("missing", "no"),
            equal=session == {"name": "Ada", "n": 1},
            modified=session.modified,
        )
        session |= {"more": 2}
        found["after"] = sorted(session), session.modified

    calls(app, look=look)
    get(app, cookie, "/call/look")
    assert found == {
        "copy": {"name": "Ada", "n": 1},
        "union": {"name": "Ada", "n": 1, "more": 2},
        "spread": {"name": "Ada", "n": 1},
        "length": 2,
        "text": "<WebSession {'name': 'Ada', 'n': 1}>",
        "missing": "no",
        "equal": True,
        "modified": False,
        "after": (["more", "n", "name"], True),
    }


def test_a_session_is_loaded_once_and_only_when_looked_at():
    loads: list[WebSession] = []
    session = WebSession(flask.sessions.session_json_serializer, load=loads.append)
    assert not session.loaded and loads == []
    session["name"] = "Ada"
    assert session.get("name") == "Ada" and session.loaded and loads == [session]


def test_a_server_that_refuses_connections_is_an_outage(caplog):
    url = "postgresql+psycopg2://postgres:secret@127.0.0.1:1/nowhere"
    app = make_host(Database(url, Pool()))
    value = flask_cookie({"_sid": "some-id"})
    response = get(app, value)
    assert response.status_code == 200 and response.json == {}
    assert "Set-Cookie" not in response.headers
    said = [r.levelname for r in caplog.records if r.name == "flask_mesh_sessions.web_session"]
    assert said == ["WARNING"] and "secret" not in caplog.text


def test_one_request_at_a_time_asks_a_database_that_failed():
    outage, asked, answer = Outage(), threading.Event(), threading.Event()

    def fail() -> None:
        raise StorageUnavailable("down")

    def ask() -> str:
        asked.set()
        assert answer.wait(60)
        return "back"

    with pytest.raises(StorageUnavailable):
        outage.run(fail)
    found: list[str] = []
    probe = threading.Thread(target=lambda: found.append(outage.run(ask)))
    probe.start()
    assert asked.wait(60)
    with pytest.raises(StorageUnavailable):
        outage.run(lambda: pytest.fail("asked twice"))
    answer.set()
    probe.join(60)
    assert found == ["back"]
    assert outage.run(lambda: "at once") == "at once"
