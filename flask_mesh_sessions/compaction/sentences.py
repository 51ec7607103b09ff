"""Text split into sentences, in any language, and what a sentence says it is about."""

from __future__ import annotations

import re
import typing as t

#: What ends a sentence: Chinese and Japanese marks and the danda by themselves, the others
#: before white space.
_END = re.compile(r"(?<=[。！？｡।॥])(?![”’」』）])|(?<=[.!?؟۔…][\"'”’»)])\s+|(?<=[.!?؟۔…])\s+|\n")
_ABBREVIATION = re.compile(
    r"(?:^|\s|\()(?:[A-Za-z]|Mr|Mrs|Ms|Dr|Prof|St|vs|cf|ca|bzw|Nr"
    r"|[a-z]\.[a-z])\.$"
)
_WORD = re.compile(r"[^\W\d_]{2,}|[\u3040-\u30ff\u4e00-\u9fff]")
_CJK = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]+")

#: Words that say a sentence is a correction of something said before.
_CORRECTION = re.compile(
    r"^\s*(?:no|nope|wait|sorry|oops|actually|nein|doch|non|si|não|нет)\b[ ,.;:!–—-]"
    r"|\b(?:actually|correction|correct(?:ed|ing)?|instead|rather than|not .{1,40}? but|wrong"
    r"|mistake|"
    r"i meant|make (?:it|that)|chang(?:e|ed|ing)|updat(?:e|ed)|no longer|moved? to|now|"
    r"eigentlich|stattdessen|sondern|falsch|geändert|jetzt|en fait|plutôt|corrig\w+|maintenant|"
    r"en realidad|en lugar|ahora|errado|agora|на самом деле|вместо|ошиб\w+|теперь)\b"
    r"|不对|不是|应该是|而不是|改成|改为|更正|其实|现在|ではなく|じゃなく|違い|訂正|変更|実は|"
    r"아니|정정|변경|사실은|이제|नहीं बल्कि|गलत|बदल|असल में|अब|بل |خطأ|تصحيح|بدلا|في الواقع|الآن|وليس",
    re.IGNORECASE,
)
#: Words that say a sentence is a decision, a request, a rule or a preference.
_COMMITMENT = re.compile(
    r"\b(?:prefer|always|never|must|mustn't|don't|do not|should|shouldn't|remember|please"
    r"|need|want|"
    r"would like|i like|i hate|i use|rule|deadline|due|until|decid\w*|decision|agreed?|let's|we'll|"
    r"we will|will use|chose|chosen|approved?|rejected|confirmed?|important|allerg\w+|my|our|"
    r"is called|name is|todo|open question|still (?:have|need|open)|"
    r"immer|nie|niemals|bitte|muss|soll\w*|bevorzug\w*|möchte|entschieden|beschlossen|vereinbart|"
    r"toujours|jamais|préfère|doit|s'il (?:te|vous) plaît|décid\w+|siempre|nunca|prefiero|debe|"
    r"por favor|decid\w+|sempre|prefiro|deve|всегда|никогда|предпочита\w+|пожалуйста|нужно"
    r"|решили|должн\w+)\b"
    r"|总是|从不|不要|必须|应该|喜欢|请|记住|决定|同意|需要|我叫|必ず|絶対|ください|好き|決め|決定|お願い|"
    r"しないで|私は|항상|절대|마세요|주세요|좋아|결정|필요|반드시|हमेशा|कभी|कृपया|चाहिए|चाहता|पसंद|तय|ज़रूर|मेरा|"
    r"دائما|أبدا|يجب|من فضلك|أفضل|لا ت|قررنا|اتفقنا|أريد|اسمي",
    re.IGNORECASE,
)
_NAME = re.compile(r"(?<=[\w,;:] )[A-ZÀ-ÖØ-ÞА-Я][\w'-]+")
_STOP = frozenset(
    "the a an is are was were be been it its this that these those and or but not no of to in on at"
    " for from with by as i you we they he she my your our their me us do does did will would can"
    " could should have has had there here what which who how so if then now actually instead"
    " please der die das und ist ein eine le la les de et est un une el los es y que".split()
)


def sentences(text: str) -> t.Iterator[str]:
    """The sentences of ``text``, each without line ends and outer spaces."""
    held = ""
    for piece in _END.split(text):
        held = f"{held} {piece}".strip() if held else piece.strip()
        if held and not _ABBREVIATION.search(held[-12:]):
            yield held
            held = ""
    if held:
        yield held


def corrects(sentence: str) -> bool:
    """Whether it takes back, or replaces, something said before."""
    return _CORRECTION.search(sentence) is not None


def commits(sentence: str) -> bool:
    """Whether it decides, asks for, forbids or prefers something."""
    return _COMMITMENT.search(sentence) is not None


def asks(sentence: str) -> bool:
    """Whether it is a question."""
    return sentence.rstrip("\"'”’»」』) ").endswith(("?", "？", "؟"))


def names(sentence: str) -> int:
    """How many words within it are written as names are."""
    return len(_NAME.findall(sentence))


def topic(sentence: str) -> frozenset[str]:
    """The words it is about; where no spaces part words, pairs of characters."""
    folded = sentence.casefold()
    words = {w for w in _WORD.findall(_CJK.sub(" ", folded)) if w not in _STOP}
    pairs = {run[i : i + 2] for run in _CJK.findall(folded) for i in range(len(run) - 1)}
    return frozenset(words | pairs)
