"""The verbs of the runtime: send, wait, follow, cancel, retry."""

from __future__ import annotations

import os
import threading
import typing as t
from dataclasses import dataclass

import msgspec

from .. import faults, ids
from ..config import MeshConfig
from ..errors import AgentNotFound, Conflict, InvalidInput, SessionNotFound, TaskNotFound, TooLarge
from ..gateway.records import ChatTask
from ..gateway.turns import Ledger, LedgerTask, NewTask
from . import bubbles
from .agent import Agent
from .job import Job
from .process import Process
from .stream import Delta, Done, Reset, Stream
from .timing import Timing


@dataclass(frozen=True)
class Event:
    """One server-sent event."""

    name: t.Literal["task", "snapshot", "delta", "reset", "done"]
    data: ChatTask | dict[str, str]
    id: str | None = None


class Runtime:
    """Runs the turns of one app.

    :param find: gives the agent of a name, or raises AgentNotFound.
    :param names: the names of the agents that can answer, the default one first.
    :param app_context: gives a fresh application context.
    """

    def __init__(
        self,
        ledger: Ledger,
        config: MeshConfig,
        find: t.Callable[[str], Agent],
        names: t.Callable[[], list[str]],
        app_context: t.Callable[[], t.ContextManager[t.Any]],
        timing: Timing,
    ) -> None:
        self._ledger = ledger
        self._config = config
        self._find = find
        self._names = names
        self._app_context = app_context
        self._timing = timing
        self._lock = threading.Lock()
        self._current: Process | None = None

    def start(self) -> None:
        """Start this process's machinery, unless it runs: after a fork, never before."""
        self._process()

    def stop(self) -> None:
        """Wait for what runs in this process, then let its threads end."""
        with self._lock:
            process, self._current = self._current, None
        if process is not None and process.pid == os.getpid():
            process.drain()
            process.stop()

    def send(
        self,
        user_id: str,
        session_id: str,
        text: str,
        agent: str | None = None,
        task_id: str | None = None,
        retry_of: str | None = None,
    ) -> str:
        """Accept a message. Once this returns, nothing can forget it.

        :param text: what the user says.
        :param agent: who is to answer; by default the session's agent, else the first.
        :param task_id: names the turn, so that sending twice sends once.
        :param retry_of: the turn this one supersedes.
        :return: the id of its task.
        :raises InvalidInput: if an id or the text is malformed.
        :raises TooLarge: if the text is larger than the limit.
        :raises SessionNotFound: if the user has no such session.
        :raises AgentNotFound: if there is no such agent.
        :raises Conflict: if the task id was used for something else.
        :raises TooManyWaiting: if the session's queue is full.
        :raises StorageUnavailable: if the gateway's database cannot be reached.
        """
        ids.check_user_id(user_id)
        self._check(session_id, text, agent, task_id)
        task_id = ids.new_task_id() if task_id is None else task_id
        process = self._process()
        new = NewTask(
            user_id=user_id,
            session_id=session_id,
            task_id=task_id,
            text=text,
            bubbles=bubbles.question(task_id, text),
            runner=process.runner,
            ttl_ms=self._timing.lease_ms,
            agent=agent,
            retry_of=retry_of,
        )
        accepted = self._ledger.accept(new, self._resolve, self._config.turns.max_waiting)
        faults.point("accepted")
        if accepted.fresh:
            process.take(accepted)
        return task_id

    def check(
        self, session_id: str, text: str, agent: str | None = None, task_id: str | None = None
    ) -> None:
        """Refuse what :meth:`send` would refuse from anybody in a new session.

        :raises MeshError: as :meth:`send` does. Nothing is stored.
        """
        self._check(session_id, text, agent, task_id)
        self._resolve(agent, None)

    def retry(
        self,
        user_id: str,
        session_id: str,
        task_id: str,
        text: str | None = None,
        new_task_id: str | None = None,
    ) -> str:
        """Answer the session's last message again, in place of the answer it had.

        :param text: what the user says instead.
        :param new_task_id: names the new turn.
        :return: the id of the new task.
        :raises TaskNotFound: if the session has no such task.
        :raises Conflict: if it is not the session's last, or has not ended.
        """
        known = self._own(user_id, session_id, task_id).task
        if known.agent is None or known.user_message is None:
            raise Conflict("This message was not sent to an agent.")
        text = known.user_message if text is None else text
        return self.send(user_id, session_id, text, known.agent, new_task_id, retry_of=task_id)

    def cancel(self, user_id: str, session_id: str, task_id: str) -> None:
        """Cancel a task that has not ended.

        :raises TaskNotFound: if the session has no such task.
        """
        known = self._own(user_id, session_id, task_id)
        job = self._process().job(user_id, task_id)
        if known.live:
            self._ledger.request_cancel(known.pk)
        if job is not None:
            self._process().cancel(job)

    def wait(
        self,
        user_id: str,
        session_id: str,
        task_id: str,
        timeout: float | None = None,
        *,
        sent: bool = False,
    ) -> ChatTask:
        """Wait until a task has ended.

        :param timeout: seconds to wait at most.
        :param sent: the caller has just sent it, and so knows that the session is there.
        :return: the task; not ended if the timeout came first.
        :raises TaskNotFound: if the session has no such task.
        """
        job = self._job(user_id, session_id, task_id, sent)
        if job is not None:
            return job.stream.wait(timeout) or job.task
        known = self._own(user_id, session_id, task_id)
        if not known.live:
            return known.task
        with self._process().tails.listen(known) as stream:
            return stream.wait(timeout) or known.task

    def events(
        self,
        user_id: str,
        session_id: str,
        task_id: str,
        last_event_id: str | None = None,
        begin: t.Literal["snapshot", "task"] = "snapshot",
    ) -> t.Iterator[Event | None]:
        """Follow a task: its text as it comes, and its end.

        :param last_event_id: the id of the last event that was received, to go on from.
        :param begin: with ``task``, the first event is the task as it begins to run, and
            its text comes from the start; else it is the text so far.
        :return: events, and ``None`` whenever a sign of life is due.
        :raises TaskNotFound: if the session has no such task.
        """
        job = self._job(user_id, session_id, task_id)
        if job is not None:
            return self._follow(job.task, job.stream, last_event_id, begin)
        known = self._own(user_id, session_id, task_id)
        if not known.live:
            return self._over(known.task, begin)
        return self._follow_elsewhere(self._process(), known, last_event_id, begin)

    def settle(self, user_id: str, session_id: str, task_id: str) -> None:
        """Bring a task to its end whose process has died. Nothing happens to others."""
        known = self._ledger.find(user_id, task_id)
        if known is not None and known.expired and known.task.session_id == session_id:
            self._process().settling.settle(known)

    def open_session(self, user_id: str, session_id: str) -> None:
        """Check that a session is the user's.

        :raises SessionNotFound: if it is not.
        """
        if not ids.is_public_id(session_id) or not self._ledger.has_session(user_id, session_id):
            raise SessionNotFound

    def _follow_elsewhere(
        self,
        process: Process,
        known: LedgerTask,
        last_event_id: str | None,
        begin: t.Literal["snapshot", "task"],
    ) -> t.Iterator[Event | None]:
        with process.tails.listen(known) as stream:
            yield from self._follow(known.task, stream, last_event_id, begin)

    def _follow(
        self,
        task: ChatTask,
        stream: Stream,
        last_event_id: str | None,
        begin: t.Literal["snapshot", "task"],
    ) -> t.Iterator[Event | None]:
        keep_alive = self._timing.keep_alive
        position = 0
        if begin == "task":
            while not stream.wait_started(keep_alive):
                yield None
            yield Event("task", stream.task or _running(task))
        else:
            resumed = _position(last_event_id, stream)
            if resumed is None:
                position, text = stream.snapshot()
                yield Event("snapshot", {"text": text}, str(position))
            else:
                position = resumed
        for step in stream.follow(position, keep_alive):
            yield _event(step)

    def _over(
        self, task: ChatTask, begin: t.Literal["snapshot", "task"]
    ) -> t.Iterator[Event | None]:
        reply = bubbles.reply_in(task.message_bubbles)
        if begin == "task":
            yield Event("task", task)
            yield Event("delta", {"text": reply}, str(len(reply)))
        else:
            yield Event("snapshot", {"text": reply}, str(len(reply)))
        yield Event("done", task)

    def _job(self, user_id: str, session_id: str, task_id: str, sent: bool = False) -> Job | None:
        """The task's job, if this process has it and its session is not deleted."""
        job = self._process().job(user_id, task_id)
        if job is None or job.task.session_id != session_id:
            return None
        return job if sent or self._ledger.has_session(user_id, session_id) else None

    def _own(self, user_id: str, session_id: str, task_id: str) -> LedgerTask:
        known = None
        if ids.is_public_id(task_id):
            known = self._ledger.find(user_id, task_id)
        if known is None or known.task.session_id != session_id:
            raise TaskNotFound
        return known

    def _check(self, session_id: str, text: str, agent: str | None, task_id: str | None) -> None:
        if not ids.is_public_id(session_id):
            raise SessionNotFound
        if agent is not None:
            ids.check_id("agent", agent, ids.AGENT_NAME_LENGTH)
        if task_id is not None:
            ids.check_id("taskId", task_id)
        self._check_text(text)

    def _check_text(self, text: str) -> None:
        if not isinstance(text, str) or not text.strip():
            raise InvalidInput("The message is empty.", {"text": ["must not be blank"]})
        ids.check_text("text", text)
        limit = self._config.limits.message_bytes
        if len(text.encode()) > limit:
            raise TooLarge(
                f"A message holds at most {limit} bytes.", {"text": [f"at most {limit} bytes"]}
            )

    def _resolve(self, asked: str | None, of_session: str | None) -> str:
        """Which agent answers: the one asked for, else the session's, else the first."""
        name = asked or of_session or next(iter(self._names()), None)
        if name is None:
            raise AgentNotFound("No agent can answer: none is registered.")
        return self._find(name).name

    def _process(self) -> Process:
        current = self._current
        if current is not None and current.pid == os.getpid():
            return current
        with self._lock:
            if self._current is None or self._current.pid != os.getpid():
                turns = self._config.turns
                self._current = Process(
                    self._ledger,
                    self._find,
                    self._app_context,
                    self._timing,
                    turns.workers,
                    turns.timeout,
                )
            return self._current


def _running(task: ChatTask) -> ChatTask:
    return msgspec.structs.replace(task, status="running")


def _position(last_event_id: str | None, stream: Stream) -> int | None:
    """Where a listener goes on, if what it has is still good."""
    if last_event_id is None or not last_event_id.isascii() or not last_event_id.isdigit():
        return None
    position = int(last_event_id[:18])
    return position if stream.base <= position <= stream.position else None


def _event(step: Delta | Reset | Done | None) -> Event | None:
    match step:
        case Delta(text, position):
            return Event("delta", {"text": text}, str(position))
        case Reset(position):
            return Event("reset", {}, str(position))
        case Done(task):
            return Event("done", task)
        case None:
            return None
