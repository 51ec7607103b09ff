"""The benchmarks run, and their table has every row. How fast anything is is not tested."""

from __future__ import annotations

import json

import pytest

from benchmarks import __main__ as benchmarks
from benchmarks.measure import Sizes

TINY = Sizes(
    rounds=2, each=2, history=20, contexts=(10, 20), pasts=(10, 20), sessions=40,
    writers=2, writer_rounds=2, turns=2,
)  # fmt: skip


def test_every_row_is_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(benchmarks, "QUICK", TINY)
    benchmarks.main(["--database", "sqlite", "--quick", "--json"])
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    operations = " ".join(row["operation"] for row in rows)
    for wanted in (
        "append a turn: fresh session",
        "append a turn: after 20 events",
        "live context of 10 events",
        "live context of 20 events behind 20",
        "first page of 20 of 40 sessions, by cursor",
        "writers on 2 sessions",
        "writers on one session",
    ):
        assert wanted in operations
    for row in rows:
        assert row["database"] == "sqlite" and row["ratio"] > 0
        if row["turns"]:
            sound = {"lost": 0, "duplicated": 0, "split": 0, "failed": 0}
            assert {**row["turns"], "sent": 0} == {"sent": 0, **sound}
    assert any(row["turns"] for row in rows)


def test_the_table_is_readable(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(benchmarks, "QUICK", TINY)
    benchmarks.main(["--database", "sqlite", "--quick"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:3] == ["database", "operation", "ratio"]
    assert any("0 lost, 0 doubled, 0 split, 0 failed" in line for line in lines)
