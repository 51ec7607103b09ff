"""``MeshSessions(app)``: one line, in any app, any number of times."""

from __future__ import annotations

import gc
import logging
import os
import subprocess
import sys
import typing as t
import weakref
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask, session
from flask_sqlalchemy import SQLAlchemy

from flask_mesh_sessions import MeshSessions
from flask_mesh_sessions.errors import ConfigError, MigrationError, Unauthorized
from tests.mesh_app import KEY, make_app, mesh_of, state_of


def new_app(folder: Path, **config: t.Any) -> Flask:
    app = Flask("host", instance_path=str(folder))
    app.config.update(SECRET_KEY=KEY, **config)
    return app


@pytest.fixture
def opened() -> t.Iterator[list[Flask]]:
    """Apps that are closed at the end."""
    apps: list[Flask] = []
    yield apps
    for app in apps:
        state_of(app).close()


def test_one_line_is_enough(tmp_path: Path, opened: list[Flask]) -> None:
    app = new_app(tmp_path)
    mesh = MeshSessions(app)
    opened.append(app)

    @mesh.agent("late")
    def late(turn: t.Any) -> str:
        return "here"

    assert state_of(app).agent_names == ["late"]
    answer = app.test_client().get("/api/v1/config")
    assert answer.json is not None and answer.json["scenarios"] == {"late": "B"}


def test_twice_in_one_app_is_an_error(tmp_path: Path, opened: list[Flask]) -> None:
    app = new_app(tmp_path)
    MeshSessions(app)
    opened.append(app)
    with pytest.raises(RuntimeError, match="initialised for this app already"):
        MeshSessions(app)


def test_one_extension_serves_many_apps(
    tmp_path: Path, sqlite_url: str, opened: list[Flask]
) -> None:
    mesh = MeshSessions()

    @mesh.agent("echo")
    def echo(turn: t.Any) -> str:
        return str(turn.text)

    for name in ("one", "two"):
        app = new_app(tmp_path / name)
        service = {"type": "sql", "database_url": f"sqlite:///{name}.db"}
        mesh.init_app(app, {"session_service": service})
        opened.append(app)
    with opened[0].app_context():
        there = mesh.gateway.create("ada").id
        assert mesh.send(there, "hi", user_id="ada").status == "completed"
    with opened[1].app_context():
        assert mesh.gateway.list("ada").count == 0


def test_the_extension_does_not_keep_an_app_alive(tmp_path: Path) -> None:
    mesh = MeshSessions()
    app = new_app(tmp_path)
    mesh.init_app(app)
    state_of(app).close()
    seen = weakref.ref(app)
    del app
    gc.collect()
    assert seen() is None


def test_a_wrong_setting_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"turns\.max_waiting"):
        MeshSessions(new_app(tmp_path), {"turns": {"max_waiting": "many"}})


def test_settings_come_from_the_argument_then_the_app(tmp_path: Path, opened: list[Flask]) -> None:
    for config in (None, {"ui": "/argument"}):
        app = new_app(tmp_path, MESH_SESSIONS={"ui": "/app"})
        MeshSessions(app, config)
        opened.append(app)
    assert [state_of(app).config.ui for app in opened] == ["/app", "/argument"]


def test_without_a_key_it_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opened: list[Flask]
) -> None:
    monkeypatch.delenv("SESSION_SECRET_KEY", raising=False)
    with pytest.raises(ConfigError, match="SESSION_SECRET_KEY"):
        MeshSessions(Flask("host", instance_path=str(tmp_path)))
    monkeypatch.setenv("SESSION_SECRET_KEY", KEY)
    app = Flask("host", instance_path=str(tmp_path))
    MeshSessions(app)
    opened.append(app)
    assert app.secret_key == KEY, "for what else in the host signs"


def test_a_weak_key_is_warned_about_and_not_shown(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, opened: list[Flask]
) -> None:
    app = new_app(tmp_path)
    app.secret_key = "hunter2"
    MeshSessions(app)
    opened.append(app)
    warned = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert warned and "hunter2" not in caplog.text


@pytest.mark.parametrize("order", ["before", "after"])
def test_a_host_finds_our_engines_in_its_own(
    tmp_path: Path, order: str, opened: list[Flask]
) -> None:
    app = new_app(tmp_path, SQLALCHEMY_DATABASE_URI="sqlite:///host.db")
    db = SQLAlchemy()
    if order == "before":
        db.init_app(app)
    mesh = MeshSessions()
    mesh.init_app(app, {"session_service": {"type": "sql", "database_url": "sqlite:///g.db"}})
    if order == "after":
        db.init_app(app)
    opened.append(app)
    app.test_client().get("/api/v1/health")
    with app.app_context():
        assert db.engines["mesh_gateway"] is state_of(app).databases.get(_gateway(app)).engine
        assert not app.config.get("SQLALCHEMY_BINDS")
        db.create_all()
        assert sa.inspect(db.engine).get_table_names() == []
        db.engine.dispose()


def _gateway(app: Flask) -> str:
    return t.cast(str, state_of(app).config.session_service.database_url)


def test_the_hosts_transaction_is_its_own(tmp_path: Path, opened: list[Flask]) -> None:
    """A view that adds a row and does not commit has not stored it."""
    app = new_app(tmp_path, SQLALCHEMY_DATABASE_URI="sqlite:///one.db")
    db = SQLAlchemy(app)

    class Thing(db.Model):  # type: ignore[name-defined,misc]
        id = db.Column(db.Integer, primary_key=True)

    with app.app_context():
        db.create_all()
    MeshSessions(app, {"session_service": {"type": "sql", "database_url": "sqlite:///one.db"}})
    opened.append(app)

    @app.get("/")
    def view() -> str:
        session["seen"] = True
        db.session.add(Thing())
        return "ok"

    assert app.test_client().get("/").status_code == 200
    with app.app_context():
        assert db.session.execute(sa.select(sa.func.count(Thing.id))).scalar() == 0
        db.engine.dispose()


def test_a_table_that_is_not_ours_stops_the_start(tmp_path: Path) -> None:
    app = new_app(tmp_path, SQLALCHEMY_DATABASE_URI="sqlite:///one.db")
    db = SQLAlchemy(app)

    class Theirs(db.Model):  # type: ignore[name-defined,misc]
        __tablename__ = "sessions"
        id = db.Column(db.Integer, primary_key=True)

    with app.app_context():
        db.create_all()
        db.engine.dispose()
    service = {"type": "sql", "database_url": "sqlite:///one.db"}
    with pytest.raises(MigrationError, match="sessions"):
        MeshSessions(app, {"session_service": service})


def test_a_database_that_is_away_does_not_stop_the_host(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, opened: list[Flask]
) -> None:
    app = new_app(tmp_path)
    url = "postgresql://ada:s3cret@127.0.0.1:1/gone"
    MeshSessions(app, {"session_service": {"type": "sql", "database_url": url}})
    opened.append(app)

    @app.get("/")
    def view() -> str:
        return "the host lives"

    client = app.test_client()
    assert client.get("/").text == "the host lives"
    assert client.get("/api/v1/health").status_code == 200
    assert client.get("/api/v1/ready").status_code == 503
    refused = client.get("/api/v1/sessions")
    assert refused.status_code == 503 and "Retry-After" in refused.headers
    assert "s3cret" not in caplog.text + refused.text


@pytest.mark.parametrize("auto", [True, False])
def test_without_auto_migrate_the_app_waits_for_the_command(
    tmp_path: Path, auto: bool, opened: list[Flask], caplog: pytest.LogCaptureFixture
) -> None:
    app = new_app(tmp_path)
    mesh = MeshSessions()
    service = {"type": "sql", "database_url": "sqlite:///g.db"}
    mesh.init_app(app, {"session_service": service, "auto_migrate": auto})
    opened.append(app)
    client = app.test_client()
    assert client.get("/api/v1/sessions").status_code == (200 if auto else 503)
    if auto:
        return
    assert "flask mesh upgrade" in caplog.text
    with app.app_context():
        mesh.upgrade()
    state_of(app).readiness._checked = float("-inf")
    assert client.get("/api/v1/sessions").status_code == 200


def test_our_agents_are_a_mapping(tmp_path: Path, opened: list[Flask]) -> None:
    app = make_app(tmp_path, None, None)
    opened.append(app)
    with app.app_context():
        agents = mesh_of(app).agents
        assert "echo" in agents and len(agents) == len(list(agents))
        assert agents["echo"].agent == "echo"
        with pytest.raises(KeyError):
            agents["nobody"]


def test_a_message_needs_somebody_who_sends_it(tmp_path: Path, opened: list[Flask]) -> None:
    app = make_app(tmp_path, None, None)
    opened.append(app)
    with app.app_context(), pytest.raises(Unauthorized, match="user_id"):
        mesh_of(app).send("web-session-0", "hi")
    with app.test_request_context(), pytest.raises(Unauthorized):
        mesh_of(app).send("web-session-0", "hi")


def test_under_a_flask_command_nothing_is_migrated(tmp_path: Path) -> None:
    (tmp_path / "host.py").write_text(
        "from flask import Flask\n"
        "from flask_mesh_sessions import MeshSessions\n"
        f"app = Flask('host', instance_path={str(tmp_path)!r})\n"
        f"app.secret_key = {KEY!r}\n"
        "url = 'sqlite:///g.db'\n"
        "MeshSessions(app, {'session_service': {'type': 'sql', 'database_url': url}})\n"
    )

    def flask(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "flask", "--app", str(tmp_path / "host.py"), *words]
        return subprocess.run(command, capture_output=True, text=True, env=dict(os.environ))

    assert flask("routes").returncode == 0
    assert not (tmp_path / "g.db").exists()
    assert flask("mesh", "upgrade").returncode == 0
    assert (tmp_path / "g.db").exists()
