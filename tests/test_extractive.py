"""The summary made without a model: what it keeps, and the literals it is completed with."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_mesh_sessions.compaction.blocks import Block
from flask_mesh_sessions.compaction.extractive import HEADER, summarise
from flask_mesh_sessions.compaction.literals import literals, missing
from flask_mesh_sessions.compaction.sentences import sentences
from flask_mesh_sessions.compaction.summaries import budget, rendered
from flask_mesh_sessions.compaction.tokens_estimate import estimate

TEXTS = Path(__file__).parent / "texts"

SMALL_TALK = (
    ("Thanks, that looks good to me so far.", "Of course. Tell me when you want to go on."),
    ("Okay, and what comes after that?", "Then you check the result and repeat the step."),
    ("Could you rephrase it?", "Sure. It is easier to test parts that stand alone."),
)

FACTS = {
    "id": ("My order number is SHOP-{n}.", "SHOP-{n}"),
    "path": ("The settings lie in /srv/app{n}/settings.yaml.", "/srv/app{n}/settings.yaml"),
    "number": ("The budget for the north office is {n} euros.", "{n}"),
    "negation": ("Do not use the library zeta{n} in this project.", "zeta{n}"),
    "instruction": ("Please always answer in the style brief{n}.", "brief{n}"),
    "name": ("My colleague Odalys{n} looks after billing.", "Odalys{n}"),
    "chinese": ("请记住服务器的名字是蓝鲸{n}。", "蓝鲸{n}"),
    "hindi": ("कृपया याद रखें कि कमरा संख्या {n} है।", "{n}"),
}


def talk(facts: list[str], rounds: int, rng: random.Random) -> list[Block]:
    """Small talk with ``facts`` somewhere in between."""
    places = dict(zip(sorted(rng.sample(range(rounds), len(facts))), facts, strict=True))
    said = []
    for at in range(rounds):
        question, answer = rng.choice(SMALL_TALK)
        said += [Block("User", places.get(at, question)), Block("Agent", answer)]
    return said


@pytest.mark.parametrize("compactions", [1, 3, 10])
def test_planted_facts_outlive_many_compactions(compactions):
    rng = random.Random(compactions)
    planted = {kind: str(rng.randint(1000, 9999)) for kind in FACTS}
    facts = [text.format(n=planted[kind]) for kind, (text, _) in FACTS.items()]
    summary = ""
    for number in range(compactions):
        said = talk(facts if number == 0 else [], 40, rng)
        room = budget(estimate(rendered(said)))
        summary = summarise(said, room, summary)
        assert estimate(summary) <= room * 1.05
    assert [k for k, (_, n) in FACTS.items() if n.format(n=planted[k]) not in summary] == []


@pytest.mark.parametrize(
    ("stale", "correction"),
    [
        ("The port of the billing service is 1111.", "The port of the billing service is 2222."),
        ("The meeting takes 1111 minutes.", "No, the meeting takes 2222 minutes."),
        ("Send 1111 copies to Lisbon.", "Actually, send 2222 copies to Lisbon."),
        ("服务器的端口是1111。", "更正一下，服务器的端口是2222。"),
    ],
)
def test_a_value_that_was_corrected_gives_way(stale, correction):
    said = [Block("User", stale), Block("Agent", "Noted."), Block("User", correction)]
    assert "2222" in summarise(said, 300)
    assert "1111" not in summarise(said, 300)
    # Also when the value was already in an earlier summary.
    earlier = summarise(said[:2], 300)
    assert "1111" in earlier
    assert "1111" not in summarise(said[2:], 300, earlier)


def test_what_an_agent_says_does_not_overrule_the_user():
    said = [
        Block("User", "The port of the billing service is 1111."),
        Block("Agent", "No, the port of the billing service is 2222."),
    ]
    assert "1111" in summarise(said, 300)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Please order 7 chairs.", "Please order 9 chairs."),
        ("The budget is 1111 euros.", "The budget meeting is now at 10:30."),
        ("The port of the shop is 1111.", "No, the colour of the door is 2222."),
    ],
)
def test_what_is_not_corrected_stays(first, second):
    summary = summarise([Block("User", first), Block("User", second)], 300)
    assert first in summary and second in summary


def test_a_short_correction_is_quoted_with_what_it_corrects():
    said = [
        Block("User", "How many nodes?"),
        Block("Agent", "The cluster has 5 nodes."),
        Block("User", "No, it is 7."),
    ]
    line = "- User: No, it is 7. (said after: “The cluster has 5 nodes.”)"
    summary = summarise(said, 200)
    assert line in summary
    assert line in summarise([Block("User", "Fine.")], 200, summary)


def test_the_user_comes_before_the_agent_and_the_tools():
    text = "The invoice of Tuesday has the number 77123."
    said = [Block("Tool", text + " T"), Block("Agent", text + " A"), Block("User", text + " U")]
    room = estimate(f"{HEADER}\n- User: {text}") + 5
    assert summarise(said, room).splitlines()[1:] == [f"- User: {text}"]


def test_sentences_stand_in_the_order_they_were_said_and_the_extract_says_what_it_is():
    said = [Block("User", f"Please order {n} chairs for room {n}0{n}.") for n in (7, 3, 5)]
    lines = summarise(said, 400).splitlines()
    assert lines[0] == HEADER
    assert "program" in HEADER
    assert lines[1:] == [f"- User: {block.text}" for block in said]


def test_a_summary_of_a_model_is_taken_up_by_its_sentences():
    previous = "The user wants a blue door. The budget is 900 euros."
    summary = summarise([Block("User", "Thanks!")], 200, previous)
    assert "- The user wants a blue door." in summary
    assert "- The budget is 900 euros." in summary


def test_nothing_to_say_is_no_summary():
    assert summarise([], 500) == ""
    assert summarise([Block("User", "The code is 4711.")], 5) == ""


blocks = st.builds(Block, st.sampled_from(["User", "Agent", "Tool"]), st.text())


@given(st.lists(blocks, max_size=6), st.integers(0, 400), st.text())
def test_no_text_is_too_odd_and_the_size_is_bounded(said, room, previous):
    summary = summarise(said, room, previous)
    assert summary == summarise(said, room, previous)
    assert not summary or estimate(summary) <= room * 1.1 + 5


@pytest.mark.parametrize("kind", ["english", "chinese", "japanese", "korean", "hindi", "arabic"])
def test_the_price_and_the_preference_are_found_in_any_language(kind):
    text = (TEXTS / f"{kind}.txt").read_text("utf-8")
    summary = summarise([Block("User", text)], estimate(text) // 2)
    assert "1450" in summary.replace(",", "")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        ("一。二！三？", ["一。", "二！", "三？"]),
        ("पहला। दूसरा।", ["पहला।", "दूसरा।"]),
        ("هل هذا؟ نعم.", ["هل هذا؟", "نعم."]),
        ("Ask Dr. Hale, e.g. now. Bye.", ["Ask Dr. Hale, e.g. now.", "Bye."]),
        ("Use 2.14.3 now.\nThen stop", ["Use 2.14.3 now.", "Then stop"]),
        (" \n ", []),
    ],
)
def test_sentences_of_many_scripts_are_split(text, expected):
    assert list(sentences(text)) == expected


@pytest.mark.parametrize(
    "literal",
    [
        "https://wiki.example.com/ops/rollback#databases",
        "ines.okafor@example.com",
        "123e4567-e89b-42d3-a456-426614174000",
        "2026-03-14T09:21:07Z",
        "4月9日",
        "/var/log/nginx/error.log",
        r"C:\Users\Ann\file.txt",
        "src/lib/utils.ts",
        "config.yaml",
        "10.4.17.203:8080",
        "v2.14.3",
        "SHOP-1234",
        "#882",
        "ord_7Hq2",
        "9f86d08",
        "15501234567890",
        "$1,450",
        "240 s",
        "12.5 %",
        "10:30",
        "max_input_tokens",
        "getUserName",
        "INDEX_VERSION",
    ],
)
def test_literals_of_every_kind_are_found_whole(literal):
    assert literals(f"It is {literal}, as I said.") == (literal,)


def test_quoted_names_are_literals_and_prose_is_not():
    assert literals("Run `make all` for the “pilot project” again") == ("make all", "pilot project")
    assert literals("Well, this is a sentence about nothing in particular.") == ()


def test_what_the_summary_lacks_is_listed_once_and_what_matters_most_first():
    removed = "Order SHOP-12 has 3 lamps. See /etc/app.conf and 2027-03-04. SHOP-12 again, 25 now."
    lacking = missing(removed, "Lamps were ordered by 2027-03-04, 250 of them.")
    assert lacking[0] == "SHOP-12"
    assert set(lacking) == {"SHOP-12", "/etc/app.conf", "3", "25"}


@given(st.integers(0, 10), st.integers(0, 60))
def test_the_list_is_bounded_by_count_and_by_tokens(count, tokens):
    removed = " ".join(f"ID-{n}" for n in range(100, 200))
    lacking = missing(removed, "", max_count=count, max_tokens=tokens)
    assert len(lacking) <= count
    assert sum(estimate(text) + 1 for text in lacking) <= tokens
