"""The example app, as the tests use it."""

from __future__ import annotations

import contextlib
import sys
import typing as t
from pathlib import Path

from flask import Flask
from flask_migrate import upgrade

from example_app import create_app
from example_app.models import db
from tests.http_support import Client
from tests.live import Server, reply
from tests.mesh_app import state_of


@contextlib.contextmanager
def running(folder: Path, **config: t.Any) -> t.Iterator[Flask]:
    """The app, as another process would have made it."""
    app = create_app({"WORD_DELAY": 0, **config}, instance_path=str(folder))
    with app.app_context():
        upgrade()
    yield app
    close(app)


def close(app: Flask) -> None:
    """Let go of what an app holds."""
    state_of(app).close()
    with app.app_context():
        db.engine.dispose()


def start(folder: Path, port: int, **environment: str) -> Server:
    """``python -m example_app``, with a key of its own making."""
    command = [sys.executable, "-m", "example_app", "--instance", str(folder)]
    environment = {"SESSION_SECRET_KEY": "", "EXAMPLE_WORD_DELAY": "0", **environment}
    return Server(folder, port, [*command, "--port", str(port)], **environment)


def say(client: Client, session: str, agent: str, *texts: str) -> str:
    """Say these one after another; the last answer."""
    task: dict[str, t.Any] = {}
    for text in texts:
        task = client.say(session, text, agent=agent)
        assert task["status"] == "completed", task
    return reply(task)
