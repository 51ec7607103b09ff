"""Cookies that become rows, keys that are rotated, and databases that are down."""

from __future__ import annotations

import string
from datetime import timedelta

import flask
import pytest

from flask_mesh_sessions import web_session
from flask_mesh_sessions.clock import now

from .web_session_host import (
    KEY,
    LIFETIME,
    Meeting,
    Statements,
    browser,
    calls,
    change_rows,
    flask_cookie,
    get,
    json_of,
    living,
    make_host,
    open_database,
    payload_of,
    rename,
    rows,
    together,
    value_of,
)


@pytest.fixture
def database(database_url):
    database = open_database(database_url)
    yield database
    database.dispose()


@pytest.fixture
def app(database):
    return make_host(database)


MEMORY = make_host(None)


def rotate() -> None:
    web_session.rotate(flask.session)


def memory_cookie(**values: str) -> str:
    client = browser(MEMORY)
    for key, value in values.items():
        client.get(f"/set/{key}/{value}")
    return value_of(client) or ""


def test_a_cookie_of_memory_mode_is_adopted_at_the_first_look(app, database):
    value = memory_cookie(name="Ada")
    assert get(app, value, "/idle").headers.get("Set-Cookie") is None
    assert rows(database) == []
    client = browser(app, value)
    assert client.get("/get").json == {"name": "Ada"}
    assert payload_of(client) == {"_sid": rows(database)[0].sid}
    assert client.get("/get").json == {"name": "Ada"}


@pytest.mark.parametrize("made", ["by us", "by flask"])
def test_tabs_that_send_the_old_cookie_meet_in_one_row(app, database, made):
    value = memory_cookie(name="Ada") if made == "by us" else flask_cookie({"name": "Ada"})
    results = together(8, lambda n: get(app, value, f"/set/key{n}/{n}"))
    assert {response.status_code for response in results} == {200}
    assert len(rows(database)) == 1
    late = get(app, value)
    assert late.json == {"name": "Ada", **{f"key{n}": str(n) for n in range(8)}}
    assert "Set-Cookie" in late.headers


def test_a_changed_cookie_of_memory_mode_meets_the_same_row(app, database):
    client = browser(MEMORY)
    client.get("/set/name/Ada")
    early = value_of(client)
    client.get("/set/more/1")
    get(app, value_of(client))
    assert get(app, early).json == {"name": "Ada", "more": "1"}
    assert len(rows(database)) == 1


@pytest.mark.parametrize("made", ["by us", "by flask"])
@pytest.mark.parametrize("path", ["/clear", "/pop/name"])
@pytest.mark.parametrize("seen", [True, False])
def test_signing_out_is_final_for_an_adopted_cookie(app, database, made, path, seen):
    value = memory_cookie(name="Ada") if made == "by us" else flask_cookie({"name": "Ada"})
    client = browser(app, value)
    if seen:
        client.get("/get")
    client.get(path)
    assert value_of(client) is None
    response = get(app, value)
    assert response.json == {} and "Set-Cookie" not in response.headers
    [row] = rows(database)
    assert row.expires > now() + LIFETIME.total_seconds() * 1000 - 60_000


@pytest.mark.parametrize("made", ["by us", "by flask"])
def test_signing_out_is_final_however_the_signature_is_spelt(app, made):
    """The last character of a signature has bits that do not count."""
    value = memory_cookie(name="Ada") if made == "by us" else flask_cookie({"name": "Ada"})
    get(app, value, "/clear")
    alphabet = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"
    spelt = value[:-1] + alphabet[alphabet.index(value[-1]) ^ 1]
    assert get(MEMORY, spelt).json == {"name": "Ada"}
    assert get(app, spelt).json == {}


def test_a_replayed_cookie_that_was_signed_out_starts_anew_when_it_writes(app, database):
    value = memory_cookie(name="Ada")
    get(app, value, "/clear")
    client = browser(app, value)
    client.get("/set/other/1")
    assert client.get("/get").json == {"other": "1"}
    assert get(app, value).json == {}


def test_a_late_tab_does_not_bring_back_what_was_signed_out(app, database):
    value, meeting = memory_cookie(name="Ada"), Meeting()
    get(app, value)

    def write():
        assert flask.session["name"] == "Ada"
        meeting()
        flask.session["new"] = "1"

    calls(app, write=write)
    late = meeting.during(lambda: get(app, value, "/call/write"), lambda: get(app, value, "/clear"))
    assert "Set-Cookie" not in late.headers
    assert living(database) == []


def test_a_cookie_that_is_still_good_is_adopted_again_when_its_row_expired(app, database):
    value = memory_cookie(name="Ada")
    get(app, value)
    change_rows(database, expires=now() - 1)
    client = browser(app, value)
    assert client.get("/get").json == {"name": "Ada"}
    assert client.get("/get").json == {"name": "Ada"}
    assert len(rows(database)) == 1


def test_an_adopted_cookie_that_was_rotated_dies_after_a_minute(app, database):
    calls(app, rotate=rotate)
    value = memory_cookie(name="Ada")
    client = browser(app, value)
    client.get("/call/rotate")
    assert get(app, value).json == {"name": "Ada"}
    change_rows(database, forward_until=now() - 1)
    assert get(app, value).json == {}
    assert client.get("/get").json == {"name": "Ada"}


def test_a_client_side_cookie_is_adopted_only_while_flask_would_read_it(app):
    old = flask_cookie({"name": "Ada"}, age=LIFETIME + timedelta(hours=1))
    young = flask_cookie({"name": "Ada"}, age=LIFETIME - timedelta(hours=1))
    assert get(app, old).json == {}
    assert get(app, young).json == {"name": "Ada"}


def login(user: str = "ada") -> None:
    flask.session["_user_id"] = user


def test_signing_in_with_flask_login_changes_the_id(app, database):
    """Whoever planted the old cookie in the browser must not be signed in with it."""
    calls(app, login=login)
    client = browser(app)
    client.get("/set/name/Ada")
    planted = value_of(client)
    client.get("/call/login")
    assert client.get("/get").json == {"name": "Ada", "_user_id": "ada"}
    assert get(app, planted).json == {}
    signed_in = value_of(client)
    client.get("/set/more/1")
    assert payload_of(client) == payload_of(browser(app, signed_in))


@pytest.mark.parametrize("made", ["by us", "by flask"])
def test_signing_in_at_the_moment_of_adoption_changes_the_id(app, database, made):
    calls(app, login=login)
    value = memory_cookie(name="Ada") if made == "by us" else flask_cookie({"name": "Ada"})
    client = browser(app, value)
    client.get("/call/login")
    assert client.get("/get").json == {"name": "Ada", "_user_id": "ada"}
    assert get(app, value).json == {"name": "Ada"}
    client.get("/clear")
    assert get(app, value).json == {}


def test_two_browsers_with_the_same_old_cookie_do_not_share_a_login(app, database):
    """Plain Flask gives two visitors the same cookie in the same second."""
    calls(app, login=login)
    value = flask_cookie({"lang": "de"})
    one, other = browser(app, value), browser(app, value)
    one.get("/get"), other.get("/get")
    one.get("/call/login")
    assert other.get("/get").json == {"lang": "de"}
    assert get(app, value).json == {"lang": "de"}


def test_two_users_whom_flask_login_gives_the_same_id_do_not_meet(app, database):
    """Its ``_id`` is a hash of the address and the browser's name, which may be the same."""
    ada = flask_cookie({"_user_id": "ada", "_id": "same", "_fresh": True})
    bob = flask_cookie({"_user_id": "bob", "_id": "same", "_fresh": True})
    assert json_of(get(app, ada))["_user_id"] == "ada"
    assert json_of(get(app, bob))["_user_id"] == "bob"
    assert len(rows(database)) == 2


def test_a_rotated_key_is_finished_without_asking_the_database(app, database):
    client = browser(app)
    client.get("/set/name/Ada")
    newer = make_host(database, SECRET_KEY="newer", SECRET_KEY_FALLBACKS=[KEY])
    again = browser(newer, value_of(client))
    statements = Statements(database)
    assert "Set-Cookie" in again.get("/idle").headers
    assert statements.seen == []
    assert payload_of(again, "newer") == payload_of(client)
    assert "Set-Cookie" not in again.get("/idle").headers
    newest = make_host(database, SECRET_KEY="newer")
    assert get(newest, value_of(again)).json == {"name": "Ada"}


def test_a_rotated_key_is_finished_when_the_session_is_read(app, database):
    client = browser(app)
    client.get("/set/name/Ada")
    newer = make_host(database, SECRET_KEY="newer", SECRET_KEY_FALLBACKS=[KEY])
    again = browser(newer, value_of(client))
    assert again.get("/get").json == {"name": "Ada"}
    assert payload_of(again, "newer") == payload_of(client)


@pytest.mark.parametrize("permanent", [True, False])
def test_a_cookie_signed_again_lasts_as_long_as_before(app, database, permanent):
    def put():
        flask.session.permanent = permanent
        flask.session["name"] = "Ada"

    calls(app, put=put)
    client = browser(app)
    assert ("Expires=" in client.get("/call/put").headers["Set-Cookie"]) is permanent
    newer = make_host(database, SECRET_KEY="newer", SECRET_KEY_FALLBACKS=[KEY])
    answer = get(newer, value_of(client), "/idle").headers["Set-Cookie"]
    assert ("Expires=" in answer) is permanent


def test_an_unadopted_cookie_that_is_signed_again_still_meets_its_row(app, database):
    value = flask_cookie({"name": "Ada"})
    newer = make_host(database, SECRET_KEY="newer", SECRET_KEY_FALLBACKS=[KEY])
    again = browser(newer, value)
    again.get("/idle")
    assert value_of(again) != value
    get(newer, value, "/set/more/1")
    assert again.get("/get").json == {"name": "Ada", "more": "1"}
    assert len(rows(database)) == 1


def test_back_in_memory_mode_a_pointing_cookie_is_an_empty_session(app):
    client = browser(app)
    client.get("/set/name/Ada")
    back = browser(MEMORY, value_of(client))
    response = back.get("/get")
    assert response.json == {} and "Set-Cookie" not in response.headers
    back.get("/set/name/Bob")
    assert back.get("/get").json == {"name": "Bob"}


def test_an_outage_takes_the_session_not_the_host(app, database, caplog):
    caplog.set_level("INFO", "flask_mesh_sessions")
    client = browser(app)
    client.get("/set/name/Ada")
    value = value_of(client)
    rename(database, "web_sessions", "hidden")
    for path in ("/get", "/set/lost/1", "/clear"):
        response = client.get(path)
        assert response.status_code == 200
        assert "Set-Cookie" not in response.headers
    assert client.get("/idle").status_code == 200
    rename(database, "hidden", "web_sessions")
    assert value_of(client) == value
    assert client.get("/get").json == {"name": "Ada"}
    said = [r.levelname for r in caplog.records if r.name == "flask_mesh_sessions.web_session"]
    assert said == ["WARNING", "INFO"]


def test_a_write_that_meets_an_outage_changes_no_cookie(app, database):
    client = browser(app)
    client.get("/set/name/Ada")
    value, meeting = value_of(client), Meeting()

    def write():
        assert flask.session["name"] == "Ada"
        meeting()
        flask.session["new"] = "1"

    calls(app, write=write)
    late = meeting.during(
        lambda: client.get("/call/write"), lambda: rename(database, "web_sessions", "hidden")
    )
    rename(database, "hidden", "web_sessions")
    assert late.status_code == 200 and "Set-Cookie" not in late.headers
    assert value_of(client) == value
    assert client.get("/get").json == {"name": "Ada"}


def test_a_new_visitor_keeps_what_an_outage_would_lose(app, database):
    rename(database, "web_sessions", "hidden")
    client = browser(app)
    client.get("/set/name/Ada")
    assert payload_of(client)["name"] == "Ada"
    rename(database, "hidden", "web_sessions")
    assert client.get("/get").json == {"name": "Ada"}
    assert set(payload_of(client)) == {"_sid"}
