"""Two gunicorn instances that share nothing but the databases."""

from __future__ import annotations

import threading
import time
import typing as t
from pathlib import Path

import pytest

from tests import databases
from tests.live import Browser, Server, gunicorn, reply

APP = "tests.live_app:app"
OPTIONS = ("--workers", "2", "--threads", "8", "--graceful-timeout", "20")


@pytest.fixture(scope="module")
def site(
    backend: str, tmp_path_factory: pytest.TempPathFactory
) -> t.Iterator[tuple[Server, Server]]:
    """Two instances with two workers each; the second one loads the app before it forks."""
    folder = tmp_path_factory.mktemp("site")
    with (
        databases.temporary_database(backend, folder) as gateway,
        databases.temporary_database(backend, folder) as agents,
    ):
        urls = {"GATEWAY": gateway, "AGENTS": agents}
        servers = (
            gunicorn(folder / "one", APP, *OPTIONS, **urls),
            gunicorn(folder / "two", APP, *OPTIONS, "--preload", **urls),
        )
        yield servers
        for server in servers:
            server.kill()


@pytest.fixture
def browser() -> Browser:
    return Browser()


def test_a_conversation_moves_freely(site: tuple[Server, Server], browser: Browser) -> None:
    session = browser.session(site[0])
    for number in range(12):
        said = reply(browser.say(site[number % 2], session, f"m{number}", "counter"))
        assert said == f"{number + 1}: " + " | ".join(f"m{n}" for n in range(number + 1))
    for server in site:
        tasks = browser(server, "GET", f"/sessions/{session}/chat-tasks").json["tasks"]
        assert [task["userMessage"] for task in tasks] == [f"m{n}" for n in range(12)]


def test_a_stream_is_resumed_on_the_other_instance(
    site: tuple[Server, Server], browser: Browser
) -> None:
    session = browser.session(site[0])
    path = f"/sessions/{session}/messages"
    steps = browser.stream(site[0], "POST", path, {"text": "20", "agent": "slow", "taskId": "t"})
    assert next(steps)[0] == "task"
    name, data, last_id = next(steps)
    assert (name, data["text"][:2]) == ("delta", "0 ")
    t.cast("t.Generator[t.Any]", steps).close()

    resumed = browser.stream(site[1], "GET", f"/sessions/{session}/chat-tasks/t/events")
    name, data, last_id = next(resumed)
    assert name == "snapshot"
    text = data["text"]
    while len(text) < 20:
        name, data, last_id = next(resumed)
        text += data["text"]
    t.cast("t.Generator[t.Any]", resumed).close()

    events = f"/sessions/{session}/chat-tasks/t/events"
    rest = list(browser.stream(site[0], "GET", events, **{"Last-Event-ID": str(last_id)}))
    for name, data, _ in rest[:-1]:
        text = data["text"] if name == "snapshot" else text + data["text"]
    assert text == "".join(f"{n} " for n in range(20))
    assert rest[-1][0] == "done" and reply(rest[-1][1]) == text


def test_eight_clients_in_one_session(site: tuple[Server, Server], browser: Browser) -> None:
    """Every turn whole, in some order, none lost, none doubled, none refused."""
    session = browser.session(site[0])
    failures: list[BaseException] = []

    def client(number: int) -> None:
        try:
            for turn in range(3):
                task = browser.say(site[(number + turn) % 2], session, f"{number}.{turn}", "words")
                assert task["status"] == "completed", task
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=client, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert failures == []
    tasks = browser(site[1], "GET", f"/sessions/{session}/chat-tasks").json["tasks"]
    assert sorted(task["userMessage"] for task in tasks) == sorted(
        f"{number}.{turn}" for number in range(8) for turn in range(3)
    )
    assert all(reply(task) == task["userMessage"] + " " for task in tasks)
    seen = reply(browser.say(site[0], session, "last", "counter"))
    assert seen == "1: last", "another agent's memory is its own"


def test_a_task_of_a_killed_instance_is_settled_by_the_other(
    backend: str, tmp_path: Path, browser: Browser
) -> None:
    with (
        databases.temporary_database(backend, tmp_path) as gateway,
        databases.temporary_database(backend, tmp_path) as agents,
    ):
        urls = {"GATEWAY": gateway, "AGENTS": agents, "LEASE": "3"}
        doomed = gunicorn(tmp_path / "doomed", APP, *OPTIONS, **urls)
        other = gunicorn(tmp_path / "other", APP, *OPTIONS, **urls)
        try:
            session = browser.session(doomed)
            path = f"/sessions/{session}/messages"
            body = {"text": "300", "agent": "slow", "taskId": "t"}
            steps = browser.stream(doomed, "POST", path, body)
            while next(steps)[0] != "delta":
                pass
            time.sleep(1)
            doomed.kill()
            events = list(browser.stream(other, "GET", f"/sessions/{session}/chat-tasks/t/events"))
            name, task, _ = events[-1]
            assert (name, task["status"]) == ("done", "interrupted")
            assert reply(task).startswith("0 1 2 ")
            retried = browser(
                other, "POST", f"/sessions/{session}/chat-tasks/t/retry", {"text": "2"}
            )
            assert (retried.json["status"], reply(retried.json)) == ("completed", "0 1 ")
        finally:
            doomed.kill()
            other.kill()


def test_asked_to_end_it_finishes_what_runs(
    sqlite_url: str, tmp_path: Path, browser: Browser
) -> None:
    server = gunicorn(tmp_path / "one", APP, *OPTIONS, GATEWAY=sqlite_url)
    session = browser.session(server)
    path = f"/sessions/{session}/messages"
    steps = browser.stream(server, "POST", path, {"text": "15", "agent": "slow"})
    assert next(steps)[0] == "task"
    server.process.terminate()
    name, task, _ = list(steps)[-1]
    assert (name, task["status"]) == ("done", "completed")
    assert server.process.wait(60) == 0
