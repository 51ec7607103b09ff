"""The cut: whole turns, whole tool calls, and as near to the percentage as that allows."""

from __future__ import annotations

import itertools
import typing as t
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_mesh_sessions.agents.log import Context, Event, Kind, Summary
from flask_mesh_sessions.agents.messages import PENDING, to_messages
from flask_mesh_sessions.compaction.cut import Plan, Refusal, next_percentage, plan

#: One turn: what happens in it after the user's message. A letter is a tool call's id;
#: a capital calls, a small one is the result.
SHAPES = ("", ".", "A.", "a.", "Aa.", "B.", "b.", "AB.", "ba.")


def log(*turns: str, first_seq: int = 1) -> list[Event]:
    """The events of ``turns``: ``.`` is the agent's answer."""
    entries: list[tuple[int, Kind, str | None]] = []
    for number, turn in enumerate(turns, 1):
        entries.append((number, "user", None))
        for char in turn:
            kind: Kind = (
                "agent" if char == "." else "tool_call" if char.isupper() else "tool_result"
            )
            entries.append((number, kind, None if char == "." else char.lower()))
    return [
        Event(seq, turn, kind, "x", "tool" if kind == "tool_call" else None, call_id)
        for seq, (turn, kind, call_id) in enumerate(entries, first_seq)
    ]


def allowed(events: t.Sequence[Event], cut: int) -> bool:
    """Whether a cut before ``events[cut]`` keeps turns, and calls with their results, whole."""
    before, after = events[:cut], events[cut:]
    if after[0].kind != "user" or after[0].turn == before[-1].turn:
        return False
    latest: dict[str | None, int] = {}
    for at, event in enumerate(events):
        if event.kind == "tool_call":
            latest[event.call_id] = at
        elif event.kind == "tool_result" and latest.get(event.call_id, cut) < cut <= at:
            return False
    return True


def best(
    events: t.Sequence[Event], percentage: float, costs: list[int], previous: int
) -> int | None:
    """The cut an exhaustive search finds: an index, or ``None``."""
    total = previous + sum(costs)
    found: list[tuple[Fraction, int]] = []
    for cut in range(1, len(events)):
        if allowed(events, cut):
            gone = previous + sum(costs[:cut])
            found.append((abs(Fraction(str(percentage)) * total - gone), cut))
    return min(found)[1] if found else None


def planned(events: t.Sequence[Event], percentage: float, **keywords: t.Any) -> Plan:
    result = plan(events, percentage, **keywords)
    assert isinstance(result, Plan)
    return result


def ids_used_once(events: list[Event]) -> list[Event]:
    """The same log with an id of its own for every call, as the runtime gives out."""
    latest: dict[str | None, str] = {}
    renamed = []
    for event in events:
        if event.kind == "tool_call":
            latest[event.call_id] = f"{event.call_id}{event.seq}"
        renamed.append(event._replace(call_id=latest.get(event.call_id, event.call_id)))
    return renamed


def one(event: Event) -> int:
    return 1


@pytest.mark.parametrize("percentage", [0.25, 0.5, 0.8, 1.0])
def test_every_small_log_is_cut_where_an_exhaustive_search_cuts(percentage):
    for turns in itertools.chain(*(itertools.product(SHAPES, repeat=n) for n in range(5))):
        events = log(*turns)
        expected = best(events, percentage, [1] * len(events), 2)
        result = plan(events, percentage, previous_tokens=2, tokens=one)
        assert (len(result.removed) if isinstance(result, Plan) else None) == expected, turns


turn_lists = st.lists(st.sampled_from(SHAPES), max_size=12)
percentages = st.floats(0, 1, exclude_min=True)


@given(turn_lists, percentages, st.integers(0, 60), st.data())
def test_a_log_of_any_sizes_is_cut_where_an_exhaustive_search_cuts(turns, percentage, old, data):
    events = log(*turns)
    costs = data.draw(st.lists(st.integers(0, 50), min_size=len(events), max_size=len(events)))
    price = {event.seq: cost for event, cost in zip(events, costs, strict=True)}
    result = plan(events, percentage, previous_tokens=old, tokens=lambda e: price[e.seq])
    cut = best(events, percentage, costs, old)
    if cut is None:
        assert isinstance(result, Refusal) and result.detail
    else:
        assert isinstance(result, Plan)
        assert (result.removed, result.kept) == (events[:cut], events[cut:])
        assert result.through_seq == events[cut - 1].seq
        assert result.tokens_before == old + sum(costs)
        assert result.tokens_kept == sum(costs[cut:])
        assert result.tokens_removed == old + sum(costs[:cut])
        assert result.turns == len({event.turn for event in result.removed})


@given(turn_lists, percentages)
def test_every_call_is_answered_as_before_and_no_result_turns_into_text(turns, percentage):
    events = ids_used_once(log(*turns))
    result = plan(events, percentage)
    if isinstance(result, Plan):
        before = to_messages(Context(None, events))
        after = to_messages(Context(None, result.kept))
        assert before[-len(after) :] == after


@given(turn_lists, percentages, percentages)
def test_a_larger_percentage_never_removes_less(turns, one_share, other):
    low, high = (plan(log(*turns), share) for share in sorted((one_share, other)))
    assert type(low) is type(high)
    if isinstance(low, Plan) and isinstance(high, Plan):
        assert low.through_seq <= high.through_seq


@given(turn_lists, percentages)
def test_chained_compactions_come_to_an_end_and_leave_the_last_turn(turns, percentage):
    events: t.Sequence[Event] = log(*turns)
    last = events[-1].turn if events else 0
    for _ in turns:
        result = plan(events, percentage, previous_tokens=7)
        if isinstance(result, Refusal):
            break
        assert len(result.kept) < len(events)
        events = result.kept
    assert isinstance(plan(events, percentage), Refusal)
    assert {e.turn for e in events} >= ({last} if last else set())


def test_everything_but_the_last_turn_goes_at_1():
    assert planned(log(".", "Aa.", ".", "."), 1.0).turns == 3


def test_of_two_cuts_as_near_the_smaller_is_taken():
    assert planned(log(".", ".", "."), 0.5, tokens=one).turns == 1


def test_the_previous_summary_counts_among_the_live_tokens():
    # 10 of 20 tokens are to go: the summary is 6 of them, so two turns of two are enough.
    result = planned(log(*["."] * 7), 0.5, previous_tokens=6, tokens=one)
    assert (result.turns, result.tokens_before, result.tokens_kept) == (2, 20, 10)


def test_a_late_result_keeps_the_turns_between_together():
    assert planned(log(".", "A.", ".", "a.", "."), 0.5, tokens=one).turns == 1
    assert planned(log(".", "A.", ".", "a.", "."), 0.8, tokens=one).turns == 4


def test_a_call_without_a_result_pins_nothing():
    result = planned(log("A.", ".", "."), 0.3, tokens=one)
    assert result.turns == 1
    assert PENDING not in str(to_messages(Context(None, result.kept)))


def test_a_result_whose_call_is_compacted_already_pins_nothing():
    assert planned(log("a.", "."), 1.0).turns == 1


def test_an_id_that_is_used_again_pins_only_its_own_turn():
    assert planned(log("Aa.", "Aa.", "Aa."), 0.3, tokens=one).turns == 1


def test_a_second_user_message_within_a_turn_is_no_place_to_cut():
    events = [*log("."), Event(3, 1, "user", "x", None, None), *log("..", first_seq=4)]
    assert isinstance(plan(events, 0.5), Refusal)


@pytest.mark.parametrize(
    ("turns", "reason"),
    [
        ([], "empty"),
        (["."], "too_little_history"),
        (["A.", "a."], "tool_results_outstanding"),
    ],
)
def test_a_refusal_says_why(turns, reason):
    result = plan(log(*turns), 0.5, previous_tokens=100)
    assert isinstance(result, Refusal)
    assert result.reason == reason
    assert result.detail.startswith("There is")


@pytest.mark.parametrize("percentage", [0, -0.1, 1.1, float("nan"), float("inf")])
def test_a_percentage_out_of_range_is_refused(percentage):
    with pytest.raises(ValueError, match="above 0 and at most 1"):
        plan(log(".", "."), percentage)


@pytest.mark.parametrize("percentage", [0.01, 0.25, 0.5, 0.8])
def test_each_attempt_takes_more_and_the_third_everything(percentage):
    shares = [next_percentage(percentage, attempt) for attempt in (1, 2, 3, 4)]
    assert shares[0] == percentage < shares[1] < shares[2] == shares[3] == 1.0


def test_a_summary_and_what_is_kept_are_in_the_order_they_were_said():
    result = planned(log(".", "Aa.", "."), 0.3)
    summary = Summary("earlier", result.through_seq)
    assert [m["role"] for m in to_messages(Context(summary, result.kept))] == [
        "user",
        *(m["role"] for m in to_messages(Context(None, result.kept))),
    ]
