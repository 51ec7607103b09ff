"""Compacting a session's live context under its lease: plan, summary, one transaction.

No transaction is open while the summary is made, and nothing is deleted: a kill anywhere
leaves the old view or the new one.
"""

from __future__ import annotations

import logging
import typing as t
from dataclasses import dataclass

from .. import faults, ids
from ..agents.log import Compaction, Lease, NewCompaction, Summary, Trigger
from ..agents.service import AgentSessions
from ..errors import LeaseLost
from . import cut, extractive, summaries
from .blocks import Block, blocks
from .literals import missing

log = logging.getLogger("flask_mesh_sessions.compaction")


@dataclass(frozen=True)
class SummaryRequest:
    """What a summarizer is asked for."""

    #: Messages in the OpenAI chat format that ask a model for the summary.
    messages: list[dict[str, t.Any]]
    #: The conversation as text, without instructions.
    text: str
    #: The summary of what came before, "" if nothing did.
    previous: str
    #: How many tokens the summary may have.
    budget_tokens: int


#: Makes a summary, or raises; see :class:`SummaryRequest`.
Summarizer = t.Callable[[SummaryRequest], str]


@dataclass(frozen=True)
class Compacted:
    """A compaction that was made."""

    summary: str
    #: Events the summary now stands for in addition, and those that stay as they are.
    events_compacted: int
    events_remaining: int
    tokens_before: int
    tokens_after: int


@dataclass(frozen=True)
class NotCompacted:
    """Why nothing was changed, in words."""

    reason: str


def compact(
    sessions: AgentSessions,
    lease: Lease,
    percentage: float,
    trigger: Trigger,
    summarizer: Summarizer | None = None,
) -> Compacted | NotCompacted:
    """Let a summary stand for the first part of the live context.

    :param percentage: the share of the live tokens that goes, above 0 and at most 1.
    :param summarizer: makes the summary. If it fails in an automatic compaction, or there is
        none, the most telling sentences are the summary; if it fails in one that somebody
        asked for, nothing is changed.
    :raises LeaseLost: if the lease has been taken over; nothing is written.
    """
    context = sessions.context(lease)
    faults.point("compaction-leased")
    previous = context.summary
    before = summaries.summary_tokens(previous) if previous else 0
    plan = cut.plan(context.events, percentage, previous_tokens=before)
    if isinstance(plan, cut.Refusal):
        return NotCompacted(plan.detail)
    faults.point("compaction-planned")
    text = _text(plan, previous, summarizer, trigger)
    faults.point("compaction-summarised")
    if isinstance(text, NotCompacted):
        return text
    kept = summaries.fitted(plan, text, _literals(plan, previous, text))
    if kept is None:
        return NotCompacted("The summary would not be smaller than what it stands for.")
    after = summaries.summary_tokens(kept) + plan.tokens_kept
    new = NewCompaction(
        kept.through_seq, kept.text, kept.literals, plan.tokens_before, after, trigger
    )
    sessions.compact(lease, new)
    faults.point("compaction-stored")
    return Compacted(kept.text, len(plan.removed), len(plan.kept), plan.tokens_before, after)


def undo(sessions: AgentSessions, lease: Lease) -> Compaction | None:
    """Take back the compaction in force. What has come since stays.

    :return: the compaction that was taken back, or ``None`` if none was in force.
    :raises LeaseLost: if the lease has been taken over; nothing is written.
    """
    found = sessions.compactions(lease.user_id, lease.memory_id)
    head = next((c for c in found if c.key == lease.head_compaction), None)
    if head is not None:
        sessions.move_head(lease, head.parent)
    return head


def _text(
    plan: cut.Plan,
    previous: Summary | None,
    summarizer: Summarizer | None,
    trigger: Trigger,
) -> str | NotCompacted:
    said = blocks(plan.removed)
    budget = summaries.budget(plan.tokens_removed)
    before = previous.text if previous else ""
    if summarizer is not None:
        asked = _asked(summarizer, said, before, budget, plan)
        if isinstance(asked, str) or trigger == "manual":
            return asked
        log.warning("The summary was refused, an extract is taken instead: %s", asked.reason)
    return extractive.summarise(said, budget, before)


def _asked(
    summarizer: Summarizer, said: list[Block], before: str, budget: int, plan: cut.Plan
) -> str | NotCompacted:
    request = SummaryRequest(
        summaries.prompt(said, before, budget), summaries.rendered(said), before, budget
    )
    try:
        answer = summarizer(request)
    except LeaseLost:
        raise
    except Exception:
        log.exception("The summarizer failed.")
        return NotCompacted("The summary could not be made.")
    text = ids.storable(summaries.cleaned(answer)) if isinstance(answer, str) else ""
    refused = summaries.acceptable(text, plan.tokens_removed)
    return NotCompacted(refused) if refused else text


def _literals(plan: cut.Plan, previous: Summary | None, text: str) -> tuple[str, ...]:
    """What was said literally and the summary lacks, what the earlier index held included."""
    removed = "\n".join(block.text for block in blocks(plan.removed))
    if previous is not None:
        removed = "\n".join([previous.text, *previous.literals, removed])
    return tuple(missing(removed, text))
