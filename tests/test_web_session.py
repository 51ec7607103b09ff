"""Web sessions in rows: on every kind of database, with threads where they can collide."""

from __future__ import annotations

import flask
import pytest
import sqlalchemy as sa

from flask_mesh_sessions import web_session
from flask_mesh_sessions.clock import now

from .web_session_host import (
    LIFETIME,
    Meeting,
    Statements,
    browser,
    calls,
    change_rows,
    flask_cookie,
    get,
    living,
    make_host,
    open_database,
    payload_of,
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


def test_data_stands_in_a_row_and_the_cookie_points_to_it(app, database):
    client = browser(app)
    client.get("/set/name/Ada")
    [row] = rows(database)
    assert payload_of(client) == {"_sid": row.sid}
    assert client.get("/get").json == {"name": "Ada"}
    assert "Ada" not in (value_of(client) or "")


def test_types_of_flask_survive(app):
    values = {
        "tuple": (1, 2),
        "bytes": b"\x00\xff",
        "text": "ü \x00 \U0001f600",
        "nested": {"a": [1]},
    }

    def put():
        flask.session.update(values)

    found = []
    calls(app, put=put, look=lambda: found.append(dict(flask.session)))
    client = browser(app)
    client.get("/call/put")
    client.get("/call/look")
    assert found == [values]


def test_data_may_be_larger_than_a_cookie(app):
    client = browser(app)
    calls(app, put=lambda: flask.session.update(big="x" * 200_000))
    client.get("/call/put")
    assert client.get("/get").json == {"big": "x" * 200_000}
    assert len(value_of(client) or "") < 200


def test_a_request_that_does_not_look_does_not_ask_the_database(app, database):
    client = browser(app)
    client.get("/set/name/Ada")
    statements = Statements(database)
    response = client.get("/idle")
    assert statements.seen == []
    assert "Set-Cookie" not in response.headers and "Cookie" not in response.vary


def test_reading_costs_one_query_and_writes_nothing(app, database):
    client = browser(app)
    client.get("/set/name/Ada")
    statements = Statements(database)
    response = client.get("/get")
    assert [s for s in statements.seen if s not in ("BEGIN",)] == ["SELECT"]
    assert "Set-Cookie" not in response.headers and "Cookie" in response.vary


def test_a_visitor_without_a_session_costs_nothing(app, database):
    statements = Statements(database)
    response = browser(app).get("/get")
    assert response.json == {} and statements.seen == []
    assert "Set-Cookie" not in response.headers


def test_setting_permanent_alone_makes_no_row(app, database):
    calls(app, mark=lambda: setattr(flask.session, "permanent", True))
    assert "Set-Cookie" not in browser(app).get("/call/mark").headers
    assert rows(database) == []


def test_a_value_changed_in_place_is_stored_when_the_host_says_so(app):
    calls(app, put=lambda: flask.session.update(cart=[1]))

    def add():
        flask.session["cart"].append(2)
        flask.session.modified = True

    calls(app, add=add)
    client = browser(app)
    client.get("/call/put")
    client.get("/call/add")
    assert client.get("/get").json == {"cart": [1, 2]}


def test_a_wrong_signature_is_a_new_visitor(app, database):
    client = browser(app)
    client.get("/set/name/Ada")
    sid = payload_of(client)["_sid"]
    assert get(app, flask_cookie({"_sid": sid}, key="a key of somebody else")).json == {}
    assert get(app, "rubbish").json == {}


@pytest.mark.parametrize("sid", ["unknown", "", "x" * 65, "a b", 7, None, ["x"]])
def test_an_id_without_a_row_is_a_new_visitor_without_a_cookie(app, database, sid):
    value = flask_cookie({"_sid": sid})
    assert get(app, value).json == {}
    assert "Set-Cookie" not in get(app, value).headers
    client = browser(app, value)
    client.get("/set/name/Ada")
    assert payload_of(client)["_sid"] == rows(database)[0].sid != sid


def test_parallel_requests_keep_each_others_keys(app, database):
    client = browser(app)
    client.get("/set/first/1")
    value = value_of(client)
    together(8, lambda n: get(app, value, f"/set/key{n}/{n}"))
    assert get(app, value).json == {"first": "1", **{f"key{n}": str(n) for n in range(8)}}


def test_a_key_removed_by_one_request_is_not_brought_back_by_another(app):
    client = browser(app)
    client.get("/set/gone/1")
    client.get("/set/kept/1")
    value, meeting = value_of(client), Meeting()

    def write():
        assert flask.session["gone"] == "1"
        meeting()
        flask.session["new"] = "1"

    calls(app, write=write)
    meeting.during(lambda: get(app, value, "/call/write"), lambda: get(app, value, "/pop/gone"))
    assert get(app, value).json == {"kept": "1", "new": "1"}


def test_clear_ends_the_row_and_deletes_the_cookie(app, database):
    client = browser(app)
    client.get("/set/name/Ada")
    value = value_of(client)
    client.get("/clear")
    assert value_of(client) is None
    assert get(app, value).json == {} and "Set-Cookie" not in get(app, value).headers
    assert living(database) == []
    assert [row.data for row in rows(database)] == [None]


def test_a_request_under_way_does_not_bring_back_what_was_cleared(app, database):
    client = browser(app)
    client.get("/set/name/Ada")
    value, meeting = value_of(client), Meeting()

    def write():
        assert flask.session["name"] == "Ada"
        meeting()
        flask.session["new"] = "1"

    calls(app, write=write)
    late = meeting.during(lambda: get(app, value, "/call/write"), lambda: get(app, value, "/clear"))
    assert "Set-Cookie" not in late.headers
    assert living(database) == []


def test_what_is_set_after_clear_gets_a_new_row(app, database):
    """As Flask's tutorial signs in: who knew the old cookie does not come along."""

    def login():
        flask.session.clear()
        flask.session["user"] = "ada"

    calls(app, login=login)
    client = browser(app)
    client.get("/set/name/Ada")
    before = value_of(client)
    client.get("/call/login")
    assert client.get("/get").json == {"user": "ada"}
    assert get(app, before).json == {}


def test_popping_the_last_key_deletes_the_cookie(app, database):
    client = browser(app)
    client.get("/set/name/Ada")
    value = value_of(client)
    client.get("/pop/name")
    assert value_of(client) is None
    response = get(app, value)
    assert response.json == {} and "Set-Cookie" not in response.headers
    [row] = rows(database)
    assert row.expires < now() + 11 * 60_000  # not for a month


def test_a_parallel_write_survives_the_last_key_being_popped(app):
    client = browser(app)
    client.get("/set/flash/1")
    value, meeting = value_of(client), Meeting()

    def write():
        assert flask.session["flash"] == "1"
        meeting()
        flask.session["cart"] = "1"

    calls(app, write=write)
    late = meeting.during(
        lambda: get(app, value, "/call/write"), lambda: get(app, value, "/pop/flash")
    )
    assert "session=" in late.headers["Set-Cookie"]
    assert get(app, value).json == {"cart": "1"}


def test_an_expired_row_is_a_new_visitor(app, database):
    client = browser(app)
    client.get("/set/name/Ada")
    change_rows(database, expires=now() - 1)
    assert client.get("/get").json == {}


def test_a_row_is_refreshed_only_after_a_tenth_of_its_life(app, database):
    client = browser(app)
    client.get("/set/name/Ada")
    lifetime = int(LIFETIME.total_seconds() * 1000)
    change_rows(database, expires=now() + int(lifetime * 0.91))
    statements = Statements(database)
    client.get("/get")
    assert "UPDATE" not in statements.seen
    change_rows(database, expires=now() + int(lifetime * 0.89))
    assert "Set-Cookie" in client.get("/get").headers
    assert rows(database)[0].expires > now() + lifetime - 60_000


def test_a_row_is_not_refreshed_where_the_host_wants_none(database):
    app = make_host(database, SESSION_REFRESH_EACH_REQUEST=False)
    client = browser(app)
    client.get("/set/name/Ada")
    expires = now() + 60_000
    change_rows(database, expires=expires)
    client.get("/get")
    assert rows(database)[0].expires == expires


def test_the_age_of_a_pointing_cookie_does_not_matter(app, database):
    client = browser(app)
    client.get("/set/name/Ada")
    sid = payload_of(client)["_sid"]
    assert get(app, flask_cookie({"_sid": sid}, age=LIFETIME * 2)).json == {"name": "Ada"}


def test_expired_rows_are_deleted_in_batches(app, database):
    for _ in range(5):
        browser(app).get("/set/name/Ada")
    change_rows(database, expires=now() - 1)
    client = browser(app)
    client.get("/set/name/Ada")
    statements = Statements(database)
    assert web_session.delete_expired(database, limit=2) == 5
    assert statements.seen.count("DELETE") == 3
    assert client.get("/get").json == {"name": "Ada"}
    assert web_session.delete_expired(database) == 0


def test_a_row_that_is_used_while_expired_ones_are_deleted_stays(app, database, backend):
    if backend == "sqlite":
        pytest.skip("SQLite lets nobody write meanwhile")
    client = browser(app)
    client.get("/set/name/Ada")
    change_rows(database, expires=now() - 1)

    def use(connection, cursor, statement, *rest):
        if statement.startswith("DELETE"):
            change_rows(database, expires=now() + 60_000)

    sa.event.listen(database.engine, "before_cursor_execute", use)
    web_session.delete_expired(database)
    assert client.get("/get").json == {"name": "Ada"}


def test_two_apps_in_one_process_do_not_meet(database, make_database_url):
    second = open_database(make_database_url())
    one, other = make_host(database), make_host(second)
    client = browser(one)
    client.get("/set/name/Ada")
    assert get(other, value_of(client)).json == {}
    second.dispose()
