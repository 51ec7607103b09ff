"""What an agent function is given."""

from __future__ import annotations

import itertools
import json
import threading
import typing as t
import uuid
from collections.abc import Mapping

import msgspec

from .. import faults, ids
from ..agents.log import EVENT_BYTES, Entry, Lease
from ..agents.messages import Message, to_messages
from ..agents.service import AgentSessions
from ..errors import InvalidInput, TooLarge
from .bubbles import Part, stored_size, tool_part

#: No call takes more, and every database can hold the sum of many.
MOST_TOKENS = 2**31 - 1

#: How many bytes the arguments of a turn's tool calls take in the history; the log has all.
SHOWN_ARGUMENTS = 1024 * 1024

_TOKENS = (
    "prompt_tokens",
    "completion_tokens",
    "cached_tokens",
    "max_input_tokens",
    "overhead_tokens",
)

#: Is given the turn that asks, the id of the new turn, the agent's name and the text.
Ask = t.Callable[["Turn", str, str, str], str]


class Turn:
    """One user message and everything the agent does until its answer is complete.

    It lives until the agent function returns, which may use it in several threads.
    """

    def __init__(
        self,
        sessions: AgentSessions,
        lease: Lease,
        *,
        session_id: str,
        task_id: str,
        text: str,
        cancelled: threading.Event,
        ask: Ask,
        chain: tuple[str, ...] = (),
    ) -> None:
        #: The conversation's id, the same for every agent in it.
        self.session_id = session_id
        #: Who is asking.
        self.user_id = lease.user_id
        #: The name of the agent that answers.
        self.agent = lease.agent
        #: The id of this turn.
        self.task_id = task_id
        #: What the user said.
        self.text = text
        #: The agents that are waiting for this turn, outermost first, and this one.
        self.chain = (*chain, lease.agent)
        self._sessions = sessions
        self._lease = lease
        self._cancelled = cancelled
        self._ask = ask
        self._messages: list[Message] | None = None
        self._state: dict[str, t.Any] | None = None
        self._stored_state = ""
        self._calls: set[str] = set()
        self._tools: list[Part] = []
        self._room = SHOWN_ARGUMENTS
        self._usage: list[dict[str, t.Any]] = []
        self._delegated = itertools.count(1)

    def __repr__(self) -> str:
        return f"<Turn {self.task_id} of {self.agent}>"

    @property
    def cancelled(self) -> bool:
        """Whether nobody waits for the answer any more: stop as soon as you can."""
        return self._cancelled.is_set() or self._lease.lost

    @property
    def lost(self) -> bool:
        """Whether another worker has taken this session over: nothing can be written."""
        return self._lease.lost

    @property
    def messages(self) -> list[Message]:
        """The conversation in the OpenAI chat format, ready to send.

        The summary if there is one, the live history, then this turn's message. Loaded
        when it is first asked for; what the turn adds later is not in it.
        """
        if self._messages is None:
            self._messages = to_messages(self._sessions.context(self._lease))
        return self._messages

    @property
    def state(self) -> dict[str, t.Any]:
        """A mapping that persists with the session, of what JSON can hold.

        Stored when the turn completes; a turn that does not complete leaves it as it was.
        """
        if self._state is None:
            self._stored_state = self._sessions.state(self._lease) or "{}"
            self._state = msgspec.json.decode(self._stored_state, type=dict[str, t.Any])
        return self._state

    def call_tool(self, name: str, arguments: Mapping[str, t.Any] | str) -> str:
        """Record that a tool is called.

        :param name: the tool's name, 1 to 255 characters.
        :param arguments: what it is called with: a mapping, or JSON text.
        :return: the id of the call, for :meth:`tool_result`.
        :raises LeaseLost: if another worker has taken this session over.
        """
        if not ids.is_user_id(name):
            why = "must be 1 to 255 characters without control characters or outer spaces"
            raise InvalidInput(f"A tool's name {why}.", {"name": [why]})
        call_id = f"call_{uuid.uuid4().hex[:24]}"
        content = ids.storable(arguments if isinstance(arguments, str) else _json(arguments))
        self._append(Entry("tool_call", content, name, call_id))
        self._calls.add(call_id)
        self._show(call_id, name, content)
        return call_id

    def tool_result(self, call_id: str, content: t.Any) -> None:
        """Record what a tool answered, in this turn or for a call of an earlier one.

        :param call_id: what :meth:`call_tool` returned.
        :param content: a str, or anything JSON can hold.
        :raises LeaseLost: if another worker has taken this session over.
        """
        ids.check_id("call_id", call_id, ids.USER_ID_LENGTH)
        text = content if isinstance(content, str) else _json(content)
        self._append(Entry("tool_result", ids.storable(text), None, call_id))

    def record_usage(
        self,
        *,
        model: str,
        prompt_tokens: int | None = None,
        completion_tokens: int | None = None,
        cached_tokens: int | None = None,
        max_input_tokens: int | None = None,
        overhead_tokens: int | None = None,
    ) -> None:
        """Record what one model call cost. Call it once for every model call.

        :param model: the model's name.
        :param prompt_tokens: tokens sent, cached ones included.
        :param completion_tokens: tokens received.
        :param cached_tokens: how many of those sent came from the provider's cache.
        :param max_input_tokens: the model's window, if the agent knows it.
        :param overhead_tokens: of those sent, what system prompt and tool schemas take.
        :raises InvalidInput: if a count is negative, absurdly large or not an integer.
        """
        counts = (prompt_tokens, completion_tokens, cached_tokens, max_input_tokens)
        values = dict(zip(_TOKENS, (*counts, overhead_tokens), strict=True))
        for field, value in values.items():
            if value is not None and (type(value) is not int or not 0 <= value <= MOST_TOKENS):
                why = f"must be an integer from 0 to {MOST_TOKENS}"
                raise InvalidInput(f"{field} {why}.", {field: [why]})
        self._usage.append({"model": ids.storable(str(model)), **values})

    def ask(self, agent: str, text: str) -> str:
        """Ask another agent in the same session, and return its answer.

        It runs in the calling thread, with its own memory of the session.

        :raises AgentNotFound: if there is no such agent.
        :raises DelegationCycle: if that agent is already answering in this chain.
        :raises DelegationTimeout: if it is busy in this session for 10 s.
        :raises TurnFailed: if it did not answer.
        """
        task_id = f"{self.task_id}.{next(self._delegated)}"
        return self._ask(self, task_id, agent, text)

    def delegated(self, sessions: AgentSessions, lease: Lease, task_id: str, text: str) -> Turn:
        """The sub-turn in which another agent is asked. The runtime makes it.

        :meta private:
        """
        return Turn(
            sessions,
            lease,
            session_id=self.session_id,
            task_id=task_id,
            text=text,
            cancelled=self._cancelled,
            ask=self._ask,
            chain=self.chain,
        )

    def _show(self, call_id: str, name: str, arguments: str) -> None:
        """Put a call into the history; the arguments of all take so much room there."""
        size = stored_size(arguments)
        if size > self._room:
            arguments, size = "", 0
        self._room -= size
        self._tools.append(tool_part(call_id, name, arguments))

    def _append(self, entry: Entry) -> None:
        self._sessions.append(self._lease, [entry])
        faults.point("appended")


def begin_again(turn: Turn) -> None:
    """Let the turn load its messages and its state anew: its agent is called once more."""
    turn._messages = turn._state = None


def changed_state(turn: Turn) -> str | None:
    """The turn's state as JSON text, if the turn has changed it.

    :raises TooLarge: if it is larger than an event may be.
    """
    if turn._state is None:
        return None
    state = ids.storable(_json(turn._state))
    if len(state.encode()) > EVENT_BYTES:
        raise TooLarge(f"An agent's state holds at most {EVENT_BYTES} bytes as JSON.")
    return None if state == turn._stored_state else state


def usage_of(turn: Turn) -> list[dict[str, t.Any]]:
    """What the turn has recorded, one entry for each model call."""
    return turn._usage


def tools_of(turn: Turn) -> list[Part]:
    """The tool calls of the turn, as parts of a bubble."""
    return turn._tools


def _json(value: t.Any) -> str:
    try:
        return msgspec.json.encode(value).decode()
    except UnicodeEncodeError:  # a lone surrogate, which becomes U+FFFD when it is stored
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInput(f"This cannot be stored as JSON: {error}.") from error
