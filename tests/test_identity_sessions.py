"""Anonymous ids in sessions that are adopted, shared by tabs, forgotten or unreadable."""

from __future__ import annotations

import re

import flask
import pytest

from flask_mesh_sessions import web_session

from .identity_host import use, use_login, user
from .web_session_host import (
    Meeting,
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
    together,
    value_of,
)

ANONYMOUS = re.compile("anonymous-[0-9a-f]{32}")


@pytest.fixture
def database(sqlite_url):
    database = open_database(sqlite_url)
    yield database
    database.dispose()


@pytest.fixture(params=["memory", "sql", "off"])
def app(request, database):
    """An app in each mode; ``off`` keeps Flask's own session interface."""
    if request.param == "off":
        return make_plain()
    return make_host(database if request.param == "sql" else None)


def test_tabs_that_ask_at_once_get_one_anonymous_id(backend, database_url):
    database = open_database(database_url)
    app = make_host(database)
    use(app)
    client = browser(app)
    client.get("/set/csrf_token/1")
    value = value_of(client)
    found = set(together(6, lambda n: user(browser(app, value), "ensure")))
    assert len(found) == 1
    assert {user(client)} == found
    database.dispose()


def test_an_anonymous_id_is_stored_before_it_is_used(database):
    """What is written under it must not outlive a crash alone."""
    app = make_host(database)
    identity = use(app)
    found = []

    def ensure():
        identity.ensure()
        found.extend(living(database))

    calls(app, ensure=ensure)
    browser(app).get("/call/ensure")
    assert len(found) == 1 and ANONYMOUS.search(found[0].data)


@pytest.mark.parametrize("seen", [True, False])
def test_two_browsers_with_the_same_old_cookie_get_two_anonymous_ids(database, seen):
    """Plain Flask gives two visitors the same cookie in the same second."""
    app = make_host(database)
    use(app)
    value = flask_cookie({"lang": "de"})
    one, other = browser(app, value), browser(app, value)
    if seen:
        one.get("/get"), other.get("/get")
    first = user(one, "ensure")
    assert user(other) is None
    assert user(other, "ensure") != first
    assert user(one) == first
    assert json_of(one.get("/get"))["lang"] == "de"


@pytest.mark.parametrize("seen", [True, False])
@pytest.mark.parametrize("rotated", [True, False])
def test_an_old_cookie_ends_with_the_session_that_came_out_of_it(database, seen, rotated):
    app = make_host(database)
    use(app)
    calls(app, rotate=lambda: web_session.rotate(flask.session))
    value = flask_cookie({"lang": "de"})
    client = browser(app, value)
    if seen:
        client.get("/get")
    user(client, "ensure")
    if rotated:
        client.get("/call/rotate")
    assert browser(app, value).get("/get").json == {"lang": "de"}
    client.get("/clear")
    assert browser(app, value).get("/get").json == {}


def test_they_stay_apart_over_a_move_to_sql(database):
    value = flask_cookie({"lang": "de"})
    memory, sql = make_host(None), make_host(database)
    use(memory), use(sql)
    one = browser(memory, value)
    first = user(one, "ensure")
    assert user(browser(sql, value_of(one))) == first
    assert user(browser(sql, value)) is None


def test_an_anonymous_id_survives_the_move_to_sql(database):
    memory, sql = make_host(None), make_host(database)
    use(memory), use(sql)
    client = browser(memory)
    made = user(client, "ensure")
    moved = browser(sql, value_of(client))
    assert user(moved) == user(moved, "ensure") == made


def test_a_second_tab_is_the_same_user(database):
    app = make_host(database)
    use(app)
    client = browser(app)
    made = user(client, "ensure")
    tab = browser(app, value_of(client))
    assert user(tab, "ensure") == made
    assert payload_of(tab) == payload_of(client)


def test_forgetting_signs_out_for_good(database):
    app = make_host(database)
    use(app)
    client = browser(app)
    user(client, "ensure")
    value = value_of(client)
    client.get("/call/forget")
    assert value_of(client) is None
    assert user(browser(app, value)) is None
    assert living(database) == []


@pytest.mark.parametrize("before", [{"lang": "de"}, {}])
def test_forgetting_is_final_for_the_cookie_it_was_adopted_from(database, before):
    memory, sql = make_host(None), make_host(database)
    use(memory), use(sql)
    old = browser(memory, flask_cookie(before))
    user(old, "ensure")
    client = browser(sql, value_of(old))
    user(client)
    client.get("/call/forget")
    assert user(browser(sql, value_of(old))) is None


def test_forgetting_deletes_the_cookie(app):
    use(app)
    client = browser(app)
    user(client, "ensure")
    client.get("/call/forget")
    assert value_of(client) is None and user(client) is None


def test_forgetting_leaves_what_is_the_hosts(app):
    use(app)
    client = browser(app)
    client.get("/set/cart/1")
    client.get("/set/mesh_session/web-session-1")
    user(client, "ensure")
    client.get("/call/forget")
    assert user(client) is None
    assert client.get("/get").json == {"cart": "1"}


def test_a_row_the_host_keeps_belongs_to_nobody_after_forgetting(database):
    app = make_host(database)
    use(app)
    client = browser(app)
    client.get("/set/cart/1")
    user(client, "ensure")
    client.get("/call/forget")
    assert [row.user_id for row in living(database)] == [None]


def test_forgetting_leaves_a_login_of_the_host(database):
    app = make_host(database)
    use_login(app)
    use(app)
    client = browser(app)
    user(client, "ensure")
    client.get("/call/login?name=ada")
    client.get("/call/forget")
    assert user(client) == "ada"
    assert [row.user_id for row in living(database)] == ["ada"]
    client.get("/call/logout")
    assert user(client) is None


def test_forgetting_nothing_touches_nothing(app):
    use(app)
    client = browser(app)
    assert "Set-Cookie" not in client.get("/call/forget").headers


def test_a_message_under_way_does_not_undo_forgetting(database):
    app = make_host(database)
    identity = use(app)
    client = browser(app)
    user(client, "ensure")
    value, meeting = value_of(client), Meeting()

    def send():
        identity.ensure()
        meeting()
        flask.session["mesh_session"] = "web-session-1"

    calls(app, send=send)
    late = browser(app, value)
    meeting.during(lambda: late.get("/call/send"), lambda: client.get("/call/forget"))
    assert value_of(late) == value
    assert user(late) is None
    assert living(database) == []


def test_somebody_new_while_the_session_is_forgotten_is_stored(database):
    app = make_host(database)
    identity = use(app)
    client = browser(app)
    client.get("/set/csrf_token/1")
    value, meeting = value_of(client), Meeting()

    def send():
        assert identity.current() is None
        meeting()
        return {"user": identity.ensure()}

    calls(app, send=send)
    late = browser(app, value)
    answer = meeting.during(lambda: late.get("/call/send"), lambda: client.get("/clear"))
    assert user(late) == answer.json["user"]
    assert "csrf_token" not in json_of(late.get("/get"))


@pytest.mark.parametrize("anonymous", [True, False])
def test_in_an_outage_nobody_is_taken_for_somebody_new(database, anonymous):
    app = make_host(database)
    use_login(app)
    use(app, anonymous)
    client = browser(app)
    client.get("/call/ensure" if anonymous else "/call/login?name=ada")
    known = user(client)
    value = value_of(client)
    rename(database, "web_sessions", "hidden")
    for verb in ("current", "ensure", "forget"):
        assert client.get(f"/call/{verb}").status_code == 503
    assert browser(app).get("/call/current").json == {"user": None}
    assert browser(app).get("/call/ensure").status_code == (503 if anonymous else 401)
    rename(database, "hidden", "web_sessions")
    assert value_of(client) == value
    assert known is not None and user(client) == known


def test_a_user_known_without_a_session_is_served_in_an_outage(database):
    app = make_host(database)
    client = browser(app)
    client.get("/set/cart/1")
    use(app).user_loader = lambda: "ada"
    rename(database, "web_sessions", "hidden")
    assert user(client) == user(client, "ensure") == "ada"
