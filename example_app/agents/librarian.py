"""An agent without a model: it answers from what was said earlier in the conversation."""

from __future__ import annotations

import math
import re
import time
import typing as t
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from flask import current_app

from flask_mesh_sessions import Turn

from .words import is_question, neighbours, plainly, sentences, stems

#: How many questions of one message are answered, how many things are listed, and how much of
#: one thing is quoted.
ANSWERED = 5
LISTED = 20
QUOTED = 300

_SMALL = 80
_GREETING = re.compile(r"(hello|hi|hey|good (morning|day|evening)|how are you)\b[^\w]*(there)?\W*")
_THANKS = re.compile(r"(thanks|thank you|ok|okay|great|good|yes|no)\b( (so|very) much| a lot)?\W*")
_HELP = re.compile(r"help\W*|(what can you do|who are you|how do(es)? (you|this) work)\W*")
_ENDS = (".", "!", "?", "…", "。", "！", "？")
_SUMMARY = "Summary of the conversation so far"

INTRODUCTION = (
    "I am the librarian. Tell me things, and ask me about them later: I answer from what you"
    " said in this conversation, word for word."
)


@dataclass(frozen=True)
class Memory:
    """One thing that was said."""

    text: str
    #: Whether it is known from a summary only, in the summary's words.
    summarised: bool = False

    def __str__(self) -> str:
        whole = self.text if len(self.text) <= QUOTED else f"{self.text[:QUOTED]}…"
        source = "the summary of our conversation says" if self.summarised else "you said"
        return f"{source}: {whole}{'' if whole.endswith(_ENDS) else '.'}"


def librarian(turn: Turn) -> Iterator[str]:
    """Answer word by word, so that one can see the answer stream."""
    delay = current_app.config["WORD_DELAY"]
    for word in re.findall(r"\s*\S+", answer(turn.messages)):
        yield word
        time.sleep(delay)


def answer(messages: Sequence[t.Mapping[str, t.Any]]) -> str:
    """The answer to the last message.

    :param messages: the conversation in the OpenAI chat format.
    """
    said = [sentence for text in _user_texts(messages[-1:]) for sentence in sentences(text)]
    memories = [*_memories(messages[:-1]), *_statements(said)]
    questions = [sentence for sentence in said if is_question(sentence)]
    if questions:
        return "\n\n".join(_looked_up(question, memories) for question in questions[:ANSWERED])
    if not _statements(said):
        return _small_talk(plainly(" ".join(said)))
    count = len(set(memories))
    return f"I will remember that. {f'That makes {count} things.' if count > 1 else ''}".strip()


def _small_talk(text: str) -> str:
    if _is(_THANKS, text):
        return "You are welcome."
    return f"Hello! {INTRODUCTION}" if _is(_GREETING, text) else INTRODUCTION


def _is(kind: re.Pattern[str], plain: str) -> bool:
    return len(plain) <= _SMALL and kind.fullmatch(plain) is not None


def _looked_up(question: str, memories: Sequence[Memory]) -> str:
    plain = plainly(question)
    if _is(_HELP, plain) or _is(_GREETING, plain):
        return _small_talk(plain)
    wanted = stems(question)
    if not wanted:
        return _everything(memories)
    ranked = _ranked(question, memories)
    if not ranked:
        return "I do not know: you have not told me anything about that."
    best, *others = ranked
    found = stems(best.text) & wanted
    if len(found) * 2 <= len(wanted):
        return f"I am not sure, but this comes closest: {best}"
    pairs = neighbours(question) & neighbours(best.text)
    for other in others:
        if other.text != best.text and _fits(other, found, pairs):
            return f"{_sentence(best)}\n\nBefore that, {other}"
    return _sentence(best)


def _fits(memory: Memory, found: set[str], pairs: set[tuple[str, str]]) -> bool:
    """Whether a memory answers a question as well as one that shares these words with it."""
    return found <= stems(memory.text) and pairs <= neighbours(memory.text)


def _sentence(memory: Memory) -> str:
    text = str(memory)
    return text[0].upper() + text[1:]


def _everything(memories: Sequence[Memory]) -> str:
    if not memories:
        return "Nothing yet. Tell me something first."
    latest = list(dict.fromkeys(memories))[-LISTED:]
    more = len(set(memories)) - len(latest)
    title = f"The latest {len(latest)} of {more + len(latest)} things:" if more else "I remember:"
    return "\n".join([title, "", *(f"- {_sentence(memory)}" for memory in latest)])


def _ranked(question: str, memories: Sequence[Memory]) -> list[Memory]:
    """What shares words with the question: the rarest words first, then the latest."""
    wanted, side_by_side = stems(question), neighbours(question)
    shared = [stems(memory.text) & wanted for memory in memories]
    counts = Counter(word for found in shared for word in found)
    weights = {word: math.log(1 + len(memories) / count) for word, count in counts.items()}

    def rank(index: int) -> tuple[float, int, int]:
        weight = round(sum(weights[word] for word in shared[index]), 6)
        return weight, len(neighbours(memories[index].text) & side_by_side), index

    found = [index for index, common in enumerate(shared) if common]
    return [memories[index] for index in sorted(found, key=rank, reverse=True)]


def _memories(messages: Sequence[t.Mapping[str, t.Any]]) -> list[Memory]:
    found: list[Memory] = []
    for text in _user_texts(messages):
        if text.startswith(_SUMMARY):
            lines = [line for line in text.splitlines()[1:] if line.strip("~ ")]
            found += [Memory(line.strip(), summarised=True) for line in lines]
        else:
            found += _statements(sentences(text))
    return found


def _statements(said: Sequence[str]) -> list[Memory]:
    kept = (sentence for sentence in said if not is_question(sentence))
    return [Memory(sentence) for sentence in kept if not _is_small_talk(plainly(sentence))]


def _is_small_talk(plain: str) -> bool:
    kinds = (_GREETING, _THANKS, _HELP)
    return any(_is(kind, plain) for kind in kinds) or not re.search(r"\w", plain)


def _user_texts(messages: Sequence[t.Mapping[str, t.Any]]) -> list[str]:
    return [message["content"] for message in messages if message["role"] == "user"]
