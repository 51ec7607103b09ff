"""Reading back what became of turns that were sent at once."""

from __future__ import annotations

import collections
import itertools
import typing as t

import sqlalchemy as sa

from flask_mesh_sessions.agents.tables import agent_events, agent_sessions, agent_turns
from flask_mesh_sessions.gateway.tables import chat_tasks

from .measure import Turns
from .world import ANSWER, World


class Sent(t.NamedTuple):
    """A turn that was sent, and how its sender was told that it ended."""

    session_id: str
    task_id: str
    status: str


class Event(t.NamedTuple):
    """An event of the log, with the id of its turn's task."""

    session_id: str
    seq: int
    task_id: str
    kind: str
    content: str


def turns(world: World, sent: t.Sequence[Sent]) -> Turns:
    """What the tables say of turns that were sent."""
    wanted = {turn.session_id for turn in sent}
    logged = [event for event in _events(world) if event.session_id in wanted]
    acknowledged = {turn.task_id for turn in sent if turn.status == "completed"}
    return Turns(
        sent=len(sent),
        lost=len(acknowledged - (_answered(world) & _whole(logged))),
        duplicated=_duplicated(logged),
        split=_split(logged),
        failed=len(sent) - len(acknowledged),
    )


def _answered(world: World) -> set[str]:
    """The tasks that the history shows with their answer."""
    told = sa.select(chat_tasks.c.task_id).where(
        chat_tasks.c.status == "completed", chat_tasks.c.message_bubbles.contains(ANSWER)
    )
    return set(world.gateway.read(lambda c: c.execute(told).scalars().all()))


def _events(world: World) -> list[Event]:
    columns = (
        agent_sessions.c.session_id,
        agent_events.c.seq,
        agent_turns.c.task_id,
        agent_events.c.kind,
        agent_events.c.content,
    )
    same_turn = sa.and_(
        agent_turns.c.session_pk == agent_events.c.session_pk,
        agent_turns.c.turn == agent_events.c.turn,
    )
    rows = (
        sa.select(*columns)
        .select_from(agent_events)
        .join(agent_sessions)
        .outerjoin(agent_turns, same_turn)
        .order_by(agent_events.c.session_pk, agent_events.c.seq)
    )
    return world.agent.read(lambda c: [Event._make(row) for row in c.execute(rows)])


def _whole(logged: t.Iterable[Event]) -> set[str]:
    """The tasks whose question and answer are in the memory."""
    said = collections.defaultdict(list)
    for event in logged:
        said[event.task_id].append((event.kind, event.content))
    return {
        task_id
        for task_id, events in said.items()
        if ("agent", ANSWER) in events
        and any(kind == "user" and text.startswith(task_id) for kind, text in events)
    }


def _duplicated(logged: t.Iterable[Event]) -> int:
    """How many questions or answers stand in the memory more than once."""
    counts = collections.Counter(
        event.content if event.kind == "user" else event.task_id for event in logged
    )
    return sum(1 for count in counts.values() if count > 1)


def _split(logged: t.Sequence[Event]) -> int:
    """How many gaps there are, and turns that are begun a second time."""
    found = 0
    for _, group in itertools.groupby(logged, key=lambda event: event.session_id):
        events = list(group)
        found += sum(event.seq != number for number, event in enumerate(events, 1))
        runs = [task_id for task_id, _ in itertools.groupby(e.task_id for e in events)]
        found += len(runs) - len(set(runs))
    return found
