"""How many tokens texts, messages and events are, and how far that is off."""

from __future__ import annotations

import dataclasses
import json
import typing as t

from ..agents.log import Event
from . import tokens_tiktoken
from .tokens_estimate import estimate

__all__ = ["Calibration", "count", "estimate", "event_tokens", "message_tokens"]

#: What a message costs besides its text: its role and its delimiters.
MESSAGE_OVERHEAD = 4
#: What a tool call or a result costs besides its text: delimiters, and an id of its own.
CALL_OVERHEAD = 12
#: What an image is taken for; the providers' own rules depend on its size.
IMAGE_TOKENS = 1000

#: Longer texts are estimated: tiktoken is slow on them, and the error evens out.
EXACT_CHARACTERS = 200_000
#: A reported number for less than this says more of the fixed parts than of the text.
CALIBRATION_TOKENS = 50

_LEAST, _MOST = 0.5, 2.0


def count(text: str) -> int:
    """The tokens of ``text``: exact where tiktoken works offline, else estimated."""
    exact = tokens_tiktoken.counter() if len(text) <= EXACT_CHARACTERS else None
    return exact(text) if exact else estimate(text)


def event_tokens(event: Event) -> int:
    """The tokens ``event`` adds to the messages a model is sent."""
    if event.kind == "tool_call":
        return CALL_OVERHEAD + count(event.name or "") + count(event.content)
    overhead = CALL_OVERHEAD if event.kind == "tool_result" else MESSAGE_OVERHEAD
    return overhead + count(event.content)


def message_tokens(message: t.Mapping[str, t.Any]) -> int:
    """The tokens of one message of the OpenAI chat format."""
    calls = message.get("tool_calls") or ()
    total = _content_tokens(message.get("content")) + sum(map(_call_tokens, calls))
    if calls and not message.get("content"):
        return total
    return total + (CALL_OVERHEAD if message.get("role") == "tool" else MESSAGE_OVERHEAD)


def _call_tokens(call: t.Mapping[str, t.Any]) -> int:
    function = call.get("function") or {}
    arguments = function.get("arguments")
    return CALL_OVERHEAD + count(str(function.get("name") or "")) + _content_tokens(arguments)


def _content_tokens(content: t.Any) -> int:
    """The tokens of a text, of a list of parts, or of anything as JSON."""
    if content is None:
        return 0
    if isinstance(content, str):
        return count(content)
    if isinstance(content, (list, tuple)):
        return sum(map(_content_tokens, content))
    if isinstance(content, dict) and isinstance(content.get("text"), str):
        return count(content["text"])
    if isinstance(content, dict) and "image" in str(content.get("type", "")):
        return IMAGE_TOKENS
    return count(json.dumps(content, ensure_ascii=False, default=str))


@dataclasses.dataclass(frozen=True)
class Calibration:
    """How many tokens a session's provider counts where one is estimated.

    :param ratio: reported over estimated; ``None`` before anything was reported.
    """

    ratio: float | None = None

    def calibrated(self, estimated_total: int, reported_total: int) -> Calibration:
        """What is known after a provider has reported the tokens of one request.

        The first report counts whole; later ones move the ratio half the way, so that
        one odd report does not. A ratio stays between 0.5 and 2.

        :param estimated_total: what the whole request was estimated at.
        :param reported_total: what the provider says it was.
        """
        if estimated_total < CALIBRATION_TOKENS or reported_total <= 0:
            return self
        ratio = _bounded(reported_total / estimated_total)
        return Calibration(ratio if self.ratio is None else (_bounded(self.ratio) + ratio) / 2)

    def apply(self, estimated: int) -> int:
        """``estimated`` tokens as the provider would count them."""
        return estimated if self.ratio is None else round(estimated * _bounded(self.ratio))


def _bounded(ratio: float) -> float:
    return min(max(ratio, _LEAST), _MOST)
