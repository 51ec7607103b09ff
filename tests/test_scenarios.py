"""The four scenarios: who persists, by configuration alone, across a restart of the process."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest

from tests import databases
from tests.live import Answer, Browser, Server, gunicorn, reply

APP = "tests.live_app:app"
OPTIONS = ("--workers", "1", "--threads", "4")


class Deployment:
    """A server that can be restarted with the same settings."""

    def __init__(self, folder: Path, **urls: str) -> None:
        self._folder = folder
        self._urls = urls
        self.server = self._start()

    def _start(self) -> Server:
        return gunicorn(self._folder, APP, *OPTIONS, **self._urls)

    def restart(self) -> None:
        """Kill -9, and start again."""
        self.server.kill()
        self.server = self._start()

    @property
    def log(self) -> str:
        return self.server.log.read_text()


@pytest.fixture
def deploy(backend: str, tmp_path: Path) -> t.Iterator[t.Callable[[str], Deployment]]:
    """Starts the deployment of a scenario."""
    started: list[Deployment] = []
    with (
        databases.temporary_database(backend, tmp_path) as gateway,
        databases.temporary_database(backend, tmp_path) as agents,
    ):
        urls = {
            "A": {"GATEWAY": gateway, "AGENTS": agents},
            "B": {},
            "C": {"AGENTS": agents},
            "D": {"GATEWAY": gateway},
        }

        def deploy(scenario: str) -> Deployment:
            started.append(Deployment(tmp_path / scenario, **urls[scenario]))
            return started[-1]

        yield deploy
        for deployment in started:
            deployment.server.kill()


@pytest.fixture
def browser() -> Browser:
    return Browser()


def history(browser: Browser, server: Server, session: str) -> Answer:
    return browser(server, "GET", f"/sessions/{session}/chat-tasks")


def current(browser: Browser, server: Server) -> dict[str, t.Any]:
    data: dict[str, t.Any] = browser(server, "GET", "/session-cookie").json["data"]
    return data


def scenario_of(browser: Browser, server: Server) -> str:
    scenarios = browser(server, "GET", "/config").json["scenarios"]
    assert len(set(scenarios.values())) == 1
    return str(scenarios["counter"])


def test_a_both_persist(deploy: t.Callable[[str], Deployment], browser: Browser) -> None:
    """History and memory survive, a reload preserves everything."""
    site = deploy("A")
    assert scenario_of(browser, site.server) == "A"
    session = browser.session(site.server)
    assert session.startswith("web-session-") and len(session) == 44
    assert reply(browser.say(site.server, session, "one", "counter")) == "1: one"
    site.restart()
    assert current(browser, site.server)["sessionId"] == session
    tasks = history(browser, site.server, session).json["tasks"]
    assert [(task["userMessage"], reply(task)) for task in tasks] == [("one", "1: one")]
    assert reply(browser.say(site.server, session, "two", "counter")) == "2: one | two"
    assert "does not remember" not in site.log


def test_b_neither_persists(deploy: t.Callable[[str], Deployment], browser: Browser) -> None:
    """The session is in the cookie alone; no history, no memory after a restart."""
    site = deploy("B")
    assert scenario_of(browser, site.server) == "B"
    session = browser.session(site.server)
    assert reply(browser.say(site.server, session, "one", "counter")) == "1: one"
    assert history(browser, site.server, session).status == 501
    site.restart()
    assert current(browser, site.server)["sessionId"] == session, "the cookie still says it"
    assert browser(site.server, "GET", "/config").json["persistence_enabled"] is False
    assert history(browser, site.server, session).status == 501
    assert reply(browser.say(site.server, session, "two", "counter")) == "1: two"
    stranger = Browser()
    assert current(stranger, site.server)["sessionId"] is None


def test_c_only_the_agents_persist(deploy: t.Callable[[str], Deployment], browser: Browser) -> None:
    """No history is shown, and the agent goes on remembering."""
    site = deploy("C")
    assert scenario_of(browser, site.server) == "C"
    session = browser.session(site.server)
    assert reply(browser.say(site.server, session, "one", "counter")) == "1: one"
    site.restart()
    assert history(browser, site.server, session).status == 501
    assert current(browser, site.server)["sessionId"] == session
    assert reply(browser.say(site.server, session, "two", "counter")) == "2: one | two"


def test_d_only_the_gateway_persists(
    deploy: t.Callable[[str], Deployment], browser: Browser
) -> None:
    """The whole history is shown, the agent has forgotten it, and that is said aloud."""
    site = deploy("D")
    assert scenario_of(browser, site.server) == "D"
    assert "'counter' has no database" in site.log and "does not remember" in site.log
    session = browser.session(site.server)
    assert reply(browser.say(site.server, session, "one", "counter")) == "1: one"
    site.restart()
    tasks = history(browser, site.server, session).json["tasks"]
    assert [reply(task) for task in tasks] == ["1: one"]
    assert reply(browser.say(site.server, session, "two", "counter")) == "1: two"
    tasks = history(browser, site.server, session).json["tasks"]
    assert [reply(task) for task in tasks] == ["1: one", "1: two"]
    assert json.dumps(tasks).count('"completed"') >= 2
