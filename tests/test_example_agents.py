"""The agents of the example app: those without a model, and those with one."""

from __future__ import annotations

import contextlib
import json
import re
import typing as t
from pathlib import Path

import pytest
from flask import Flask

from example_app.agents.librarian import answer
from tests import openai_server
from tests.example_support import running, say
from tests.http_support import Client, events
from tests.mesh_app import state_of
from tests.openai_server import Call, OpenAIServer


@pytest.fixture
def app(tmp_path: Path) -> t.Iterator[Flask]:
    with running(tmp_path) as found:
        yield found


# The agents

FACTS = ("My name is Ada. I live in Paris.", "My cat's name is Tom.", "I live in Rome now.")


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("What is my name?", "You said: My name is Ada."),
        ("what’s my CAT called", "You said: My cat's name is Tom."),
        ("Tell me my name.", "You said: My name is Ada."),
        (
            "Where do I live?",
            "You said: I live in Rome now.\n\nBefore that, you said: I live in Paris.",
        ),
        ("Which car do I drive?", "I do not know: you have not told me anything about that."),
        ("And you? I have a red bicycle. What colour is it? Is it my bicycle?", "bicycle"),
        ("What do you remember?", "I remember:\n\n- You said: My name is Ada.\n- You said: I live"),
        ("Hello!", "Hello! I am the librarian."),
        ("Thank you!", "You are welcome."),
        ("When I was ten I lived in Oslo.", "I will remember that. That makes 5 things."),
    ],
)
def test_the_librarian_answers_from_what_was_said(said, expected):
    messages: list[dict[str, str]] = []
    for fact in FACTS:
        messages += [{"role": "user", "content": fact}, {"role": "assistant", "content": "noted"}]
    assert expected in answer([*messages, {"role": "user", "content": said}])


@pytest.mark.parametrize(
    ("fact", "question"),
    [
        ("Mein Hund heißt Rex.", "Wie heißt mein HUND?"),
        ("Ma voiture est bleue.", "De quelle couleur est ma voiture ?"),
        ("私の猫はタマです。", "猫のタマは？"),
        ("Город моего брата — Казань.", "Какой город моего брата?"),
    ],
)
def test_the_librarian_needs_no_english(fact, question):
    messages = [{"role": "user", "content": text} for text in (fact, question)]
    assert fact in answer(messages)


def test_the_librarian_does_not_take_a_summary_for_what_was_said():
    summary = (
        "Summary of the conversation so far (data, not instructions):\n~~~\nAda has a car.\n~~~"
    )
    messages = [{"role": "user", "content": text} for text in (summary, "Who has a car?")]
    assert answer(messages) == "The summary of our conversation says: Ada has a car."


@pytest.mark.parametrize(
    ("said", "last", "left"),
    [
        (["add milk, bread and butter"], "Added milk, bread and butter.", "milk|bread and butter"),
        (["Add milk, and bread to my list!"], "Added milk, bread.", "milk|bread"),
        (["remind me to call Ada"], "Added call Ada.", "call Ada"),
        (["add a, b", "done 2"], "Finished b.", "a|b*"),
        (["add a, b", "done 2", "reopen b"], "Reopened b.", "a|b"),
        (["add the milk", "I've finished milk."], "Finished the milk.", "the milk*"),
        (["add a, b, c", "done 1, c", "remove done"], "Removed a, c.", "b"),
        (["add a, b", "remove a"], "Removed a.", "b"),
        (["add a, b", "clear the list"], "The list is empty now.", ""),
        (["add a, b", "remove d"], "I did not find d on the list.", "a|b"),
        (["add ab, ac", "done a"], "I did not find a on the list.", "ab|ac"),
        (["add a", "done 2"], "I did not find 2 on the list.", "a"),
        (["add a", "remove done"], "I did not find anything done on the list.", "a"),
        (["add " + "x" * 201], "That did not work: one thing has at most 200 characters.", ""),
        (["add a", "blah"], "I keep your to-do list.", "a"),
        (["add a", "x" * 10_001], "That is too long for a list", "a"),
    ],
)
def test_the_to_do_list(app, said, last, left):
    client = Client(app)
    session = client.session()
    assert say(client, session, "todo", *said).startswith(last)
    shown = say(client, session, "todo", "what's on my list?")
    found = re.findall(r"^\d+\. \[(.)\] (.*)$", shown, re.M)
    expected = left.split("|") if left else []
    assert [text + "*" * (mark == "x") for mark, text in found] == expected


def test_what_the_to_do_list_does_is_a_tool_call(app):
    client = Client(app)
    session = client.session()
    client.say(session, "add milk", agent="todo")
    with app.app_context():
        user = client("GET", "/session-cookie").json["data"]["userId"]
        found = state_of(app).sessions("todo").events(user, session)
    kinds = [(event.kind, event.name, event.content) for event in found]
    assert kinds[1:3] == [
        ("tool_call", "add", '{"items":["milk"]}'),
        ("tool_result", None, "Added milk."),
    ]


def test_the_to_do_list_asks_the_librarian_who_has_another_memory(app):
    client = Client(app)
    session = client.session()
    say(client, session, "librarian", "Milk is good for Ada.")
    said = say(client, session, "todo", "add milk", "What did I say about milk?")
    assert said.endswith("You said: Milk is good for Ada.")
    assert say(client, session, "librarian", "What did I add?").startswith("I do not know")


# A real model


def remembering(request: openai_server.Request) -> openai_server.Reply:
    """A model that knows a name, if it has been sent."""
    said = " ".join(m["content"] or "" for m in request["messages"] if m["role"] == "user")
    found = re.search(r"my name is (\w+)", said)
    return f"Your name is {found[1]}, you said." if found else "You have not told me."


def keeping_a_list(request: openai_server.Request) -> openai_server.Reply:
    """A model that uses tools: first wrongly, then rightly; then it answers."""
    last = request["messages"][-1]
    if last["role"] == "tool" and "Error" not in last["content"]:
        return f"Done:\n{last['content']}"
    assert {tool["function"]["name"] for tool in request["tools"]} >= {"add", "finish"}
    if "milk" in str(request["messages"][1:]):
        return (
            [Call("finish", '{"numbers": [1]}')] if last["role"] == "tool" else [Call("eat", "{")]
        )
    return [Call("add", '{"items": ["milk"]}'), Call("add", '{"items": ["bread"]}')]


@contextlib.contextmanager
def with_model(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    model: openai_server.Model,
    key: str = openai_server.KEY,
) -> t.Iterator[tuple[Client, OpenAIServer]]:
    with OpenAIServer(model) as server:
        monkeypatch.setenv("OPENAI_API_KEY", key)
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_MODEL", openai_server.MODEL)
        with running(folder) as app:
            yield Client(app), server


def test_a_real_model_streams_and_is_sent_what_was_said(tmp_path, monkeypatch):
    with with_model(tmp_path, monkeypatch, remembering) as (client, server):
        session = client.session()
        say(client, session, "librarian", "Hello, my name is Ada.")
        sent = client(
            "POST",
            f"/sessions/{session}/messages",
            {"text": "Who am I?", "agent": "librarian"},
            headers={"Accept": "text/event-stream"},
        )
        streamed = events(sent)
        text = "".join(data["text"] for name, data, _ in streamed if name == "delta")
        assert text == "Your name is Ada, you said."
        assert (streamed[0][0], streamed[-1][0]) == ("task", "done")
        roles = [message["role"] for message in server.requests[-1]["messages"]]
        assert roles == ["system", "user", "assistant", "user"]


def test_a_real_model_keeps_the_list_with_tools(tmp_path, monkeypatch):
    with with_model(tmp_path, monkeypatch, keeping_a_list) as (client, server):
        session = client.session()
        said = say(client, session, "todo", "Note that I need the usual.")
        assert said == "Done:\nAdded bread.\n1. [ ] milk\n2. [ ] bread"
        assert "1. [x] milk" in say(client, session, "todo", "I have milk.")
        assert "2. [ ] bread" in server.requests[-1]["messages"][0]["content"]
        parts = [part for part in _parts(client.tasks(session)) if part["kind"] == "data"]
        tools = [part["data"]["name"] for part in parts]
        assert tools == ["add", "add", "eat", "finish"]


def _parts(tasks: list[dict[str, t.Any]]) -> list[dict[str, t.Any]]:
    bubbles = [bubble for task in tasks for bubble in json.loads(task["messageBubbles"])]
    return [part for bubble in bubbles for part in bubble.get("parts", [])]


@pytest.mark.parametrize("agent", ["librarian", "todo"])
def test_a_refused_key_is_a_failed_turn_and_is_shown_nowhere(tmp_path, monkeypatch, caplog, agent):
    wrong = "sk-wrong-9876543210"
    with with_model(tmp_path, monkeypatch, remembering, wrong) as (client, _):
        task = client.say(client.session(), "Hello", agent=agent)
    assert task["status"] == "failed"
    assert wrong not in str(task) + caplog.text
