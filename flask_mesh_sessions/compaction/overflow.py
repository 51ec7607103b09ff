"""Whether an error says that a request does not fit the model's context window.

Pure: no provider's package, no Flask, no database. What is recognised stands in
:mod:`.overflow_rules`; a new provider is one line there.
"""

from __future__ import annotations

import dataclasses
import typing as t

from . import overflow_evidence as evidence
from . import overflow_text as text

#: Prompts that differ from their estimate by less are not worth a suspicion.
LEAST_LOSS = 256
#: What a prompt must have lost to be called truncated; an estimate may be wrong by less.
KEPT = 0.7


@dataclasses.dataclass(frozen=True)
class Overflow:
    """A context overflow. What the provider did not say is ``None``.

    :param limit: the window in tokens.
    :param used: how many tokens the request came to: with the tokens reserved for the answer
        where the provider adds them up, else the input alone.
    :param provider: whose wording or code it is. Many servers speak like OpenAI's.
    :param prompt: the tokens of the input, where they are counted apart.
    :param output: the tokens reserved for the answer. Where ``prompt`` is well under
        ``limit``, asking for a shorter answer helps more than compaction.
    """

    limit: int | None = None
    used: int | None = None
    provider: str | None = None
    prompt: int | None = None
    output: int | None = None


def is_context_overflow(exception_or_body: object) -> Overflow | None:
    """Recognise a context overflow of any known provider.

    Rate limits, quotas, a ``max_tokens`` that is too large in itself and malformed requests
    are none.

    :param exception_or_body: an exception (with what caused it, and the members of a group),
        an error body as ``dict``, ``list``, ``str`` or ``bytes``, a streaming event, or a
        finished answer whose stop reason says it.
    :return: the finding, or ``None``. Nothing is raised, whatever is given.
    """
    waiting, seen = [exception_or_body], set[int]()
    while waiting and len(seen) < evidence.NODES:
        thing = waiting.pop(0)
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        verdict = _judge(evidence.clue(thing))
        if isinstance(verdict, Overflow):
            return verdict
        if verdict is None:
            waiting += evidence.causes(thing)
    return None


def truncated(sent_estimate: int, reported: int, window: int | None = None) -> bool:
    """Whether a server has silently shortened a prompt, as Ollama does.

    :param sent_estimate: the estimated tokens of what was sent.
    :param reported: the prompt tokens the server says it has evaluated
        (``prompt_eval_count``); 0 where it does not say.
    :param window: the server's window in tokens, if known. A prompt that fits it was not
        shortened: the server may have had the beginning in its cache.
    """
    if reported <= 0 or (window is not None and sent_estimate <= window):
        return False
    lost = sent_estimate - reported
    return lost >= LEAST_LOSS and reported < KEPT * sent_estimate


def _judge(clue: evidence.Clue) -> Overflow | t.Literal[False] | None:
    """An overflow, ``False`` for something else for certain, or ``None``."""
    texts = [text.normalise(each) for each in clue.texts]
    codes = [text.squash(each) for each in clue.codes]
    if text.refused(texts, codes):
        return False
    named, said = text.named(codes), text.said(texts)
    if not named and clue.statuses & {402, 429}:
        return False
    if not (named or said or 413 in clue.statuses):
        return None
    provider, numbers = said or (None, text.guessed(texts))
    return Overflow(
        provider=provider or (named[0] if named else None),
        **{name: (clue.numbers | numbers).get(name) for name in text.NUMBERS},
    )
