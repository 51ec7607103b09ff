"""A web session that gets a new id, and what becomes of the old one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import flask
import pytest

from flask_mesh_sessions import web_session
from flask_mesh_sessions.clock import now

from .web_session_host import (
    Meeting,
    browser,
    calls,
    change_rows,
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


def rotate():
    web_session.rotate(flask.session)


def test_a_rotated_id_leads_to_the_new_one_for_a_minute(app, database):
    calls(app, rotate=rotate)
    client = browser(app)
    client.get("/set/name/Ada")
    old = value_of(client)
    client.get("/call/rotate")
    new = payload_of(client)
    assert new != payload_of(browser(app, old))
    late = browser(app, old)
    assert late.get("/set/more/1").json == {"name": "Ada", "more": "1"}
    assert payload_of(late) == new
    assert client.get("/get").json == {"name": "Ada", "more": "1"}
    [row] = [row for row in rows(database) if row.ended]
    assert 50_000 < row.forward_until - now() <= 60_000
    change_rows(database, forward_until=now() - 1)
    response = get(app, old)
    assert response.json == {} and "Set-Cookie" not in response.headers
    assert client.get("/get").json == {"name": "Ada", "more": "1"}


def test_a_request_that_began_before_the_rotation_writes_into_the_new_row(app):
    calls(app, rotate=rotate)
    client = browser(app)
    client.get("/set/name/Ada")
    old, meeting = value_of(client), Meeting()

    def write():
        assert flask.session["name"] == "Ada"
        meeting()
        flask.session["more"] = "1"

    calls(app, write=write)
    late = browser(app, old)
    meeting.during(lambda: late.get("/call/write"), lambda: client.get("/call/rotate"))
    assert client.get("/get").json == {"name": "Ada", "more": "1"}
    assert payload_of(late) == payload_of(client)


def test_rotations_at_the_same_time_end_in_one_row(app, database):
    calls(app, rotate=rotate)
    client = browser(app)
    client.get("/set/name/Ada")
    value = value_of(client)
    clients = [browser(app, value) for _ in range(6)]
    together(6, lambda n: clients[n].get("/call/rotate"))
    assert [c.get("/get").json for c in clients] == [{"name": "Ada"}] * 6
    assert len(living(database)) == 1


ROTATE = """
import sys
import flask
from tests.web_session_host import browser, calls, make_host, open_database, value_of
from flask_mesh_sessions import web_session
app = make_host(open_database(sys.argv[1]))
calls(app, rotate=lambda: web_session.rotate(flask.session))
client = browser(app, sys.argv[2])
client.get("/call/rotate")
print(value_of(client))
"""


def test_another_process_follows_a_rotation(app, database, database_url):
    client = browser(app)
    client.get("/set/name/Ada")
    old = value_of(client)
    command = [sys.executable, "-c", ROTATE, database_url, old]
    root = Path(__file__).parents[1]
    run = subprocess.run(command, cwd=root, capture_output=True, text=True, env=dict(os.environ))
    assert run.returncode == 0, run.stderr
    new = run.stdout.strip()
    assert client.get("/get").json == {"name": "Ada"}
    assert payload_of(client) == payload_of(browser(app, new)) != payload_of(browser(app, old))


def test_a_rotation_that_does_not_forward_leaves_the_old_id_dead(app):
    calls(app, rotate=lambda: web_session.rotate(flask.session, forward=False))
    client = browser(app)
    client.get("/set/name/Ada")
    old = value_of(client)
    client.get("/call/rotate")
    assert client.get("/get").json == {"name": "Ada"}
    assert get(app, old).json == {}


def test_nothing_is_rotated_where_there_is_nothing(app, database):
    calls(app, rotate=rotate)
    assert "Set-Cookie" not in browser(app).get("/call/rotate").headers
    assert rows(database) == []
