"""The example app: its accounts, its pages, its migrations, and that it survives a restart."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
from flask import Flask

from example_app import create_app
from tests.example_support import close, running, say, start
from tests.http_support import Client
from tests.live import ROOT, Browser, free_port, reply


@pytest.fixture
def app(tmp_path: Path) -> t.Iterator[Flask]:
    with running(tmp_path) as found:
        yield found


def sign_up(client: Client, username: str, password: str = "correct horse") -> t.Any:
    form = {"username": username, "password": password}
    return client.client.post("/register", data=form)


def page(client: Client) -> str:
    return client.client.get("/").get_data(as_text=True)


def names(client: Client) -> list[str]:
    """The titles of the conversations somebody has."""
    return [one["name"] for one in client("GET", "/sessions").json["data"]]


# A restart, on each database


def test_history_and_memory_survive_a_restart(make_database_url, tmp_path, monkeypatch):
    monkeypatch.setenv("WEB_UI_GATEWAY_DATABASE_URL", make_database_url())
    monkeypatch.setenv("AGENT_DATABASE_URL", make_database_url())
    with running(tmp_path) as first:
        client = Client(first)
        session = client.session(name="Ada")
        say(client, session, "librarian", "My name is Ada.")
        say(client, session, "todo", "add milk, bread")
        assert not list(tmp_path.glob("*gateway.db")) + list(tmp_path.glob("librarian.db"))
    with running(tmp_path) as second:
        client.app, cookie = second, client.client.get_cookie("session")
        assert cookie is not None
        client.client = second.test_client()
        client.client.set_cookie("session", cookie.value)
        assert names(client) == ["Ada"]
        history = [task["userMessage"] for task in client.tasks(session)]
        assert history == ["My name is Ada.", "add milk, bread"]
        assert say(client, session, "librarian", "Who am I? What is my name?").endswith("Ada.")
        assert "2. [x] bread" in say(client, session, "todo", "done bread")


# Accounts


def test_conversations_belong_to_the_account(app):
    ada, bob = Client(app), Client(app)
    ada.session(name="anonymous")
    assert sign_up(ada, "Ada ").status_code == 303
    assert ">ada</a>" in page(ada)
    assert names(ada) == []
    session = ada.session(name="hers")
    sign_up(bob, "bob")
    assert names(bob) == []
    assert bob("GET", f"/sessions/{session}").status_code == 404
    ada.client.post("/sign-out")
    assert names(ada) == ["anonymous"]
    form = {"username": "ADA", "password": "correct horse"}
    assert ada.client.post("/sign-in", data=form).status_code == 303
    assert names(ada) == ["hers"]


def test_one_stays_signed_in_after_a_restart(tmp_path):
    with running(tmp_path) as first:
        client = Client(first)
        sign_up(client, "ada")
        cookie = client.client.get_cookie("session")
        assert cookie is not None and cookie.max_age
    with running(tmp_path) as second:
        client = Client(second)
        client.client.set_cookie("session", cookie.value)
        assert ">ada</a>" in page(client)


@pytest.mark.parametrize(
    ("username", "password", "problem"),
    [
        ("ada", "correct horse", "The name ada is taken."),
        ("a", "correct horse", "A name is 2 to 32"),
        ("Ada Lovelace", "correct horse", "A name is 2 to 32"),
        ("<script>", "correct horse", "A name is 2 to 32"),
        ("bob", "short", "A password has 8 to 200"),
        ("bob", "x" * 201, "A password has 8 to 200"),
    ],
)
def test_registering_says_what_is_wrong(app, username, password, problem):
    sign_up(Client(app), "ada")
    refused = sign_up(Client(app), username, password)
    assert refused.status_code == 422
    assert problem in refused.text
    assert "<script>" not in refused.text


@pytest.mark.parametrize("form", [{}, {"username": "ada", "password": "wrong"}, {"username": "x"}])
def test_signing_in_needs_the_right_password(app, form):
    client = Client(app)
    sign_up(Client(app), "ada")
    refused = client.client.post("/sign-in", data=form)
    assert (refused.status_code, "No account has" in refused.text) == (422, True)
    assert "Sign out" not in page(client)


def test_an_account_has_a_colour(app):
    client = Client(app)
    assert client.client.get("/account").status_code == 302
    sign_up(client, "ada")
    assert client.client.post("/account", data={"colour": "teal"}).status_code == 303
    assert 'data-colour="teal"' in page(client)
    assert client.client.post("/account", data={"colour": "beige"}).status_code == 422


def test_another_site_signs_nobody_in_or_out(app):
    client = Client(app)
    sign_up(client, "ada")
    form = {"username": "ada", "password": "correct horse"}
    for path in ("/sign-out", "/sign-in", "/register", "/account"):
        for origin in ("https://evil.example", "null"):
            refused = client.client.post(path, data=form, headers={"Origin": origin})
            assert refused.status_code == 403
    assert "Sign out" in page(client)
    assert (
        client.client.post("/sign-out", headers={"Origin": "http://localhost"}).status_code == 303
    )


def test_the_cookie_of_another_app_on_this_machine_does_no_harm(app):
    client = Client(app)
    client.client.set_cookie("remember_token", "1|0123")
    assert client.client.get("/").status_code == 200


def test_without_its_tables_the_app_says_how_to_make_them(tmp_path):
    app = create_app(instance_path=str(tmp_path))
    client = Client(app)
    refused = sign_up(client, "ada")
    assert refused.status_code == 503
    assert "flask --app example_app db upgrade" in refused.text
    assert client.client.get("/").status_code == 200
    assert say(client, client.session(), "librarian", "Hello") != ""
    close(app)


# The page


@pytest.mark.parametrize("path", ["/", "/sign-in", "/register", "/account"])
def test_pages_work_under_a_strict_content_security_policy(app, path):
    client = Client(app)
    if path == "/account":
        sign_up(client, "ada")
    shown = client.client.get(path)
    policy = shown.headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy and "unsafe" not in policy
    assert (
        re.findall(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=|javascript:", shown.text) == []
    )
    for asset in re.findall(r'(?:src|href)="(/static/[^"]+)"', shown.text):
        with client.client.get(asset) as served:
            assert served.status_code == 200


# Its migrations


def flask(folder: Path, *command: str) -> str:
    """What a ``flask`` command prints."""
    factory = f"example_app:create_app(instance_path={str(folder)!r})"
    done = subprocess.run(
        [sys.executable, "-m", "flask", "--app", factory, *command],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_one_command_migrates_the_app_and_the_extension(tmp_path):
    flask(tmp_path, "db", "upgrade")
    made = {path.name for path in tmp_path.glob("*.db")}
    assert made == {"commonplace.db", "webui-gateway.db", "librarian.db", "todo.db"}
    assert "No new upgrade operations detected" in flask(tmp_path, "db", "check")
    assert "0001 (head)" in flask(tmp_path, "db", "current")
    with running(tmp_path) as app:
        client = Client(app)
        assert sign_up(client, "ada").status_code == 303


# The process


def test_a_process_that_is_killed_remembers(tmp_path):
    browser = Browser()
    server = start(tmp_path, free_port())
    try:
        assert f"{server.url}/" in server.log.read_text()
        session = browser.session(server)
        browser.say(server, session, "My name is Ada.", "librarian")
        browser.say(server, session, "add milk", "todo")
        server.kill()
        server = start(tmp_path, free_port())
        tasks = browser(server, "GET", f"/sessions/{session}/chat-tasks").json["tasks"]
        assert [task["userMessage"] for task in tasks] == ["My name is Ada.", "add milk"]
        said = reply(browser.say(server, session, "What is my name?", "librarian"))
        assert said == "You said: My name is Ada."
        assert "1. [x] milk" in reply(browser.say(server, session, "done 1", "todo"))
    finally:
        server.kill()


def test_a_port_that_is_taken_is_left_alone(tmp_path):
    first = start(tmp_path, free_port())
    try:
        command = [sys.executable, "-m", "example_app", "--instance", str(tmp_path / "two")]
        environment = {**os.environ, "PORT": str(first.port)}
        second = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
        )
        assert second.stdout is not None
        printed = ""
        while "Ctrl+C" not in printed:
            line = second.stdout.readline()
            assert line, printed
            printed += line
        second.send_signal(signal.SIGTERM)
        printed += second.communicate(timeout=60)[0]
        assert second.returncode == 0
        assert f"Port {first.port} is taken" in printed
        assert "Stopping" in printed
        shown = re.search(r"http://127\.0\.0\.1:(\d+)/", printed)
        assert shown is not None and int(shown[1]) > first.port
    finally:
        first.kill()
