"""Fixtures every test may use: databases of each kind, and the browser."""

from __future__ import annotations

import collections
import contextlib
import os
import typing as t
from pathlib import Path

import hypothesis
import pytest

from tests import databases

#: What a developer may have exported and a test must not find.
SETTINGS = (
    "WEB_UI_GATEWAY_DATABASE_URL",
    "AGENT_DATABASE_URL",
    "PLATFORM_DATABASE_URL",
    "SESSION_SECRET_KEY",
    "SESSION_SECRET_KEY_FALLBACKS",
    "OPENAI_API_KEY",
    "OPENAI_BASE_URL",
    "FLASK_APP",
    "FLASK_DEBUG",
)

# How long an example takes says nothing about it on a shared machine.
hypothesis.settings.register_profile(
    "mesh", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)


def pytest_configure(config: pytest.Config) -> None:
    databases.required()  # a misspelt requirement must not pass as "nothing is required"
    hypothesis.settings.load_profile("mesh")
    for name in SETTINGS:
        os.environ.pop(name, None)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = _not_tested(terminalreporter.stats.get("skipped", []))
    if not skipped:
        return
    terminalreporter.section("NOT EVERYTHING WAS TESTED", sep="!", red=True, bold=True)
    for reason, count in sorted(skipped.items()):
        terminalreporter.write_line(f"{reason} [{count} tests skipped]", red=True, bold=True)


def _not_tested(reports: t.Iterable[pytest.TestReport]) -> collections.Counter[str]:
    counts: collections.Counter[str] = collections.Counter()
    for report in reports:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
        _, mark, rest = reason.partition(databases.NOT_TESTED)
        if mark:
            counts[mark + rest] += 1
    return counts


@pytest.fixture(scope="module", params=databases.BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    """Each kind of database in turn: ``sqlite``, ``postgresql``, ``mariadb``."""
    name: str = request.param
    databases.need(name)
    return name


@pytest.fixture
def make_database_url(backend: str, tmp_path: Path) -> t.Iterator[t.Callable[[], str]]:
    """A function that makes a fresh empty database of the current kind; all go at teardown."""
    with contextlib.ExitStack() as stack:
        yield lambda: stack.enter_context(databases.temporary_database(backend, tmp_path))


@pytest.fixture
def database_url(make_database_url: t.Callable[[], str]) -> str:
    """The URL of a fresh empty database of the current kind."""
    return make_database_url()


@pytest.fixture
def sqlite_url(tmp_path: Path) -> t.Iterator[str]:
    """The URL of a fresh SQLite database, for tests that are the same on every database."""
    with databases.temporary_database("sqlite", tmp_path) as url:
        yield url


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """The path of a Chromium that Playwright can drive."""
    databases.need(databases.BROWSER)
    path = databases.find_chromium()
    assert path is not None
    return path
