"""The fixture for host apps, used as a host app would."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from flask import Flask

from flask_mesh_sessions.testing import Chat
from flask_mesh_sessions.testing import mesh_chat as mesh_chat
from tests.mesh_app import make_app


@pytest.fixture(params=["memory", "sqlite"])
def app(request: pytest.FixtureRequest, tmp_path: Path) -> Flask:
    if request.param == "memory":
        return make_app(tmp_path, None, None)
    return make_app(tmp_path, "sqlite:///gateway.db", "sqlite:///agents.db")


def test_a_conversation(app: Flask, mesh_chat: t.Callable[..., Chat]) -> None:
    chat = mesh_chat(app, agent="counter")
    assert chat.say("one") == "1: one"
    assert chat.say("two") == "2: one | two"
    assert mesh_chat(app, user_id="other").say("hi") == "You said: hi"


def test_a_turn_that_fails_says_why(app: Flask, mesh_chat: t.Callable[..., Chat]) -> None:
    chat = mesh_chat(app, agent="failing")
    assert chat.send("x").status == "failed"
    with pytest.raises(AssertionError, match="The turn failed.*Error id"):
        chat.say("x")
