"""Turns over HTTP: sent, streamed, followed, cancelled, sent again."""

from __future__ import annotations

import json
import threading
import typing as t
import uuid

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from tests.http_support import Client, events, refused, serving, stored, two_databases
from tests.mesh_app import gate, gates, state_of

STREAM = {"Accept": "text/event-stream"}


@pytest.fixture(scope="module")
def app(backend: str, tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Flask]:
    folder = tmp_path_factory.mktemp("app")
    with two_databases(backend, folder) as urls, serving(folder, *urls) as app:
        yield app


@pytest.fixture
def ann(app: Flask) -> t.Iterator[Client]:
    """A user of each test's own, whose turns all end with it."""
    yield Client(app, f"ann-{uuid.uuid4().hex}")
    for event in gates.values():
        event.set()
    gates.clear()


def later(call: t.Callable[[], t.Any]) -> tuple[threading.Thread, list[t.Any]]:
    """Run a request in the background; what it answers ends up in the list."""
    answers: list[t.Any] = []
    thread = threading.Thread(target=lambda: answers.append(call()))
    thread.start()
    return thread, answers


def lines_of(answer: TestResponse) -> t.Iterator[bytes]:
    """The events of an answer that is still going on, one by one."""
    return t.cast("t.Iterator[bytes]", answer.response)


def wait_for(client: Client, session_id: str, number: int, statuses: set[str]) -> None:
    """Wait until a session has so many tasks in one of some states."""
    for _ in range(500):
        found = [task for task in client.tasks(session_id) if task["status"] in statuses]
        if len(found) >= number:
            return
        threading.Event().wait(0.02)
    raise AssertionError(client.tasks(session_id))


def test_a_message_is_answered(ann):
    session_id = ann.session()
    task = ann.say(session_id, "Hello")
    assert (task["status"], task["agent"], task["error"]) == ("completed", "echo", None)
    user, agent = json.loads(task["messageBubbles"])
    assert (user["text"], agent["text"]) == ("Hello", "You said: Hello")
    assert ann.tasks(session_id) == [task]


def test_who_answers(ann):
    session_id = ann.session(agentId="counter")
    assert ann.say(session_id, "a")["agent"] == "counter"
    assert ann.say(session_id, "b", agent="echo")["agent"] == "echo"
    path = f"/sessions/{session_id}/messages"
    assert ann("POST", f"{path}?agent=words", {"text": "c"}).json["agent"] == "words"
    assert ann("POST", f"{path}?agent_name=words", {"text": "d"}).json["agent"] == "words"
    body = {"text": "e", "agent": "echo"}
    assert ann("POST", f"{path}?agent=words", body).json["agent"] == "echo"
    said = refused(ann("POST", path, {"text": "f", "agent": "nobody"}), 404)
    assert "nobody" in said["message"]
    assert len(ann.tasks(session_id)) == 5


def test_an_unknown_session(app, ann):
    before = stored(app)
    for path in ("/sessions/unknown/messages", "/sessions/unknown/messages?agent=nobody"):
        refused(ann("POST", path, {"text": "Hello"}), 404, "Session not found.")
    assert stored(app) == before


def test_a_failed_turn_is_an_answer(ann):
    task = ann.say(ann.session(), "Hello", agent="failing")
    assert (task["status"], set(task["error"])) == ("failed", {"code", "message"})
    assert "sk-secret" not in json.dumps(task)


def test_the_same_task_id_is_the_same_task(ann):
    session_id = ann.session(agentId="counter")
    first = ann.say(session_id, "Hello", taskId="t1")
    assert ann.say(session_id, "Hello", taskId="t1") == first
    path = f"/sessions/{session_id}/messages"
    refused(ann("POST", path, {"text": "Other", "taskId": "t1"}), 409)
    refused(ann("POST", path, {"text": "Hello", "taskId": "t1", "agent": "echo"}), 409)
    assert ann.tasks(session_id) == [first]


def test_a_stream(ann):
    session_id = ann.session(agentId="words")
    path = f"/sessions/{session_id}/messages"
    answer = ann("POST", path, {"text": "one two three"}, headers=STREAM)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Accel-Buffering"] == "no"
    found = events(answer)
    assert (found[0][0], found[0][1]["status"]) == ("task", "running")
    deltas = [(data["text"], event_id) for name, data, event_id in found if name == "delta"]
    assert "".join(text for text, _ in deltas) == "one two three "
    assert deltas[-1][1] == str(len("one two three "))
    name, done, _ = found[-1]
    assert (name, done) == ("done", ann.tasks(session_id)[0])


def test_a_stream_is_refused_like_any_message(ann):
    session_id = ann.session()
    refused(ann("POST", f"/sessions/{session_id}/messages", {"text": ""}, headers=STREAM), 422)
    refused(ann("POST", "/sessions/other/messages", {"text": "x"}, headers=STREAM), 404)


def test_line_ends_do_not_break_events(ann):
    session_id = ann.session()
    text = "a\n\nevent: done\r\ndata: {}\n\n\u2028b"
    answer = ann("POST", f"/sessions/{session_id}/messages", {"text": text}, headers=STREAM)
    found = events(answer)
    assert [name for name, _, _ in found] == ["task", "delta", "done"]
    assert found[1][1]["text"] == f"You said: {text}"


def test_a_stream_gives_signs_of_life(ann):
    session_id = ann.session(agentId="gated")
    path = f"/sessions/{session_id}/messages"
    answer = ann("POST", path, {"text": "life on"}, headers=STREAM, buffered=False)
    lines = lines_of(answer)
    assert next(line for line in lines if line.startswith(b":")) == b": keep-alive\n\n"
    gate("life").set()
    assert list(lines)[-1].startswith(b"event: done\n")


def test_a_finished_task_can_be_followed(ann):
    session_id = ann.session()
    task = ann.say(session_id, "Hello")
    path = f"/sessions/{session_id}/chat-tasks/{task['taskId']}/events"
    length = str(len("You said: Hello"))
    assert events(ann("GET", path)) == [
        ("snapshot", {"text": "You said: Hello"}, length),
        ("done", task, None),
    ]


def test_a_running_task_can_be_followed_from_the_middle(ann):
    session_id = ann.session(agentId="gated")
    thread, _ = later(lambda: ann.say(session_id, "middle way", taskId="t1"))
    wait_for(ann, session_id, 1, {"running"})
    path = f"/sessions/{session_id}/chat-tasks/t1/events"
    first = lines_of(ann("GET", path, buffered=False))
    seen = next(first)
    assert seen.startswith(b"event: snapshot\n")
    while b"middle" not in seen:
        seen = next(first)
    resumed = lines_of(ann("GET", path, buffered=False, headers={"Last-Event-ID": "3"}))
    assert next(resumed) == b'event: delta\nid: 7\ndata: {"text":"dle "}\n\n'
    gate("middle").set()
    assert b'"text":"way"' in b"".join(resumed)
    assert list(first)[-1].startswith(b"event: done\n")
    thread.join()


@pytest.mark.parametrize("last", ["", "x", "-1", "9" * 30, "ä".encode().decode("latin1")])
def test_a_strange_last_event_id_gives_a_snapshot(ann, last):
    session_id = ann.session()
    task = ann.say(session_id, "Hello")
    path = f"/sessions/{session_id}/chat-tasks/{task['taskId']}/events"
    assert events(ann("GET", path, headers={"Last-Event-ID": last}))[0][0] == "snapshot"


def test_what_cannot_be_followed(ann):
    session_id = ann.session()
    task = ann.say(session_id, "Hello")
    refused(ann("GET", f"/sessions/{session_id}/chat-tasks/other/events"), 404)
    ann("DELETE", f"/sessions/{session_id}")
    path = f"/sessions/{session_id}/chat-tasks/{task['taskId']}/events"
    refused(ann("GET", path), 404, "Session not found.")


def test_a_client_that_leaves_stops_nothing(ann):
    session_id = ann.session(agentId="gated")
    path = f"/sessions/{session_id}/messages"
    answer = ann("POST", path, {"text": "leave now"}, headers=STREAM, buffered=False)
    assert next(lines_of(answer)).startswith(b"event: task\n")
    answer.close()
    gate("leave").set()
    wait_for(ann, session_id, 1, {"completed"})


def test_streams_hold_no_connection(app, ann):
    session_id = ann.session(agentId="gated")
    path = f"/sessions/{session_id}/messages"
    pool: t.Any = state_of(app).binds()["mesh_gateway"].engine.pool
    sent = {"text": "many more", "taskId": "t0"}
    answers = [ann("POST", path, sent, headers=STREAM, buffered=False)]
    followed = f"/sessions/{session_id}/chat-tasks/t0/events"
    answers += [ann("GET", followed, buffered=False) for _ in range(15)]  # more than the pool has
    for answer in answers:
        next(lines_of(answer))
    assert pool.checkedout() <= 2  # what the turn itself does meanwhile
    gate("many").set()
    for answer in answers:
        assert list(lines_of(answer))[-1].startswith(b"event: done")


def test_cancel(ann):
    session_id = ann.session(agentId="stubborn")
    thread, answers = later(lambda: ann.say(session_id, "never", taskId="t1"))
    wait_for(ann, session_id, 1, {"running"})
    sent = ann("POST", f"/sessions/{session_id}/chat-tasks/t1/cancel")
    assert (sent.status_code, sent.json) == (202, {"message": "Cancellation request sent"})
    thread.join()
    assert answers[0]["status"] == "cancelled"
    assert ann("POST", f"/sessions/{session_id}/chat-tasks/t1/cancel").status_code == 202
    refused(ann("POST", f"/sessions/{session_id}/chat-tasks/t2/cancel"), 404)


def test_deleting_a_session_cancels_its_turns(ann):
    session_id = ann.session(agentId="stubborn")
    thread, answers = later(lambda: ann.say(session_id, "ever", taskId="t1"))
    wait_for(ann, session_id, 1, {"running"})
    assert ann("DELETE", f"/sessions/{session_id}").status_code == 204
    thread.join()
    assert answers[0]["status"] == "cancelled"


def test_retry(ann):
    session_id = ann.session(agentId="counter")
    first = ann.say(session_id, "one")
    last = ann.say(session_id, "two")
    path = f"/sessions/{session_id}/chat-tasks/{last['taskId']}/retry"
    again = ann("POST", path, {"text": "three", "taskId": "t3"})
    assert again.status_code == 200
    assert (again.json["taskId"], again.json["retryOf"]) == ("t3", last["taskId"])
    assert again.json["userMessage"] == "three"
    [_, agent] = json.loads(again.json["messageBubbles"])
    assert agent["text"].endswith("one | three")
    refused(ann("POST", path), 409)
    path = f"/sessions/{session_id}/chat-tasks/{first['taskId']}/retry"
    refused(ann("POST", path, {}), 409)
    refused(ann("POST", f"/sessions/{session_id}/chat-tasks/other/retry"), 404)
    assert len(ann.tasks(session_id)) == 3


def test_a_retry_can_be_streamed(ann):
    session_id = ann.session()
    task = ann.say(session_id, "one")
    path = f"/sessions/{session_id}/chat-tasks/{task['taskId']}/retry"
    found = events(ann("POST", path, headers=STREAM))
    assert [name for name, _, _ in found] == ["task", "delta", "done"]
    assert found[0][1]["retryOf"] == task["taskId"]


def test_a_full_queue(sqlite_url, tmp_path):
    with serving(tmp_path, sqlite_url, sqlite_url, turns={"max_waiting": 1}) as app:
        ann = Client(app, "ann")
        session_id = ann.session(agentId="gated")
        running, _ = later(lambda: ann.say(session_id, "full house"))
        wait_for(ann, session_id, 1, {"running"})
        waiting, _ = later(lambda: ann.say(session_id, "full room"))
        wait_for(ann, session_id, 1, {"waiting"})
        answer = ann("POST", f"/sessions/{session_id}/messages", {"text": "full up"})
        refused(answer, 429)
        assert answer.headers["Retry-After"].isdigit()
        assert len(ann.tasks(session_id)) == 2
        gate("full").set()
        running.join()
        waiting.join()
        gates.clear()


def test_a_save_while_the_turn_runs_changes_nothing(ann):
    session_id = ann.session(agentId="gated")
    thread, answers = later(lambda: ann.say(session_id, "save it", taskId="t1"))
    wait_for(ann, session_id, 1, {"running"})
    body = {"taskId": "t1", "userMessage": "forged", "messageBubbles": '[{"text":"forged"}]'}
    saved = ann("POST", f"/sessions/{session_id}/chat-tasks", body)
    assert (saved.status_code, saved.json["status"]) == (200, "running")
    assert saved.json["userMessage"] == "save it"
    gate("save").set()
    thread.join()
    assert "forged" not in json.dumps(answers)
    after = ann("POST", f"/sessions/{session_id}/chat-tasks", body).json
    assert (after["userMessage"], after["agent"]) == ("save it", "gated")
    assert after["messageBubbles"] == body["messageBubbles"]


def test_without_a_database_turns_run_and_can_be_followed(tmp_path):
    with serving(tmp_path, None) as app:
        browser, other = Client(app), Client(app)
        task = browser.say("any-id", "Hello", taskId="t1")
        assert task["status"] == "completed"
        path = "/sessions/any-id/chat-tasks/t1"
        assert events(browser("GET", f"{path}/events"))[-1] == ("done", task, None)
        assert browser("POST", f"{path}/cancel").status_code == 202
        refused(other("GET", f"{path}/events"), 404)
        refused(other("POST", f"{path}/cancel"), 404)
        assert other.say("any-id", "Other", taskId="t1")["userMessage"] == "Other"
        refused(browser("POST", "/sessions/null/messages", {"text": "Hello"}), 404)
