"""Getting the answer out of an agent function, whatever kind of function it is."""

from __future__ import annotations

import inspect
import typing as t
from collections.abc import AsyncIterator, Awaitable, Iterator

from .. import ids
from ..agents.log import EVENT_BYTES
from ..errors import TooLarge
from .agent import AgentFunction
from .bubbles import stored_size
from .turn import Turn


class Cancelled(Exception):
    """Nobody waits for this answer any more."""


def answer(function: AgentFunction, turn: Turn, emit: t.Callable[[str], None]) -> None:
    """Run an agent function and pass on its answer as it comes.

    :param emit: is given each piece of text.
    :raises Cancelled: before it or between two pieces, when the turn has been cancelled.
    :raises TypeError: if the function gives something that is not text.
    :raises TooLarge: if the answer is larger than an event may be.
    """
    room = EVENT_BYTES

    def pass_on(piece: object) -> None:
        nonlocal room
        if turn.cancelled:
            raise Cancelled
        if not isinstance(piece, str):
            kind = type(piece).__name__
            raise TypeError(
                f"The agent {turn.agent!r} gave a {kind}; it has to give a str or an iterator"
                " of str."
            )
        text = ids.storable(piece)
        room -= stored_size(text)
        if room < 0:
            raise TooLarge(f"An answer holds at most {EVENT_BYTES} bytes as it is stored.")
        emit(text)

    if turn.cancelled:
        raise Cancelled
    reply = function(turn)
    if isinstance(reply, (AsyncIterator, Awaitable)):
        import asyncio  # not everybody's agents need it

        asyncio.run(_awaited(reply, pass_on))
    else:
        _drain(reply, pass_on)


def _drain(reply: object, pass_on: t.Callable[[object], None]) -> None:
    if not isinstance(reply, Iterator):
        return pass_on(reply)
    try:
        for piece in reply:
            pass_on(piece)
    finally:
        close = getattr(reply, "close", None)
        if callable(close):
            close()


async def _awaited(reply: t.Any, pass_on: t.Callable[[object], None]) -> None:
    if inspect.isawaitable(reply):
        reply = await reply
    if not isinstance(reply, AsyncIterator):
        return _drain(reply, pass_on)
    try:
        async for piece in reply:
            pass_on(piece)
    finally:
        close = getattr(reply, "aclose", None)
        if callable(close):
            await close()
