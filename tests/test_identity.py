"""Who is asking: the host's user, Flask-Login's, or one anonymous id per browser."""

from __future__ import annotations

import re

import flask
import pytest

from flask_mesh_sessions.errors import Unauthorized

from .identity_host import use, use_login, user
from .web_session_host import (
    Statements,
    browser,
    flask_cookie,
    living,
    make_host,
    make_plain,
    open_database,
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


def test_asking_makes_nobody(app):
    use(app)
    client = browser(app)
    assert user(client) is None
    assert value_of(client) is None


def test_a_browser_keeps_its_anonymous_id(app):
    use(app)
    client = browser(app)
    made = user(client, "ensure")
    assert ANONYMOUS.fullmatch(made or "")
    assert user(client, "ensure") == user(client) == made
    assert user(browser(app), "ensure") != made


def test_without_anonymous_use_nobody_is_refused(app):
    use(app, anonymous=False)
    client = browser(app)
    response = client.get("/call/ensure")
    assert response.status_code == 401 and "Authentication" in response.text
    assert value_of(client) is None


def test_without_anonymous_use_an_anonymous_id_counts_for_nothing(app):
    use(app)
    client = browser(app)
    user(client, "ensure")
    use(app, anonymous=False)
    assert user(client) is None
    assert client.get("/call/ensure").status_code == 401


def test_the_user_loader_says_who_is_asking(app):
    use(app).user_loader = lambda: 7
    client = browser(app)
    assert user(client) == user(client, "ensure") == "7"
    assert value_of(client) is None


def test_whom_the_user_loader_does_not_know_is_anonymous(app):
    use(app).user_loader = lambda: None
    client = browser(app)
    assert user(client) is None
    assert ANONYMOUS.fullmatch(user(client, "ensure") or "")


def test_the_user_loader_decides_instead_of_flask_login(app):
    use_login(app)
    use(app).user_loader = lambda: None
    client = browser(app)
    client.get("/call/login?name=ada")
    assert user(client) is None


@pytest.mark.parametrize("given", ["", " ada", "ada ", "a\nb", "a\x00b", "\ud800", "x" * 256])
def test_an_impossible_id_names_the_user_loader(app, given):
    use(app).user_loader = lambda: given
    app.config["PROPAGATE_EXCEPTIONS"] = True
    with pytest.raises(RuntimeError, match="user_loader .*1 to 255 characters"):
        browser(app).get("/call/current")


def test_a_user_cannot_take_the_id_of_a_browser(app):
    """Or a name somebody chose would open what an anonymous visitor wrote."""
    identity = use(app)
    victim = user(browser(app), "ensure")
    identity.user_loader = lambda: victim
    app.config["PROPAGATE_EXCEPTIONS"] = True
    with pytest.raises(RuntimeError, match="user_loader.*'anonymous-'"):
        browser(app).get("/call/current")


def test_a_session_cannot_name_a_user_who_signed_in(app):
    use(app)
    for given in ("ada", "", 7, None, ["anonymous-1"], "anonymous-\n"):
        assert user(browser(app, flask_cookie({"mesh_user": given}))) is None


def test_the_user_loader_may_abort(app):
    use(app).user_loader = lambda: flask.abort(403)
    assert browser(app).get("/call/current").status_code == 403


def test_the_user_of_flask_login_is_asking(app):
    use_login(app)
    use(app, anonymous=False)
    client = browser(app)
    assert user(client) is None
    client.get("/call/login?name=ada")
    assert user(client) == user(client, "ensure") == "ada"
    client.get("/call/logout")
    assert user(client) is None


def test_an_impossible_id_names_flask_login(app):
    use_login(app)
    use(app)
    client = browser(app)
    client.get("/call/login?name=anonymous-1")
    app.config["PROPAGATE_EXCEPTIONS"] = True
    with pytest.raises(RuntimeError, match="Flask-Login"):
        client.get("/call/current")


@pytest.mark.parametrize("protection", ["basic", "strong"])
def test_anonymous_and_signed_in_take_turns_in_one_browser(app, protection):
    use_login(app, session_protection=protection)
    use(app)
    client = browser(app)
    before = user(client, "ensure")
    assert user(client) == before
    client.get("/call/login?name=ada")
    assert user(client) == "ada"
    client.get("/call/logout")
    assert user(client) == before


@pytest.mark.parametrize("beside", [{}, {"csrf_token": "x", "_flashes": []}])
def test_an_anonymous_conversation_outlives_the_browser_window(app, beside):
    use(app)
    client = browser(app, flask_cookie(beside) if beside else None)
    assert "Expires=" in client.get("/call/ensure").headers["Set-Cookie"]


def test_beside_what_the_host_keeps_its_choice_counts(app):
    use(app)
    client = browser(app)
    client.get("/set/cart/1")
    assert "Expires=" not in client.get("/call/ensure").headers["Set-Cookie"]


@pytest.mark.parametrize("mode", ["memory", "sql"])
def test_signing_in_ends_the_permanence_of_the_anonymous_time(database, mode):
    app = make_host(database if mode == "sql" else None)
    use_login(app)
    use(app)
    client = browser(app)
    client.get("/call/ensure")
    assert "Expires=" not in client.get("/call/login?name=ada").headers["Set-Cookie"]
    assert "Expires=" in client.get("/call/logout").headers["Set-Cookie"]


def test_the_cookie_of_an_anonymous_conversation_slides(database):
    app = make_host(database)
    use(app)
    client = browser(app)
    client.get("/call/ensure")
    assert "Set-Cookie" not in client.get("/call/current").headers
    long = make_host(database, PERMANENT_SESSION_LIFETIME=10**8)
    use(long)
    again = browser(long, value_of(client))
    assert "Max-Age=100000000" in again.get("/call/current").headers["Set-Cookie"]


def test_the_row_belongs_to_who_is_asking(database):
    app = make_host(database)
    use_login(app)
    use(app)
    client = browser(app)
    made = user(client, "ensure")
    assert [row.user_id for row in living(database)] == [made]
    client.get("/call/login?name=ada")
    user(client)
    assert [row.user_id for row in living(database)] == ["ada"]
    statements = Statements(database)
    user(client)
    assert "UPDATE" not in statements.seen


def test_a_user_known_without_a_session_costs_no_query(database):
    app = make_host(database)
    client = browser(app)
    client.get("/set/cart/1")
    use(app).user_loader = lambda: "ada"
    statements = Statements(database)
    assert user(client) == "ada"
    assert statements.seen == []


def test_outside_a_request_nobody_is_asking(app):
    identity = use(app)
    identity.user_loader = lambda: pytest.fail("there is nobody to load")
    with app.app_context():
        assert identity.current() is None
        with pytest.raises(Unauthorized):
            identity.ensure()
