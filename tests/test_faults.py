"""Kill -9 between any two commits of a turn: what then stands, and goes on.

The table below names every fault point; each lies between two commits. Whatever was
acknowledged is there afterwards, once; history and memory agree; the conversation goes on.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import typing as t
from pathlib import Path

import pytest
import sqlalchemy as sa

from flask_mesh_sessions import ChatTask
from flask_mesh_sessions.agents.log import Event
from flask_mesh_sessions.agents.messages import to_messages
from flask_mesh_sessions.faults import VARIABLE
from tests import databases
from tests.crash_child import USER, make_app
from tests.mesh_app import mesh_of, state_of

#: What is done, the point at which it is killed, and how the task may stand afterwards.
POINTS = [
    # accept | lease and begin
    ("worker:hi", "accepted", "interrupted"),
    # lease and begin | the gateway says it runs
    ("worker:hi", "begun", "interrupted"),
    # the gateway says it runs | the first tool call
    ("worker:hi", "running", "interrupted"),
    # a tool call | its result
    ("worker:hi", "appended", "interrupted"),
    # its result | the first streamed piece
    ("worker:hi", "appended:2", "interrupted"),
    # a streamed piece | the end of the turn in the log
    ("worker:hi", "flushed", "interrupted"),
    # the end of the turn in the log | the end in the gateway
    ("worker:hi", "closed", "completed"),
    # the end in the gateway | nothing, and the answer on its way
    ("worker:hi", "finished", "completed"),
    # a run's memory goes only after the end in the gateway
    ("forgetful:hi", "begun", "interrupted"),
    ("forgetful:hi", "flushed", "interrupted"),
    ("forgetful:hi", "closed", "completed"),
    ("forgetful:hi", "finished", "completed"),
    # the other agent's turn has begun | it ends
    ("worker:ask", "asked", "interrupted"),
    # the other agent's turn has ended | this one's
    ("worker:ask", "told", "interrupted"),
    # a cancelled task has ended in the gateway | in the log
    ("cancel:wait", "cut-short", "cancelled"),
    ("cancel:wait", "closed", "cancelled"),
    # the superseded turn has been withdrawn and the new one begun | the new one runs
    ("retry", "begun", "interrupted"),
    ("retry", "closed", "completed"),
]

#: Points at which a process is killed that settles what another left behind.
SETTLE_POINTS = [
    (first, second)
    for first in ("begun", "flushed", "closed")
    for second in ("settle-leased", "settle-closed", "settle-finished")
]


class Site:
    """Two databases, and processes that work on them."""

    def __init__(self, folder: Path, gateway_url: str, agent_url: str) -> None:
        self.folder = folder
        self.urls = (gateway_url, agent_url)
        self.app = make_app(str(folder), *self.urls)

    def new_session(self) -> str:
        with self.app.app_context():
            return mesh_of(self.app).gateway.create(USER).id

    def child(self, action: str, session: str, fault: str | None) -> list[list[str]]:
        """Run a process; with ``fault`` it has to die of it.

        :return: what was acknowledged.
        """
        process = self.start(action, session, fault)
        output, errors = process.communicate(timeout=60)
        expected = -signal.SIGKILL if fault else 0
        assert process.returncode == expected, f"{fault} was not reached:\n{errors}"
        return [line.split() for line in output.splitlines()]

    def start(self, action: str, session: str, fault: str | None = None) -> subprocess.Popen[str]:
        """Start a process and leave it to itself."""
        return subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tests.crash_child",
                str(self.folder),
                *self.urls,
                action,
                session,
            ],
            env={**os.environ, **({VARIABLE: fault} if fault else {})},
            cwd=Path(__file__).parent.parent,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def let_leases_expire(self) -> None:
        """What the clock would do in half a minute."""
        state = state_of(self.app)
        for url, statement in (
            (self.urls[0], "UPDATE chat_tasks SET runs_until = 1 WHERE runs_until IS NOT NULL"),
            (self.urls[1], "UPDATE agent_sessions SET lease_until = 0"),
        ):
            state.databases.get(url).write(lambda c: c.execute(sa.text(statement)))  # noqa: B023

    def history(self, session: str) -> list[ChatTask]:
        with self.app.app_context():
            return mesh_of(self.app).gateway.tasks(USER, session)

    def log(self, agent: str, session: str) -> list[Event]:
        return list(state_of(self.app).sessions(agent).events(USER, session, limit=1000))

    def send(self, session: str, text: str, agent: str) -> ChatTask:
        with self.app.app_context():
            return mesh_of(self.app).send(session, text, agent, user_id=USER)


@pytest.fixture(scope="module")
def site(backend: str, tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    with (
        databases.temporary_database(backend, folder) as gateway,
        databases.temporary_database(backend, folder) as agents,
    ):
        site = Site(folder, gateway, agents)
        yield site
        state_of(site.app).close()


@pytest.mark.parametrize(("action", "fault", "status"), POINTS)
def test_a_turn_that_was_killed(site: Site, action: str, fault: str, status: str) -> None:
    session = site.new_session()
    before = 0
    if action == "retry":
        site.send(session, "hi", "worker")
        action, before = f"retry:{site.history(session)[0].task_id}", 1
    acknowledged = site.child(action, session, fault)
    site.let_leases_expire()

    history = site.history(session)
    assert len(history) == before + 1, "the task is there, once"
    task = history[-1]
    assert task.status == status
    for verb, task_id, *ended in acknowledged:
        assert task_id == task.task_id
        assert verb != "ended" or ended == [task.status]
    agent = t.cast(str, task.agent)
    _agree(site, session, agent, history)
    _goes_on(site, session, agent)


@pytest.mark.parametrize(("first", "second"), SETTLE_POINTS)
def test_a_process_that_was_killed_while_settling(site: Site, first: str, second: str) -> None:
    session = site.new_session()
    site.child("worker:hi", session, first)
    site.let_leases_expire()
    assert site.child("settle", session, second) == []
    site.let_leases_expire()
    history = site.history(session)
    assert [task.status for task in history] == [
        "completed" if first == "closed" else "interrupted"
    ]
    _agree(site, session, "worker", history)
    _goes_on(site, session, "worker")


def test_what_was_left_behind_is_settled_without_being_read(site: Site) -> None:
    session = site.new_session()
    site.child("worker:hi", session, "running")
    site.let_leases_expire()
    again = make_app(str(site.folder), *site.urls)
    state_of(again).runtime.start()
    deadline = time.monotonic() + 10
    while _status(site, session) == "running" and time.monotonic() < deadline:
        time.sleep(0.05)
    assert _status(site, session) == "interrupted"
    state_of(again).close()


def test_a_process_that_slept_through_its_lease_writes_nothing(site: Site) -> None:
    session = site.new_session()
    sleeper = site.start("worker:deaf", session)
    try:
        assert sleeper.stdout is not None and sleeper.stdout.readline().startswith("accepted")
        deadline = time.monotonic() + 10
        while len(site.log("worker", session)) < 3 and time.monotonic() < deadline:
            time.sleep(0.02)
        os.kill(sleeper.pid, signal.SIGSTOP)
        time.sleep(3.5)  # longer than the lease, which counts by the database's clock
        (task,) = site.history(session)
        assert task.status == "interrupted"
        assert site.send(session, "next", "worker").status == "completed"
        before = site.log("worker", session), site.history(session)
        os.kill(sleeper.pid, signal.SIGCONT)
        output, errors = sleeper.communicate(timeout=30)
    finally:
        sleeper.kill()
    assert output.split() == ["ended", task.task_id, "interrupted"], errors
    assert sleeper.returncode == 0
    assert (site.log("worker", session), site.history(session)) == before
    _agree(site, session, "worker", before[1])


def _status(site: Site, session: str) -> str:
    query = sa.text(
        "SELECT status FROM chat_tasks JOIN sessions ON sessions.pk = session_pk"
        " WHERE session_id = :session"
    )
    database = state_of(site.app).databases.get(site.urls[0])
    return str(database.read(lambda c: c.execute(query, {"session": session}).scalar()))


def _reply(task: ChatTask) -> str:
    return "".join(b["text"] for b in json.loads(task.message_bubbles) if b["type"] == "agent")


def _agree(site: Site, session: str, agent: str, history: list[ChatTask]) -> None:
    """History and memory say the same of every task."""
    sessions = state_of(site.app).sessions(agent)
    for task in history:
        assert task.status in ("completed", "interrupted", "cancelled")
        memory = session if agent != "forgetful" else f"{session}:{task.task_id}:run"
        turn = sessions.turn(USER, memory, task.task_id)
        if agent == "forgetful" or (turn is None and task.status == "interrupted"):
            continue
        if turn is not None and turn.status == "open":
            assert task.status == "cancelled", "closed when the session is next used"
            continue
        assert turn is not None
        assert (turn.status, turn.answer) == (task.status, _reply(task))
    found = site.log(agent, session)
    assert [event.seq for event in found] == list(range(1, len(found) + 1))
    turns = [event.turn for event in found]
    assert turns == sorted(turns), "events of one turn are contiguous"


def _goes_on(site: Site, session: str, agent: str) -> None:
    """The last turn can be retried, the next one runs, and a model could be asked."""
    runtime = state_of(site.app).runtime
    last = site.history(session)[-1]
    if last.status != "completed" and last.user_message == "hi":
        retried = runtime.wait(USER, session, runtime.retry(USER, session, last.task_id), 30)
        assert (retried.status, _reply(retried)) == ("completed", "first answer to hi")
    assert site.send(session, "next", agent).status == "completed"
    history = site.history(session)
    _agree(site, session, agent, history)
    if agent == "forgetful":
        return
    sessions = state_of(site.app).sessions(agent)
    lease = sessions.acquire(USER, session, 1000)
    assert lease is not None and lease.open_turn is None
    messages = to_messages(sessions.context(lease))
    sessions.release(lease)
    roles = [m["role"] for m in messages if m["role"] in ("user", "assistant") and m["content"]]
    assert roles == ["user", "assistant"] * (len(roles) // 2), "roles alternate"
    asked = [m["content"] for m in messages if m["role"] == "user"]
    superseded = {task.retry_of for task in history}
    began = [task for task in history if sessions.turn(USER, session, task.task_id)]
    assert asked == [task.user_message for task in began if task.task_id not in superseded]
