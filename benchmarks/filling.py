"""Sessions of an agent as they would be after a long time."""

from __future__ import annotations

import typing as t
import uuid

from .handwritten import now
from .world import AGENT, ANSWER, QUESTION, USER, Hand

SAID = (("user", QUESTION), ("agent", ANSWER))


def new_id() -> str:
    """The id of a session, or of a task."""
    return f"web-session-{uuid.uuid4().hex}"


def sessions(hand: Hand, count: int, events: int) -> list[str]:
    """New sessions, each with ``events`` events of turns of two.

    :return: their ids.
    """
    ids = [new_id() for _ in range(count)]
    hand.insert("agent_sessions", [_session(session_id, events) for session_id in ids])
    keys = _keys(hand, ids)
    numbers = range(1, events // 2 + 1)
    hand.insert("agent_turns", [_turn(key, number) for key in keys for number in numbers])
    hand.insert(
        "agent_events",
        [_event(key, number, place) for key in keys for number in numbers for place in (0, 1)],
    )
    return ids


def compact(hand: Hand, session_id: str, through: int) -> None:
    """Let a summary stand for the events of a session up to ``through``."""
    (key,) = _keys(hand, [session_id])
    row = {"session_pk": key, "version": 1, "through_seq": through, "summary": ANSWER}
    row |= {"literals": "[]", "tokens_before": 9_000, "tokens_after": 900, "created_time": now()}
    hand.insert("agent_compactions", [{**row, hand.quoted("trigger"): "manual"}])
    hand.begin()
    hand.execute(
        hand.sql(
            "UPDATE agent_sessions SET head_compaction ="
            " (SELECT pk FROM agent_compactions WHERE session_pk = ?) WHERE pk = ?"
        ),
        (key, key),
    )
    hand.commit()


def _keys(hand: Hand, ids: t.Sequence[str]) -> list[int]:
    """The keys of sessions, in the order in which they were made."""
    hand.begin_reading()
    hand.execute("SELECT session_id, pk FROM agent_sessions")
    keys = dict(hand.rows())
    hand.end()
    return [keys[session_id] for session_id in ids]


def _session(session_id: str, events: int) -> dict[str, t.Any]:
    names = {"agent": AGENT, "user_id": USER, "session_id": session_id}
    counts = {"last_seq": events, "last_turn": events // 2, "fence": 0, "lease_until": 0}
    return {**names, **counts, "created_time": now(), "updated_time": now()}


def _turn(key: int, number: int) -> dict[str, t.Any]:
    seqs = {"first_seq": 2 * number - 1, "last_seq": 2 * number}
    turn = {"session_pk": key, "turn": number, "task_id": new_id(), "status": "completed"}
    return {**turn, **seqs, "withdrawn": False, "fence": 0, "created_time": now()}


def _event(key: int, number: int, place: int) -> dict[str, t.Any]:
    kind, content = SAID[place]
    event = {"session_pk": key, "turn": number, "seq": 2 * number - 1 + place}
    said = {"kind": kind, "content": content}
    return {**event, **said, "withdrawn": False, "created_time": now()}
