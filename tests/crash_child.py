"""A process that does one thing with the runtime and may be killed at any point of it.

Started by :mod:`tests.test_faults` with the fault point in its environment. It prints what
has been acknowledged to it, a line each, as a client would remember it.
"""

from __future__ import annotations

import sys
import time
import typing as t

from flask import Flask

from flask_mesh_sessions import MeshSessions, Turn
from flask_mesh_sessions.runtime.timing import Timing
from tests import mesh_app

USER = "ada"


class CrashMesh(MeshSessions):
    """Streams are stored at once, so that there is something to lose."""

    timing = Timing(lease=3.0, renew=0.5, watch=0.05, flush=0.05, tail=0.05, drain=0.1)


def register(mesh: MeshSessions) -> None:
    @mesh.agent("worker")
    def worker(turn: Turn) -> t.Iterator[str]:
        """Uses everything a crash can come between."""
        turn.state["turns"] = turn.state.get("turns", 0) + 1
        call = turn.call_tool("look", {"at": turn.text})
        turn.tool_result(call, "seen")
        yield "first "
        time.sleep(0.2)
        if turn.text == "wait":
            while not turn.cancelled:
                time.sleep(0.01)
        if turn.text == "deaf":
            time.sleep(3)
            turn.tool_result(call, "seen again")
        if turn.text.startswith("ask"):
            yield turn.ask("helper", "help") + " "
        yield f"answer to {turn.text}"

    @mesh.agent("helper")
    def helper(turn: Turn) -> str:
        return f"helped {len(turn.messages)}"

    @mesh.agent("forgetful")
    def forgetful(turn: Turn) -> t.Iterator[str]:
        yield "first "
        time.sleep(0.2)
        yield f"answer to {turn.text}"


def make_app(folder: str, gateway_url: str, agent_url: str) -> Flask:
    """An app with the agents above."""
    sql = {"type": "sql", "database_url": agent_url}
    app = Flask("crash_child", instance_path=folder)
    app.config.update(
        SECRET_KEY=mesh_app.KEY,
        MESH_SESSIONS={
            "url_prefix": False,
            "session_service": {"type": "sql", "database_url": gateway_url},
            "agents": [
                {"name": "worker", "session_service": sql},
                {"name": "helper", "session_service": sql},
                {
                    "name": "forgetful",
                    "session_service": {**sql, "default_behavior": "RUN_BASED"},
                },
            ],
        },
    )
    mesh = CrashMesh()
    register(mesh)
    mesh.init_app(app)
    app.extensions["mesh_for_tests"] = mesh
    return app


def say(*words: str) -> None:
    """Acknowledge."""
    print(*words, flush=True)


def main(folder: str, gateway_url: str, agent_url: str, action: str, session: str) -> None:
    """Do one thing.

    :param action: ``<agent>:<text>`` to send, ``cancel:<text>`` to send and cancel,
        ``retry:<task>``, ``settle`` to look at the history.
    """
    app = make_app(folder, gateway_url, agent_url)
    runtime = mesh_app.state_of(app).runtime
    verb, _, rest = action.partition(":")
    if verb == "settle":
        with app.app_context():
            for task in mesh_app.mesh_of(app).gateway.tasks(USER, session):
                say("read", task.task_id, task.status)
        return
    if verb == "retry":
        task_id = runtime.retry(USER, session, rest)
    else:
        task_id = runtime.send(USER, session, rest, "worker" if verb == "cancel" else verb)
    say("accepted", task_id)
    if verb == "cancel":
        time.sleep(0.3)
        runtime.cancel(USER, session, task_id)
    say("ended", task_id, runtime.wait(USER, session, task_id).status)
    # The answer is there before the run's memory has been removed.
    time.sleep(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
