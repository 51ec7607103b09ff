"""Calling an agent again when its model's window overflowed, with a shorter conversation."""

from __future__ import annotations

import logging
import typing as t

from ..agents.log import Lease
from ..compaction.compactor import Compacted, compact
from ..compaction.cut import next_percentage
from ..compaction.overflow import Overflow, is_context_overflow
from ..compaction.tokens import count
from ..errors import ContextOverflow, LeaseLost
from . import reply
from .agent import Agent
from .turn import Turn, begin_again

log = logging.getLogger("flask_mesh_sessions.runtime")

#: How often one turn is compacted at the most. The last takes all but the last turn.
ATTEMPTS = 3

#: The share of a window above which one message is what does not fit.
TOO_BIG = 0.5


def answer(
    agent: Agent,
    turn: Turn,
    lease: Lease,
    emit: t.Callable[[str], None],
    reset: t.Callable[[], None],
) -> None:
    """Run an agent function; on a context overflow compact its memory and run it again.

    :param emit: is given each piece of text.
    :param reset: is called when what was emitted does not count any more.
    :raises ContextOverflow: if it cannot be made to fit, saying what is too big.
    """
    attempt = 0
    while True:
        try:
            return reply.answer(agent.function, turn, emit)
        except (LeaseLost, reply.Cancelled):
            raise
        except Exception as error:
            finding = is_context_overflow(error)
            if finding is None:
                raise
            attempt = _make_room(agent, turn, lease, finding, attempt + 1, error)
        reset()
        begin_again(turn)


def _make_room(
    agent: Agent, turn: Turn, lease: Lease, finding: Overflow, first: int, error: Exception
) -> int:
    """Compact by the share of attempt ``first``, or of the first one after it that helps.

    :return: the attempt that was made.
    """
    settings = agent.config.auto_summarization
    if not settings.enabled or settings.compaction_percentage == 0:
        raise ContextOverflow(
            "The conversation does not fit the model's context window, and compaction is"
            " switched off."
        ) from error
    if finding.limit and count(turn.text) >= finding.limit:
        first = ATTEMPTS + 1  # nothing that went before it is to blame
    for attempt in range(first, ATTEMPTS + 1):
        share = next_percentage(settings.compaction_percentage, attempt, ATTEMPTS)
        made = compact(agent.sessions, lease, share, "overflow", agent.summarizer)
        if isinstance(made, Compacted):
            before, after = made.tokens_before, made.tokens_after
            log.info(_COMPACTED, agent.name, turn.session_id, before, after)
            return attempt
        log.info("Attempt %d for %s: %s", attempt, turn.session_id, made.reason)
    raise ContextOverflow(_too_big(turn, finding)) from error


_COMPACTED = "The memory that %s has of %s was compacted from %d to %d tokens."


def _too_big(turn: Turn, finding: Overflow) -> str:
    """What does not fit, as far as it can be told."""
    of = f" of {finding.limit} tokens" if finding.limit else ""
    message = count(turn.text)
    if finding.limit and message > TOO_BIG * finding.limit:
        return f"This message, about {message} tokens, is too big for the context window{of}."
    return (
        f"The context window{of} is too small for this message together with the agent's own"
        " instructions and tools, even without the conversation before it."
    )
