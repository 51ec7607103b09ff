"""``python -m benchmarks``: measure, and print the table."""

from __future__ import annotations

import argparse
import json
import sys
import typing as t

from tests.databases import BACKENDS, missing

from . import listing, memory, writers
from .measure import QUICK, Measured, Sizes
from .world import world


def main(arguments: t.Sequence[str] | None = None) -> int:
    """Measure what the command line asks for.

    :return: 1 if a turn was lost, doubled, split or failed, or a database does not answer.
        Whether the ratios will do is for the reader to say: machines differ.
    """
    options = _parser().parse_args(arguments)
    names = BACKENDS if options.database == "all" else (options.database,)
    show = _json if options.json else _line
    if not options.json:
        print(_HEAD)
    status = 0
    for name in names:
        reason = missing(name)
        if reason is not None:
            print(f"{name} is not measured: {reason}", file=sys.stderr)
            status = 1
            continue
        for measured in measure(name, QUICK if options.quick else Sizes()):
            print(show(measured), flush=True)
            if measured.turns is not None and not measured.turns.sound:
                status = 1
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--database", choices=(*BACKENDS, "all"), default="all")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, more noise")
    parser.add_argument("--json", action="store_true", help="one JSON object per line")
    return parser


def measure(name: str, sizes: Sizes) -> t.Iterator[Measured]:
    """Every row of one kind of database.

    :param name: ``sqlite``, ``postgresql`` or ``mariadb``.
    """
    with world(name) as found:
        for part in (memory, listing, writers):
            yield from part.measure(found, sizes)


_HEAD = f"{'database':<11}{'operation':<62}{'ratio':>7}{'target':>8}{'ours ms':>10}{'by hand':>10}"


def _line(row: Measured) -> str:
    target = f"< {row.target:g}" if row.target else ""
    missed = "  MISSED" if row.met is False else ""
    ours, by_hand = row.comparison.ours.median, row.comparison.by_hand.median
    text = (
        f"{row.database:<11}{row.operation:<62}{row.comparison.ratio:>6.2f}x{target:>8}"
        f"{ours:>10.3f}{by_hand:>10.3f}{missed}"
    )
    if row.turns is None:
        return text
    found = row.turns
    return (
        f"{text}\n{'':<11}of {found.sent} turns: {found.lost} lost, {found.duplicated} doubled,"
        f" {found.split} split, {found.failed} failed"
    )


def _json(row: Measured) -> str:
    found = None if row.turns is None else vars(row.turns)
    values = {
        "database": row.database,
        "operation": row.operation,
        "ratio": round(row.comparison.ratio, 3),
        "target": row.target,
        "ours_ms": round(row.comparison.ours.median, 4),
        "by_hand_ms": round(row.comparison.by_hand.median, 4),
        "turns": found,
    }
    return json.dumps(values)


if __name__ == "__main__":
    sys.exit(main())
