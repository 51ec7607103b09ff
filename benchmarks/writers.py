"""Measuring many writers at once: turns from the message to the answer in the history."""

from __future__ import annotations

import contextlib
import typing as t
import uuid
from concurrent.futures import ThreadPoolExecutor

from flask import Flask

from flask_mesh_sessions import MeshSessions
from flask_mesh_sessions.errors import MeshError

from .handwritten import HandHistory, HandMemory
from .measure import Measured, Sizes, Work, compare
from .soundness import Sent, turns
from .world import AGENT, ANSWER, QUESTION, USER, World

#: How the agent's memory is written by hand.
Append = t.Callable[[HandMemory, str, str, str, str], None]

#: A third of the throughput is three times the time.
TARGET = 3.0


def measure(world: World, sizes: Sizes) -> t.Iterator[Measured]:
    """The rows of many writers at once."""
    with _app(world) as app, ThreadPoolExecutor(sizes.writers) as pool:
        for sessions in (sizes.writers, 1):
            writers = _Writers(world, sizes, app, pool, sessions)
            for how, by_hand, target in writers.ways():
                comparison = compare(writers.ours, by_hand, sizes.writer_rounds, 1)
                comparison = comparison.per(sizes.writers * sizes.turns)
                found = turns(world, writers.sent)
                operation = f"a turn of {sizes.writers} writers on {how}"
                yield Measured(world.name, operation, comparison, target, found)


@contextlib.contextmanager
def _app(world: World) -> t.Iterator[Flask]:
    app = Flask("benchmarks", instance_path=str(world.folder))
    app.secret_key = uuid.uuid4().hex
    mesh = MeshSessions()

    @mesh.agent(AGENT)
    def answer(turn: object) -> str:
        return ANSWER

    services = [
        {"type": "sql", "database_url": database.url.render_as_string(hide_password=False)}
        for database in (world.gateway, world.agent)
    ]
    settings = {
        "session_service": services[0],
        "agents": [{"name": AGENT, "session_service": services[1]}],
        "url_prefix": False,
        "web_session": "off",
    }
    mesh.init_app(app, settings)
    app.extensions["benchmarks"] = mesh
    try:
        yield app
    finally:
        app.extensions["mesh_sessions"].close()


class _Writers:
    """Threads that send turns to some sessions, with the extension and by hand."""

    def __init__(
        self, world: World, sizes: Sizes, app: Flask, pool: ThreadPoolExecutor, sessions: int
    ) -> None:
        self._sizes = sizes
        self._app = app
        self._mesh: MeshSessions = app.extensions["benchmarks"]
        self._pool = pool
        with app.app_context():
            self._ours = [self._mesh.gateway.create(USER).id for _ in range(sessions)]
            self._by_hand = [self._mesh.gateway.create(USER).id for _ in range(sessions)]
        self._hands = [
            (HandHistory(world.hand(world.gateway)), HandMemory(world.hand(world.agent)))
            for _ in range(sizes.writers)
        ]
        #: Every turn that was sent through the extension.
        self.sent: list[Sent] = []
        for number in range(sessions):  # so that the agent knows the sessions already
            self._send(number, 1)
            self._write(number, 1, HandMemory.turn_at_once)

    def ways(self) -> t.Iterator[tuple[str, Work, float | None]]:
        """The ways to do it by hand, and the target."""
        if len(self._ours) == 1:
            # In two transactions each, the turns of one session would be torn apart.
            yield "one session; by hand at once", self.at_once, None
            return
        yield f"{len(self._ours)} sessions", self.by_hand, TARGET
        yield f"{len(self._ours)} sessions; by hand at once", self.at_once, None

    def ours(self) -> None:
        """One round of all writers through the extension."""
        self._all(lambda number: self._send(number, self._sizes.turns))

    def by_hand(self) -> None:
        """One round of all writers by hand, in the same transactions."""
        self._all(lambda number: self._write(number, self._sizes.turns, HandMemory.turn))

    def at_once(self) -> None:
        """One round of all writers by hand, who let the agent remember a turn when it is over."""
        self._all(lambda number: self._write(number, self._sizes.turns, HandMemory.turn_at_once))

    def _all(self, writer: t.Callable[[int], None]) -> None:
        for done in [self._pool.submit(writer, n) for n in range(self._sizes.writers)]:
            done.result()

    def _send(self, number: int, turns: int) -> None:
        session_id = self._ours[number % len(self._ours)]
        with self._app.app_context():
            for _ in range(turns):
                task_id = uuid.uuid4().hex
                self.sent.append(Sent(session_id, task_id, self._status(session_id, task_id)))

    def _status(self, session_id: str, task_id: str) -> str:
        text = f"{task_id} {QUESTION}"
        try:
            return self._mesh.send(session_id, text, user_id=USER, task_id=task_id).status
        except MeshError as error:
            return type(error).__name__

    def _write(self, number: int, turns: int, append: Append) -> None:
        session_id = self._by_hand[number % len(self._by_hand)]
        history, memory = self._hands[number]
        for _ in range(turns):
            task_id = uuid.uuid4().hex
            text = f"{task_id} {QUESTION}"
            history.accept(session_id, task_id, text)
            append(memory, session_id, task_id, text, ANSWER)
            history.finish(task_id, text, ANSWER)
