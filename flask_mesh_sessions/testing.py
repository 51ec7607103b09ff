"""A pytest fixture for the tests of host apps.

Import it in ``conftest.py``::

    from flask_mesh_sessions.testing import mesh_chat

and talk to the agents of any app, without HTTP and without waiting::

    def test_it_remembers(app, mesh_chat):
        chat = mesh_chat(app)
        chat.say("My name is Ada.")
        assert "Ada" in chat.say("What is my name?")

The app may be configured in any way: with :class:`MeshSessions` in memory mode, or on
SQLite files in ``tmp_path``.
"""

from __future__ import annotations

import contextlib
import typing as t

import pytest
from flask import Flask

from .gateway.records import ChatTask
from .ids import new_session_id
from .runtime.bubbles import reply_in
from .runtime.state import MeshState


class Chat:
    """One conversation of one user.

    :param app: an app with the extension.
    :param user_id: who is talking.
    :param agent: who answers; by default the first agent.
    """

    def __init__(self, app: Flask, user_id: str = "tester", agent: str | None = None) -> None:
        self.app = app
        self.user_id = user_id
        self.agent = agent
        self._state: MeshState = app.extensions["mesh_sessions"]
        gateway = self._state.gateway
        #: The conversation's id.
        self.session_id = gateway.create(user_id).id if gateway else new_session_id()

    def send(self, text: str, agent: str | None = None) -> ChatTask:
        """Say something, and wait for the finished task, whatever became of it.

        :raises flask_mesh_sessions.errors.MeshError: if the message is not accepted.
        """
        runtime, asked = self._state.runtime, agent or self.agent
        task_id = runtime.send(self.user_id, self.session_id, text, asked)
        return runtime.wait(self.user_id, self.session_id, task_id)

    def say(self, text: str, agent: str | None = None) -> str:
        """Say something, and get the agent's answer.

        :raises AssertionError: if there is none, saying why.
        """
        task = self.send(text, agent)
        why = task.error.message if task.error else ""
        assert task.status == "completed", f"The turn {task.status}. {why}"
        return reply_in(task.message_bubbles)


@pytest.fixture
def mesh_chat() -> t.Iterator[t.Callable[..., Chat]]:
    """Makes conversations: ``mesh_chat(app, user_id="tester", agent=None)``.

    At the end of the test the running turns are waited for, and threads and connections of
    the apps that were used are let go of.
    """
    with contextlib.ExitStack() as stack:

        def chat(app: Flask, user_id: str = "tester", agent: str | None = None) -> Chat:
            stack.callback(app.extensions["mesh_sessions"].close)
            return Chat(app, user_id, agent)

        yield chat
