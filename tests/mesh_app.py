"""A host app with agents of every kind, for the tests of the runtime.

It is imported by processes of their own too, so it takes everything it needs as arguments.
"""

from __future__ import annotations

import threading
import time
import typing as t
from pathlib import Path

from flask import Flask

from flask_mesh_sessions import MeshSessions, Turn
from flask_mesh_sessions.runtime.state import MeshState
from flask_mesh_sessions.runtime.timing import Timing

KEY = "a key that is only for tests, and long enough"

#: Agents wait for these before they go on.
gates: dict[str, threading.Event] = {}


def gate(name: str) -> threading.Event:
    """The event an agent waits for."""
    return gates.setdefault(name, threading.Event())


class FastMesh(MeshSessions):
    """As in production, but nothing waits for long."""

    timing = Timing(watch=0.05, flush=0.05, tail=0.05, delegate=0.5, keep_alive=0.2, drain=0.2)


def register(mesh: MeshSessions) -> None:
    """Register agents that do what an agent may do."""

    @mesh.agent("echo")
    def echo(turn: Turn) -> str:
        return f"You said: {turn.text}"

    @mesh.agent("counter")
    def counter(turn: Turn) -> str:
        """Remembers in its state and in its messages, and calls a tool."""
        turn.state["turns"] = turn.state.get("turns", 0) + 1
        call = turn.call_tool("count", {"of": turn.text})
        turn.tool_result(call, str(turn.state["turns"]))
        said = [m["content"] for m in turn.messages if m["role"] == "user"]
        return f"{turn.state['turns']}: {' | '.join(said)}"

    @mesh.agent("words")
    def words(turn: Turn) -> t.Iterator[str]:
        for word in turn.text.split(" "):
            time.sleep(0.02)
            yield word + " "

    @mesh.agent("slow")
    def slow(turn: Turn) -> t.Iterator[str]:
        """Streams the numbers up to what it is told, a tenth of a second each."""
        for number in range(int(turn.text)):
            yield f"{number} "
            time.sleep(0.1)

    @mesh.agent("coroutine")
    async def coroutine(turn: Turn) -> str:
        return f"awaited {turn.text}"

    @mesh.agent("async-words")
    async def async_words(turn: Turn) -> t.AsyncIterator[str]:
        for word in turn.text.split(" "):
            yield word

    @mesh.agent("gated")
    def gated(turn: Turn) -> t.Iterator[str]:
        """Says the first word, waits for the gate its text names, says the rest."""
        name, _, rest = turn.text.partition(" ")
        yield f"{name} "
        gate(name).wait(20)
        yield rest

    @mesh.agent("stubborn")
    def stubborn(turn: Turn) -> str:
        """Never looks whether it is cancelled."""
        gate(turn.text).wait(20)
        return "too late"

    @mesh.agent("failing")
    def failing(turn: Turn) -> t.Iterator[str]:
        turn.state["touched"] = True
        yield "so far "
        raise ValueError("the key is sk-secret")

    @mesh.agent("wrong")
    def wrong(turn: Turn) -> int:
        return 42

    @mesh.agent("asker")
    def asker(turn: Turn) -> str:
        """``<agent> <text>``: asks that agent."""
        name, _, rest = turn.text.partition(" ")
        return f"{name} says: {turn.ask(name, rest)}"

    @mesh.agent("run-based")
    def run_based(turn: Turn) -> str:
        return f"{len(turn.messages)} messages"

    @mesh.agent("dirty")
    def dirty(turn: Turn) -> str:
        call = turn.call_tool("tool", {"x": "a\x00\ud800"})
        turn.tool_result(call, "b\x00\ud800")
        return "c\x00\ud800"


AGENTS = (
    "echo",
    "counter",
    "words",
    "slow",
    "coroutine",
    "async-words",
    "gated",
    "stubborn",
    "failing",
    "wrong",
    "asker",
    "run-based",
    "dirty",
)


def settings(gateway_url: str | None, agent_url: str | None, **more: t.Any) -> dict[str, t.Any]:
    """Settings in which every agent shares one database, or has none."""

    def service(url: str | None, **options: str) -> dict[str, str]:
        return {"type": "sql", "database_url": url, **options} if url else {"type": "memory"}

    agents = [
        {
            "name": name,
            "session_service": service(
                agent_url, **({"default_behavior": "RUN_BASED"} if name == "run-based" else {})
            ),
        }
        for name in AGENTS
    ]
    return {"session_service": service(gateway_url), "agents": agents, **more}


def make_app(
    folder: Path | str,
    gateway_url: str | None,
    agent_url: str | None,
    mesh: MeshSessions | None = None,
    **more: t.Any,
) -> Flask:
    """An app with :data:`AGENTS`. Two apps in one process are two processes to each other."""
    app = Flask("mesh_app", instance_path=str(folder))
    app.config.update(SECRET_KEY=KEY, MESH_SESSIONS=settings(gateway_url, agent_url, **more))
    mesh = mesh or FastMesh()
    register(mesh)
    mesh.init_app(app)
    app.extensions["mesh_for_tests"] = mesh
    return app


def state_of(app: Flask) -> MeshState:
    """The extension's state in an app."""
    state: MeshState = app.extensions["mesh_sessions"]
    return state


def mesh_of(app: Flask) -> MeshSessions:
    """The extension of an app."""
    mesh: MeshSessions = app.extensions["mesh_for_tests"]
    return mesh
