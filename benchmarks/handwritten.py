"""What the extension does, as a good engineer would write it for one driver.

The same tables, the same transactions and the same durability, in as few statements as the
database allows. Left out is what is the extension's own: no lease, no fence, no retries, no
search for a task that was sent before, and nobody waits for a turn.
"""

from __future__ import annotations

import time
import typing as t

import msgspec

from .world import AGENT, USER, Hand

Message = dict[str, t.Any]


def now() -> int:
    """Epoch milliseconds."""
    return time.time_ns() // 1_000_000


class HandMemory:
    """An agent's memory."""

    def __init__(self, hand: Hand) -> None:
        self._hand = hand
        own = "WHERE agent = ? AND user_id = ? AND session_id = ?"
        counted = "pk, last_turn, last_seq"
        returning = f" RETURNING {counted}" if hand.returns else ""
        more = f"last_turn = last_turn + 1, last_seq = last_seq + ?, updated_time = ? {own}"
        # MariaDB assigns from left to right.
        begin = f"UPDATE agent_sessions SET open_turn = last_turn + 1, {more}{returning}"
        self._begin = hand.sql(begin)
        self._count = hand.sql(f"UPDATE agent_sessions SET {more}{returning}")
        self._counted = hand.sql(f"SELECT {counted} FROM agent_sessions {own}")
        self._make = hand.sql(
            "INSERT INTO agent_sessions (agent, user_id, session_id, last_seq, last_turn,"
            " open_turn, fence, lease_until, created_time, updated_time)"
            " VALUES (?, ?, ?, ?, 1, ?, 0, 0, ?, ?) RETURNING pk"
        )
        self._turn = hand.sql(
            "INSERT INTO agent_turns (session_pk, turn, task_id, status, withdrawn, first_seq,"
            " last_seq, fence, created_time) VALUES (?, ?, ?, ?, ?, ?, ?, 0, ?)"
        )
        event = "(?, ?, ?, ?, ?, ?, ?)"
        events = (
            "INSERT INTO agent_events (session_pk, seq, turn, kind, content, withdrawn,"
            f" created_time) VALUES {event}"
        )
        self._event = hand.sql(events)
        self._two_events = hand.sql(f"{events}, {event}")
        self._advance = hand.sql(
            "UPDATE agent_sessions SET last_seq = last_seq + 1, open_turn = NULL WHERE pk = ?"
        )
        self._room = hand.sql(
            "UPDATE agent_sessions SET last_seq = ? WHERE pk = ? AND last_seq = ?"
        )
        self._close = hand.sql(
            "UPDATE agent_turns SET status = ?, last_seq = ? WHERE session_pk = ? AND turn = ?"
        )
        messages = "SELECT kind, content, name, call_id FROM agent_events WHERE session_pk = ?"
        live = "seq > ? AND withdrawn = ? ORDER BY seq"
        self._messages = hand.sql(f"{messages} AND {live}")
        self._summary = hand.sql("SELECT summary, through_seq FROM agent_compactions WHERE pk = ?")

    def turn(self, session_id: str, task_id: str, question: str, answer: str) -> None:
        """Append a turn as it happens: the question, and when there is one, the answer."""
        hand = self._hand
        hand.begin()
        key, number, seq = self._counted_turn(self._begin, session_id, 1)
        moment = now()
        hand.execute(self._turn, (key, number, task_id, "open", False, seq, seq, moment))
        hand.execute(self._event, (key, seq, number, "user", question, False, moment))
        hand.commit()
        hand.begin()
        hand.execute(self._advance, (key,))
        hand.execute(self._event, (key, seq + 1, number, "agent", answer, False, now()))
        hand.execute(self._close, ("completed", seq + 1, key, number))
        hand.commit()

    def turn_at_once(self, session_id: str, task_id: str, question: str, answer: str) -> None:
        """Append a turn when it is over: until then nothing of it is stored."""
        hand = self._hand
        hand.begin()
        key, number, last = self._counted_turn(self._count, session_id, 2)
        moment, seq = now(), last - 1
        hand.execute(self._turn, (key, number, task_id, "completed", False, seq, last, moment))
        two = (key, seq, number, "user", question, False, moment)
        hand.execute(self._two_events, (*two, key, last, number, "agent", answer, False, moment))
        hand.commit()

    def _counted_turn(self, statement: str, session_id: str, events: int) -> tuple[int, int, int]:
        """Count a turn: the session's key, the turn's number and its last event's."""
        hand, moment, own = self._hand, now(), (AGENT, USER, session_id)
        hand.execute(statement, (events, moment, *own))
        if not hand.returns:
            hand.execute(self._counted, own)
        rows = hand.rows()
        if rows:
            return t.cast("tuple[int, int, int]", tuple(rows[0]))
        opened = 1 if statement is self._begin else None
        hand.execute(self._make, (*own, events, opened, moment, moment))
        return hand.rows()[0][0], 1, events

    def append(self, key: int, number: int, last: int, kind: str, content: str) -> None:
        """Append one event behind event ``last``."""
        hand = self._hand
        hand.begin()
        hand.execute(self._room, (last + 1, key, last))
        if hand.cursor.rowcount != 1:
            raise RuntimeError("Somebody else has written to this session.")
        hand.execute(self._event, (key, last + 1, number, kind, content, False, now()))
        hand.commit()

    def messages(self, key: int, head: int | None) -> list[Message]:
        """The live context, ready to send."""
        hand = self._hand
        messages: list[Message] = []
        after = 0
        hand.begin_reading()
        if head is not None:
            hand.execute(self._summary, (head,))
            summary, after = hand.rows()[0]
            messages.append({"role": "user", "content": f"Summary so far:\n{summary}"})
        hand.execute(self._messages, (key, after, False))
        messages += [_message(*row) for row in hand.rows()]
        hand.end()
        return messages


def _message(kind: str, content: str, name: str | None, call_id: str | None) -> Message:
    if kind == "user":
        return {"role": "user", "content": content}
    if kind == "agent":
        return {"role": "assistant", "content": content}
    if kind == "tool_result":
        return {"role": "tool", "tool_call_id": call_id, "content": content}
    call = {"id": call_id, "type": "function", "function": {"name": name, "arguments": content}}
    return {"role": "assistant", "content": None, "tool_calls": [call]}


class HandHistory:
    """The gateway's sessions and chat tasks."""

    def __init__(self, hand: Hand) -> None:
        self._hand = hand
        self._touch = hand.sql(
            "UPDATE sessions SET updated_time = ? WHERE user_id = ? AND session_id = ?"
            " AND deleted_at IS NULL" + (" RETURNING pk" if hand.returns else "")
        )
        self._key = hand.sql("SELECT pk FROM sessions WHERE user_id = ? AND session_id = ?")
        self._accept = hand.sql(
            "INSERT INTO chat_tasks (session_pk, user_id, task_id, agent, status, user_message,"
            " message_bubbles, search_text, cancel_requested, created_time)"
            " VALUES (?, ?, ?, ?, 'running', ?, ?, ?, ?, ?)"
        )
        self._finish = hand.sql(
            "UPDATE chat_tasks SET status = 'completed', message_bubbles = ?, search_text = ?,"
            " updated_time = ? WHERE user_id = ? AND task_id = ?"
        )
        columns = (
            "pk, session_id, user_id, name, agent_id, project_id, source, created_time,"
            " updated_time, last_viewed_at"
        )
        running = (
            "EXISTS (SELECT 1 FROM chat_tasks WHERE chat_tasks.session_pk = page.pk"
            " AND chat_tasks.runs_until IS NOT NULL)"
        )
        own = "FROM sessions WHERE user_id = ? AND deleted_at IS NULL"
        latest_first = "updated_time DESC, session_id DESC"
        # Each in the form in which this database takes the page from the index.
        first = "deleted_at DESC, " if hand.backend == "postgresql" else ""
        self._page = hand.sql(
            f"SELECT page.*, {running} FROM (SELECT {columns} {own}"
            f" ORDER BY {first}{latest_first} LIMIT ? OFFSET ?) page ORDER BY {latest_first}"
        )
        self._count = hand.sql(f"SELECT count(*) {own}")

    def accept(self, session_id: str, task_id: str, question: str) -> None:
        """Store what was asked."""
        hand, moment, own = self._hand, now(), (USER, session_id)
        bubbles = [{"id": f"{task_id}-0", "type": "user", "text": question}]
        hand.begin()
        hand.execute(self._touch, (moment, *own))
        if not hand.returns:
            hand.execute(self._key, own)
        key = hand.rows()[0][0]
        text = question.casefold()
        values = (key, USER, task_id, AGENT, question, _json(bubbles), text, False, moment)
        hand.execute(self._accept, values)
        hand.commit()

    def finish(self, task_id: str, question: str, answer: str) -> None:
        """Store what was answered."""
        hand = self._hand
        bubbles = [
            {"id": f"{task_id}-0", "type": "user", "text": question},
            {"id": f"{task_id}-1", "type": "agent", "text": answer},
        ]
        text = f"{question}\n{answer}".casefold()
        hand.begin()
        hand.execute(self._finish, (_json(bubbles), text, now(), USER, task_id))
        hand.commit()

    def page(self, size: int, counted: bool) -> tuple[list[dict[str, t.Any]], int | None]:
        """The latest sessions, and with ``counted`` how many there are."""
        hand = self._hand
        hand.begin_reading()
        # One more than is shown says whether there are more.
        hand.execute(self._page, (USER, size if counted else size + 1, 0))
        found = [dict(zip(_NAMES, row, strict=True)) for row in hand.rows()]
        count = None
        if counted:
            hand.execute(self._count, (USER,))
            count = hand.rows()[0][0]
        hand.end()
        return found[:size], count


_NAMES = (
    "pk",
    "id",
    "userId",
    "name",
    "agentId",
    "projectId",
    "source",
    "createdTime",
    "updatedTime",
    "lastViewedAt",
    "running",
)


def _json(bubbles: list[dict[str, str]]) -> str:
    return msgspec.json.encode(bubbles).decode()
