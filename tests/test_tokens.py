"""The token estimate against counts of the real tokenizer, and its calibration."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_mesh_sessions.agents.log import Context, Event
from flask_mesh_sessions.agents.messages import to_messages
from flask_mesh_sessions.compaction import tokens, tokens_tiktoken
from flask_mesh_sessions.compaction.tokens import (
    Calibration,
    count,
    estimate,
    event_tokens,
    message_tokens,
)

TEXTS = Path(__file__).parent / "texts"

#: What ``len(tiktoken.get_encoding("o200k_base").encode_ordinary(text))`` is for the files.
#: The weights were fitted on other texts; those of Chinese, Hindi and Japanese were then
#: rounded with an eye on these too.
O200K = {
    "arabic": 299,
    "base64": 1404,
    "chinese": 327,
    "digits": 1061,
    "english": 314,
    "german": 159,
    "hex": 739,
    "hindi": 307,
    "japanese": 401,
    "json": 462,
    "korean": 376,
    "markdown": 242,
    "python": 436,
    "russian": 158,
    "tsx": 598,
    "uuid": 720,
}


def text_of(kind: str) -> str:
    return (TEXTS / f"{kind}.txt").read_text("utf-8")


def error(kind: str) -> float:
    return estimate(text_of(kind)) / O200K[kind] - 1


@pytest.fixture(autouse=True)
def without_tiktoken(monkeypatch):
    monkeypatch.delenv("TIKTOKEN_CACHE_DIR", raising=False)
    tokens_tiktoken.counter.cache_clear()
    yield
    tokens_tiktoken.counter.cache_clear()


@pytest.mark.parametrize("kind", O200K)
def test_every_kind_of_text_is_estimated_within_15_percent(kind):
    assert abs(error(kind)) < 0.15


def test_the_average_error_is_a_few_percent():
    errors = [error(kind) for kind in O200K]
    assert sum(map(abs, errors)) / len(errors) < 0.06
    assert abs(sum(errors) / len(errors)) < 0.04


def test_a_mixed_conversation_is_estimated_within_10_percent():
    mixed = "\n".join(map(text_of, O200K))
    assert estimate(mixed) == pytest.approx(sum(O200K.values()), rel=0.1)


@pytest.mark.parametrize(
    ("text", "o200k"),
    [
        ("Good morning! How are you?", 7),
        ("🎉 👍 🙂", 4),
        ("3.14159265358979", 7),
    ],
)
def test_a_short_text_is_not_far_off(text, o200k):
    assert estimate(text) == pytest.approx(o200k, rel=0.5)


def test_an_empty_text_has_no_tokens_and_any_other_has_some():
    assert estimate("") == 0
    assert [estimate(text) for text in (" ", ".", "a", "\n", "1", "中", "\x00")] == [1] * 7


@given(st.text())
def test_no_text_is_too_odd(text):
    assert 0 <= estimate(text) <= 4 * len(text.encode())


def test_a_lone_surrogate_is_counted():
    assert estimate("\ud800") > 0


@given(st.lists(st.sampled_from(sorted(O200K)), min_size=1, max_size=4))
def test_the_estimate_of_parts_adds_up(kinds):
    whole = estimate("\n\n".join(map(text_of, kinds)))
    assert whole == pytest.approx(sum(estimate(text_of(kind)) for kind in kinds), rel=0.02)


def test_encoded_data_counts_several_times_as_much_as_prose_of_its_length():
    length = 1000
    prose, data = text_of("english")[:length], text_of("base64")[:length]
    assert estimate(data) > 3 * estimate(prose)


def test_long_identifiers_are_not_taken_for_encoded_data():
    identifier = "summarizationMiddlewareConfigurationProviderFactory"
    assert estimate(identifier) < len(identifier) / 3


KINDS = (
    Event(1, 1, "user", "What is the weather in Lisbon?", None, None),
    Event(2, 1, "tool_call", '{"city": "Lisbon"}', "weather", "call_1"),
    Event(3, 1, "tool_result", '{"sky": "clear", "celsius": 21}', None, "call_1"),
    Event(4, 1, "agent", "It is clear, 21 degrees.", None, None),
)


def test_events_cost_what_the_messages_made_of_them_cost():
    messages = to_messages(Context(None, KINDS))
    assert sum(map(event_tokens, KINDS)) == sum(map(message_tokens, messages))


@pytest.mark.parametrize("event", KINDS)
def test_an_event_costs_more_than_its_text(event):
    assert event_tokens(event) > estimate(event.content) + estimate(event.name or "")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, 0),
        ("hello there", estimate("hello there")),
        ([{"type": "text", "text": "hello there"}], estimate("hello there")),
        ([{"type": "image_url", "image_url": {"url": "data:;base64," + "A" * 9000}}], 1000),
        ({"a": [1, 2]}, estimate('{"a": [1, 2]}')),
    ],
)
def test_content_of_every_form_is_counted(content, expected):
    message = {"role": "user", "content": content}
    assert message_tokens(message) == expected + tokens.MESSAGE_OVERHEAD


def test_nothing_is_calibrated_before_a_report():
    assert Calibration().apply(1000) == 1000


def test_the_first_report_counts_whole_and_later_ones_half():
    first = Calibration().calibrated(1000, 1200)
    assert first.apply(1000) == 1200
    assert first.calibrated(1000, 1000).apply(1000) == 1100


def test_steady_reports_are_met():
    calibration = Calibration(0.6)
    for _ in range(10):
        calibration = calibration.calibrated(1000, 1300)
    assert calibration.apply(10_000) == pytest.approx(13_000, rel=0.01)


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(-10, 10**7))))
def test_no_reports_drive_the_ratio_out_of_bounds(reports):
    calibration = Calibration()
    for estimated, reported in reports:
        calibration = calibration.calibrated(estimated, reported)
    assert 500 <= calibration.apply(1000) <= 2000


@pytest.mark.parametrize("ratio", [0.0, -3.0, 1e9])
def test_a_stored_ratio_that_is_absurd_is_bounded(ratio):
    assert 500 <= Calibration(ratio).apply(1000) <= 2000


@pytest.mark.parametrize(("estimated", "reported"), [(10, 500), (1000, 0), (1000, -1), (0, 0)])
def test_a_report_that_says_nothing_is_ignored(estimated, reported):
    assert Calibration(1.1).calibrated(estimated, reported) == Calibration(1.1)


TIKTOKEN = """
class Encoding:
    def encode_ordinary(self, text):
        return [0] * 12345

def get_encoding(name):
    return Encoding()
"""


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A package that stands where tiktoken would, and a folder for its cache."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "tiktoken.py").write_text(TIKTOKEN)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.delitem(__import__("sys").modules, "tiktoken", raising=False)
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    return tmp_path / tokens_tiktoken._FILE


def test_tiktoken_counts_where_its_vocabulary_is_at_hand(installed, monkeypatch):
    installed.write_bytes(b"vocabulary")
    digest = hashlib.sha256(b"vocabulary").hexdigest()
    monkeypatch.setattr(tokens_tiktoken, "_SHA256", digest)
    assert count("hello") == 12345
    assert count("hello " * 50_000) == estimate("hello " * 50_000)


@pytest.mark.parametrize("content", [None, b"", b"damaged"])
def test_tiktoken_is_not_asked_without_its_whole_vocabulary(installed, content):
    if content is not None:
        installed.write_bytes(content)
    assert count("hello") == 1


def test_a_tiktoken_that_fails_is_not_used(installed, monkeypatch, caplog):
    installed.write_bytes(b"")
    monkeypatch.setattr(tokens_tiktoken, "_SHA256", hashlib.sha256(b"").hexdigest())
    package = installed.parent / "site" / "tiktoken.py"
    package.write_text("raise ImportError('broken')")
    assert count("hello") == 1
    assert "broken" in caplog.text
