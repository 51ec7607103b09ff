"""The example app in a real browser."""

from __future__ import annotations

import contextlib
import re
import threading
import typing as t
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect, sync_playwright
from werkzeug.serving import make_server

from tests.example_support import running, start
from tests.live import Server, free_port

ARGUMENTS = ["--no-sandbox", "--disable-background-networking"]

#: Slow enough that a test can do something while an answer streams.
SLOW = 0.25


@pytest.fixture(scope="module")
def chromium(chromium_path: str) -> t.Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def complaints() -> list[str]:
    """What the browser says in its console, for tests that expect something there."""
    return []


@pytest.fixture
def page(chromium: Browser, complaints: list[str]) -> t.Iterator[Page]:
    """A page of a fresh browser, in whose console there must be no errors at the end."""
    context = chromium.new_context(reduced_motion="reduce")
    context.set_default_timeout(20_000)
    page = context.new_page()
    errors: list[str] = []
    page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    assert [error for error in errors if not any(c in error for c in complaints)] == []


@contextlib.contextmanager
def served(folder: Path, **config: t.Any) -> t.Iterator[str]:
    """The address of the app, served by this process."""
    with running(folder, **config) as app:
        server = make_server("127.0.0.1", 0, app, threaded=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.port}/"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[str]:
    with served(tmp_path_factory.mktemp("site")) as url:
        yield url


@pytest.fixture(scope="module")
def slow_site(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[str]:
    with served(tmp_path_factory.mktemp("slow"), WORD_DELAY=SLOW) as url:
        yield url


def write(page: Page, text: str, agent: str = "librarian") -> Locator:
    """Write a message to an agent; the turn it begins."""
    number = page.locator(".turn").count()
    page.get_by_role("radio", name=agent).check(force=True)
    page.get_by_role("textbox", name="Message").fill(text)
    page.keyboard.press("Enter")
    return page.locator(".turn").nth(number)


def say(page: Page, text: str, agent: str = "librarian") -> Locator:
    """Write a message to an agent, and wait; its answer."""
    turn = write(page, text, agent)
    expect(turn).not_to_have_class(re.compile("live"), timeout=20_000)
    return turn.locator(".answer")


def conversations(page: Page) -> Locator:
    """The links in the list of conversations."""
    return page.locator("#sessions a")


def test_the_main_job(page, tmp_path):
    """Chat with two agents, kill the process, start it again: the history and memory are there."""
    server: Server = start(tmp_path, free_port())
    try:
        page.goto(server.url)
        page.get_by_role("button", name="librarian").click()
        page.keyboard.press("Enter")
        expect(page.locator(".turn:not(.live) .answer")).to_have_text(
            "I will remember that. That makes 2 things."
        )
        added = say(page, "add milk, bread", "todo")
        expect(added.get_by_role("checkbox")).to_have_count(2)
        page.reload()
        expect(page.locator(".said")).to_have_count(2)
        server.kill()
        server = start(tmp_path, server.port)
        page.reload()
        expect(page.locator(".said").last).to_have_text("add milk, bread")
        expect(page.locator("#title")).to_contain_text("My name is Ada.")
        expect(say(page, "What is my name?")).to_have_text("You said: My name is Ada.")
        finished = say(page, "done milk", "todo")
        expect(finished.get_by_role("checkbox").first).to_be_checked()
        expect(conversations(page)).to_have_count(1)
    finally:
        server.kill()


def test_a_reload_in_the_middle_of_an_answer_goes_on_with_it(page, slow_site):
    page.goto(slow_site)
    say(page, "My name is Ada and I live in Turin with a cat called Byron.")
    turn = write(page, "What is my name?")
    expect(turn.locator(".answer")).to_contain_text("You said: My name")
    page.reload()
    turn = page.locator(".turn").last
    expect(turn).to_have_class(re.compile("live"))
    expect(turn.locator(".answer")).to_contain_text("called Byron.", timeout=20_000)
    expect(turn.locator(".answer")).to_have_text(
        "You said: My name is Ada and I live in Turin with a cat called Byron."
    )
    expect(page.locator("#spoken")).to_contain_text("You said: My name is Ada")


def test_an_answer_can_be_stopped_and_made_again(page, slow_site):
    page.goto(slow_site)
    turn = write(page, "Hello")
    expect(turn.locator(".answer")).to_contain_text("Hello! I am")
    turn.get_by_role("button", name="Stop").click()
    expect(turn.locator(".note")).to_have_text("Stopped.")
    turn.get_by_role("button", name="Retry").click()
    expect(page.locator(".turn")).to_have_count(1)
    expect(turn.locator(".answer")).to_contain_text("word for word.", timeout=20_000)
    page.reload()
    expect(page.locator(".turn .answer")).to_contain_text("word for word.")


def test_messages_sent_at_once_are_one_conversation_in_their_order(page, slow_site):
    page.goto(slow_site)
    write(page, "My name is Ada.")
    write(page, "What is my name?")
    expect(page.locator(".turn:not(.live) .answer")).to_have_text(
        ["I will remember that.", "You said: My name is Ada."], timeout=20_000
    )
    expect(conversations(page)).to_have_count(1)


@pytest.mark.parametrize("arrived", [True, False])
def test_a_request_that_got_lost_sends_once(page, site, complaints, arrived):
    complaints.append("Failed to load resource")
    lost: list[str] = []

    def lose_the_first(route: Route) -> None:
        if lost:
            return route.continue_()
        lost.append(route.request.url)
        if arrived:
            route.fetch()
        return route.abort()

    page.route("**/messages", lose_the_first)
    page.goto(site)
    expect(say(page, "add milk", "todo")).to_contain_text("Added milk.")
    assert len(lost) == 1
    page.reload()
    expect(page.locator(".turn")).to_have_count(1)
    expect(say(page, "list", "todo").get_by_role("listitem")).to_have_count(1)


def test_what_cannot_be_sent_says_why_and_can_be_tried_again(page, site, complaints):
    complaints.append("429")
    answer = {"detail": "Too many.", "message": "Too many.", "validationDetails": None}
    page.route("**/messages", lambda route: route.fulfill(status=429, json=answer))
    page.goto(site)
    turn = write(page, "My name is Ada.")
    expect(turn.locator(".note")).to_have_text("Too many.")
    page.unroute("**/messages")
    turn.get_by_role("button", name="Try again").click()
    expect(turn.locator(".answer")).to_have_text("I will remember that.")
    expect(turn.locator(".note")).to_have_text("")


def test_conversations_are_renamed_searched_deleted_and_brought_back(page, site):
    page.goto(site)
    say(page, "The wifi code is 1234.")
    page.get_by_role("link", name="New conversation").click()
    expect(page.locator(".turn")).to_have_count(0)
    say(page, "add milk", "todo")
    expect(conversations(page)).to_have_text(["add milk", "The wifi code is 1234."])

    conversations(page).first.hover()
    page.get_by_role("button", name="Rename: add milk").click()
    page.keyboard.type("Shopping")
    page.keyboard.press("Enter")
    expect(conversations(page).first).to_have_text("Shopping")
    expect(page.locator("#title")).to_have_text("Shopping")

    page.get_by_role("searchbox").fill("CODE is")
    expect(conversations(page)).to_have_text(["The wifi code is 1234."])
    page.get_by_role("searchbox").fill("")
    expect(conversations(page)).to_have_count(2)

    conversations(page).first.hover()
    page.get_by_role("button", name="Delete: Shopping").click()
    expect(conversations(page)).to_have_text(["The wifi code is 1234."])
    expect(page.locator(".turn")).to_have_count(0)
    page.get_by_role("button", name="Undo").click()
    expect(conversations(page)).to_have_count(2)
    expect(page.locator(".said")).to_have_text("add milk")
    page.go_back()
    expect(page.locator("#title")).to_have_text("New conversation")


def test_what_is_said_is_text_whatever_it_looks_like(page, site):
    page.goto(site)
    evil = "<img src=x onerror=alert(1)> **<b>bold</b>** `<i>`"
    say(page, f"add {evil}", "todo")
    expect(page.locator(".said").last).to_have_text(f"add {evil}")
    expect(page.locator(".answer li")).to_have_text("<img src=x onerror=alert(1)> <b>bold</b> <i>")
    expect(page.locator("#turns img, #turns b, #sessions img")).to_have_count(0)


def test_an_account_has_conversations_of_its_own(page, site):
    page.goto(site)
    say(page, "I am nobody.")
    page.get_by_role("link", name="Register").click()
    page.get_by_label("Name").fill("Ada")
    page.get_by_label("Password").fill("correct horse")
    page.get_by_role("button", name="Register").click()
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    expect(page.locator("#list-note")).to_have_text("No conversations yet.")
    say(page, "I am Ada.")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_text("You are not signed in")).to_be_visible()
    expect(conversations(page)).to_have_text(["I am nobody."])


def test_a_conversation_of_somebody_else_is_not_there(page, site, complaints):
    complaints.append("404")
    page.goto(f"{site}#web-session-{'0' * 32}")
    expect(page.locator("#turns")).to_contain_text("There is no such conversation")


def test_a_phone_has_room_for_everything(page, site):
    page.set_viewport_size({"width": 360, "height": 640})
    page.goto(site)
    say(page, f"add {'x' * 190}, {'word ' * 30}", "todo")
    overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(overflow) == 0
    expect(conversations(page).first).to_be_hidden()
    page.get_by_role("button", name="Conversations").click()
    expect(conversations(page).first).to_be_visible()
    page.keyboard.press("Escape")
    expect(conversations(page).first).to_be_hidden()


def test_the_keyboard_is_enough(page, site):
    page.goto(site)
    expect(page.get_by_role("radio", name="librarian")).to_be_checked()
    page.get_by_role("textbox", name="Message").focus()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("radio", name="todo")).to_be_checked()
    page.keyboard.press("Tab")
    page.keyboard.type("add milk")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("bread")
    page.keyboard.press("Enter")
    expect(page.locator(".answer li")).to_have_count(2)
    expect(page.locator("#spoken")).to_contain_text("todo: Added milk, bread.")


def test_an_agent_that_forgets_is_pointed_out(page, tmp_path):
    gateway = {"type": "sql", "database_url": "sqlite:///gateway.db"}
    settings = {"session_service": gateway, "ui": False}
    with served(tmp_path, MESH_SESSIONS=settings) as url:
        page.goto(url)
        expect(page.locator("#warning")).to_contain_text("librarian has no database")


def test_without_a_gateway_database_one_can_chat_without_a_history(page, tmp_path):
    with served(tmp_path, MESH_SESSIONS={"ui": False}) as url:
        page.goto(url)
        expect(say(page, "My name is Ada.")).to_have_text("I will remember that.")
        expect(say(page, "What is my name?")).to_have_text("You said: My name is Ada.")
        expect(page.locator("#side")).to_be_hidden()
