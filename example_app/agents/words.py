"""Just enough about language to find again what somebody said, in any script."""

from __future__ import annotations

import re
import unicodedata

# Not after the short forms that stand before a name.
_SENTENCE_END = re.compile(
    r"(?<=[.!?…])(?<!\bMr\.)(?<!\bMrs\.)(?<!\bMs\.)(?<!\bDr\.)(?<!\bSt\.)\s+|(?<=[。！？؟])\s*|\n+"
)
_ASKS = re.compile(
    r"(who|what|which|whose)\b"
    r"|(when|where|why|how)('s)?\s+(is|are|was|were|am|do|does|did|can|will|should|has|have|had"
    r"|many|much|old|long|far|often)\b"
    r"|(do|does|did|is|are|am|was|were|can|could|will|would|have|has)\s+(i|you|we|he|she|they|it"
    r"|my|there|the)\b"
)
_TELLS_TO_ANSWER = re.compile(r"(please\s+)?(tell me|remind me)\b")
_ASKS_TO_REMEMBER = re.compile(r"(can|could|will|would)\s+you\s+(please\s+)?(remember|note)\b")
# In a script without spaces, each Chinese character is a word; hiragana is left out, as it is
# mostly grammar.
_WORD = re.compile(r"[\u3400-\u9fff]|[\u30a0-\u30ff]+|[^\W\u3040-\u30ff\u3400-\u9fff]+")
_ENDINGS = ("ing", "ed", "es", "s", "e")
_SAME = {"called": "name", "named": "name"}
_COMMON = frozenset(
    """a about again all also am an and any anything are as at be been but by can could did do does
    everything for from had has have he her his how i if in is it its just knew know many me mention
    mentioned mine much my no not now of often on or our please recall remember remind said say she
    should so some something tell than that the their them then there they thing things this to
    told us was we were what when where which who whose why will with would yes you your
    s m re ve d ll t""".split()
)


def sentences(text: str) -> list[str]:
    """The sentences of a text."""
    return [part.strip() for part in _SENTENCE_END.split(text) if part and part.strip()]


def is_question(sentence: str) -> bool:
    """Whether a sentence asks for something."""
    plain = plainly(sentence)
    if plain.rstrip("\"')]»”").endswith(("?", "؟")):
        return _ASKS_TO_REMEMBER.match(plain) is None
    if _TELLS_TO_ANSWER.match(plain):
        return True
    return not plain.endswith(".") and _ASKS.match(plain) is not None


def plainly(text: str) -> str:
    """A text without the differences that mean nothing: case, width, kinds of apostrophes."""
    plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return plain.replace("\u2019", "'").strip()


def words(text: str) -> list[str]:
    """The words of a text."""
    return [_SAME.get(word, word) for word in _WORD.findall(plainly(text))]


def stems(text: str) -> set[str]:
    """What a text is about: its words but the most common, without their endings."""
    return {_stem(word) for word in words(text) if word not in _COMMON}


def neighbours(text: str) -> set[tuple[str, str]]:
    """The words that stand side by side in a text."""
    found = [_stem(word) for word in words(text)]
    return set(zip(found, found[1:], strict=False))


def _stem(word: str) -> str:
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word.removesuffix(ending)
    return word
