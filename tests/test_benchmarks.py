"""The benchmarks run, and their table has every row. How fast anything is is not tested."""

from __future__ import annotations

import json
import typing as t
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from benchmarks import __main__ as benchmarks
from benchmarks import world, writers
from benchmarks.measure import Comparison, Measured, Sizes, Times, Turns, compare
from benchmarks.soundness import Sent, turns
from flask_mesh_sessions.agents.tables import agent_events as events
from flask_mesh_sessions.gateway.tables import chat_tasks as tasks
from tests import databases

TINY = Sizes(
    rounds=2, each=2, history=20, contexts=(10, 20), pasts=(10, 20), sessions=40,
    writers=2, writer_rounds=2, turns=2,
)  # fmt: skip
OPERATIONS = [
    "append a turn: new session",
    "append a turn: fresh session",
    "append a turn: after 20 events",
    "append a turn: after 20 events; by hand at once",
    "append an event: after 20 events",
    "live context of 10 events",
    "live context of 20 events",
    "live context of 20 events behind 10",
    "live context of 20 events behind 20",
    "first page of 20 of 40 sessions, by cursor",
    "first page of 20 of 40 sessions, by number with the count",
    "a turn of 2 writers on 2 sessions",
    "a turn of 2 writers on 2 sessions; by hand at once",
    "a turn of 2 writers on one session; by hand at once",
]
SOUND = {"lost": 0, "duplicated": 0, "split": 0, "failed": 0}


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmarks, "QUICK", TINY)


@pytest.mark.usefixtures("tiny")
def test_every_row_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    assert benchmarks.main(["--database", "sqlite", "--quick", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["operation"] for row in rows] == OPERATIONS
    for row in rows:
        assert row["database"] == "sqlite" and row["ratio"] > 0
    counted = [row["turns"] for row in rows if row["turns"]]
    assert len(counted) == 3
    for found in counted:
        assert found.pop("sent") > 0 and found == SOUND


@pytest.mark.usefixtures("tiny")
def test_the_table_is_readable(capsys: pytest.CaptureFixture[str]) -> None:
    benchmarks.main(["--database", "sqlite", "--quick"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:3] == ["database", "operation", "ratio"]
    assert any("0 lost, 0 doubled, 0 split, 0 failed" in line for line in lines)


@pytest.mark.usefixtures("tiny")
def test_a_database_that_does_not_answer_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    address = "postgresql://ada:s3cret@127.0.0.1:1/x"
    monkeypatch.setenv(databases.URL_VARIABLES["postgresql"], address)
    databases.missing.cache_clear()
    try:
        assert benchmarks.main(["--database", "postgresql"]) == 1
    finally:
        databases.missing.cache_clear()
    said = capsys.readouterr().err
    assert "postgresql is not measured" in said and "s3cret" not in said


def test_rounds_are_timed_in_turns() -> None:
    done: list[str] = []
    found = compare(lambda: done.append("ours"), lambda: done.append("by hand"), 2, 1)
    first, second = ["ours", "by hand"], ["by hand", "ours"]
    assert done in (first + second + first, second + first + second)
    assert len(found.ours.seconds) == len(found.by_hand.seconds) == 2


def test_the_ratio_is_the_median_of_the_rounds() -> None:
    """A round in which something else happened does not count for more than another."""
    comparison = Comparison(Times((0.2, 0.4, 9.0)), Times((0.1, 0.1, 0.1)))
    assert comparison.ratio == pytest.approx(4.0)
    assert comparison.ours.least == 200.0 and comparison.ours.median == 400.0
    assert comparison.per(10).ours.least == pytest.approx(20.0)
    assert Measured("x", "y", comparison, target=4.5).met is True
    assert Measured("x", "y", comparison, target=3.5).met is False
    assert Measured("x", "y", comparison).met is None


@pytest.fixture
def sent() -> t.Iterator[tuple[world.World, list[Sent]]]:
    """Turns that were sent, all of them whole."""
    with world.world("sqlite") as found, writers._app(found) as app:
        with ThreadPoolExecutor(2) as pool:
            crowd = writers._Writers(found, TINY, app, pool, 1)
            crowd.ours()
        yield found, crowd.sent


def checked(found: world.World, sent: list[Sent]) -> dict[str, int]:
    """What is wrong with them."""
    counts = vars(turns(found, sent))
    return {name: count for name, count in counts.items() if count and name != "sent"}


def change(found: world.World, statement: t.Any) -> None:
    """Change what was stored, as if it had gone wrong."""
    database = found.gateway if statement.table is tasks else found.agent
    assert database.write(lambda c: c.execute(statement).rowcount) == 1


def test_turns_that_are_whole_are_found_so(sent: tuple[world.World, list[Sent]]) -> None:
    assert turns(*sent) == Turns(sent=5, **SOUND)
    assert turns(*sent).sound


def test_a_turn_without_its_answer_in_the_history_is_lost(
    sent: tuple[world.World, list[Sent]],
) -> None:
    found, all_sent = sent
    one = tasks.c.task_id == all_sent[2].task_id
    change(found, sa.update(tasks).where(one).values(message_bubbles="[]"))
    assert checked(found, all_sent) == {"lost": 1}


def test_a_turn_without_its_answer_in_the_memory_is_lost_and_leaves_a_gap(
    sent: tuple[world.World, list[Sent]],
) -> None:
    found, all_sent = sent
    change(found, sa.delete(events).where(events.c.seq == 4))
    assert checked(found, all_sent).keys() == {"lost", "split"}


def test_a_turn_between_another_is_split(sent: tuple[world.World, list[Sent]]) -> None:
    found, all_sent = sent
    for seq, turn in ((4, 3), (5, 2)):
        change(found, sa.update(events).where(events.c.seq == seq).values(turn=turn))
    assert "split" in checked(found, all_sent)


def test_a_turn_that_ran_twice_is_duplicated(sent: tuple[world.World, list[Sent]]) -> None:
    found, all_sent = sent
    again = f"{all_sent[0].task_id} {world.QUESTION}"
    change(found, sa.update(events).where(events.c.seq == 3).values(content=again))
    assert checked(found, all_sent)["duplicated"] == 1


def test_a_turn_that_was_refused_has_failed(sent: tuple[world.World, list[Sent]]) -> None:
    found, all_sent = sent
    refused = Sent(all_sent[0].session_id, "never-stored", "TooManyWaiting")
    assert checked(found, [*all_sent, refused]) == {"failed": 1}
