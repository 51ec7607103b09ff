"""Overflow recognition: every provider's wording, and nothing that only looks like it."""

from __future__ import annotations

import builtins
import importlib
import json
import sys
import types
import typing as t
from importlib import util

import openai
import pytest
from sqlalchemy import exc
from werkzeug.exceptions import RequestEntityTooLarge

from flask_mesh_sessions.compaction import overflow_rules, overflow_text
from flask_mesh_sessions.compaction.overflow import Overflow, is_context_overflow, truncated
from tests import overflow_held_out as held_out
from tests import overflow_messages as messages
from tests import overflow_traps

#: What the openai package is made with: another one since its third major release.
httpx: t.Any = importlib.import_module("httpx2" if util.find_spec("httpx2") else "httpx")

ALL = [
    *messages.TUNED,
    *messages.REMAINING,
    *held_out.HELD_OUT,
    *held_out.HELD_OUT_2,
    *held_out.HELD_OUT_3,
]
TRAPS = [
    *overflow_traps.TRAPS,
    *held_out.HELD_OUT_TRAPS,
    *held_out.HELD_OUT_2_TRAPS,
    *held_out.HELD_OUT_3_TRAPS,
]
ANTHROPIC = "prompt is too long: 216868 tokens > 200000 maximum"
RATE = "Rate limit reached on tokens per min (TPM): Limit 10000, Requested 12000."


def named(name: str, *bases: type, module: str = "somewhere") -> t.Any:
    """An exception class of a package that is not installed here."""
    return type(name, bases or (Exception,), {"__module__": module})


def status_error(status: int, body: dict[str, t.Any]) -> openai.APIStatusError:
    """What the openai package raises for an answer."""
    transport = httpx.MockTransport(lambda request: httpx.Response(status, json=body))
    with (
        httpx.Client(transport=transport) as http,
        openai.OpenAI(api_key="none", http_client=http, max_retries=0) as client,
        pytest.raises(openai.APIStatusError) as raised,
    ):
        client.chat.completions.create(model="m", messages=[])
    return raised.value


@pytest.mark.parametrize("said", ALL, ids=lambda said: said.provider)
def test_an_overflow_is_recognised_with_its_numbers(said):
    found = is_context_overflow(said.body)
    assert found is not None
    assert (found.limit, found.used) == (said.limit, said.used)


@pytest.mark.parametrize("said", ALL, ids=lambda said: said.provider)
def test_an_overflow_is_recognised_in_an_exception(said):
    body = said.body if isinstance(said.body, (str, Exception)) else json.dumps(said.body)
    found = is_context_overflow(RuntimeError(body))
    assert found is not None
    assert found.limit == said.limit


@pytest.mark.parametrize("body", TRAPS, ids=lambda body: str(body)[:60])
def test_what_only_looks_like_an_overflow_is_refused(body):
    assert is_context_overflow(body) is None
    assert is_context_overflow(RuntimeError(body)) is None


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            "However, you requested 4130 tokens. maximum context length is 4,097 tokens.",
            Overflow(limit=4097, used=4130, provider="openai"),
        ),
        ("prompt is too long: 1 048 577 tokens > 1_048_576 maximum", (1048576, 1048577)),
        ("prompt is too long: 1.048.577 tokens > 1,048,576 maximum", (1048576, 1048577)),
        ("prompt is too long: 201k tokens > 200K maximum", (200000, 201000)),
        ("Prompt is too long: 9000 tokens &gt; 8000 maximum", (8000, 9000)),
        (r"{\"error\": \"prompt is too long: 9000 tokens \u003e 8000 maximum\"}", (8000, 9000)),
        ("400 request size exceeds the context window (32 MB)", (None, None)),
        ("context window exceeded by 120 tokens", (None, None)),
    ],
)
def test_numbers_are_read_however_they_are_written(text, found):
    result = is_context_overflow(text)
    assert result is not None
    expected = (found.limit, found.used) if isinstance(found, Overflow) else found
    assert (result.limit, result.used) == expected


def test_what_the_answer_was_to_take_is_told_apart():
    text = (
        "This model's maximum context length is 4097 tokens, however you requested 4130 tokens"
        " (3130 in your prompt; 1000 for the completion)."
    )
    assert is_context_overflow(text) == Overflow(4097, 4130, "openai", prompt=3130, output=1000)
    text = "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000"
    found = is_context_overflow(text)
    assert found == Overflow(200000, 210000, "anthropic", prompt=190000, output=20000)


def test_functions_are_no_answer():
    text = (
        "This model's maximum context length is 4097 tokens. However, your messages resulted in"
        " 4112 tokens (3992 in the messages, 120 in the functions)."
    )
    assert is_context_overflow(text) == Overflow(4097, 4112, "openai")


def test_the_openai_package_raises_what_is_recognised():
    message = (
        "maximum context length is 8192 tokens. However, your messages resulted in 8227 tokens"
    )
    error = status_error(400, messages.openai(message, code="context_length_exceeded"))
    assert type(error) is openai.BadRequestError
    assert is_context_overflow(error) == Overflow(8192, 8227, "openai")
    assert is_context_overflow(status_error(429, messages.openai("Slow down"))) is None
    assert is_context_overflow(status_error(413, {})) == Overflow()


def test_the_openai_package_raises_a_plain_error_in_a_stream():
    request = httpx.Request("POST", "http://127.0.0.1")
    body = {"code": "context_length_exceeded", "message": "Too much"}
    assert is_context_overflow(openai.APIError("Too much", request, body=body)) == Overflow()


@pytest.mark.parametrize(
    "name",
    [
        "ContextWindowExceededError",
        "ContextOverflowError",
        "ModelContextWindowExceededError",
        "ContextLengthExceededException",
    ],
)
def test_a_class_is_recognised_by_its_name_and_by_its_bases(name):
    kind = named(name)
    assert is_context_overflow(kind("no more")) == Overflow()
    assert is_context_overflow(named("ProviderError", kind)("no more")) == Overflow()


def test_botocore_keeps_the_body_in_its_response():
    error = named("ClientError", module="botocore.exceptions")("An error occurred")
    error.response = {
        "Error": {
            "Code": "ValidationException",
            "Message": "Input is too long for requested model.",
        },
        "ResponseMetadata": {"HTTPStatusCode": 400},
    }
    assert is_context_overflow(error) == Overflow(provider="bedrock")
    error.response["Error"] = {"Code": "ThrottlingException", "Message": "Too many tokens"}
    assert is_context_overflow(error) is None


def test_grpc_keeps_its_details_behind_methods():
    class RpcError(Exception):
        def code(self):
            return "INVALID_ARGUMENT"

        def details(self):
            return "maximum prompt length is 131072 but the request contains 537812 tokens"

    assert is_context_overflow(RpcError()) == Overflow(131072, 537812, "xai")


def test_cohere_says_its_headers_too():
    text = (
        "headers: {'x-endpoint-monthly-call-limit': '1000', 'x-ratelimit-remaining': '3'},"
        " status_code: 400, body: {'message': 'too many tokens: size limit exceeded by 10 tokens'}"
    )
    assert is_context_overflow(RuntimeError(text)) == Overflow(provider="cohere")


@pytest.mark.parametrize("text", ["413 Request Entity Too Large", "Error code: 413"])
def test_a_request_of_too_many_bytes_is_an_overflow(text):
    assert is_context_overflow(text) == Overflow()
    assert is_context_overflow({"error": {"code": 413, "message": "No"}}) == Overflow()


def test_what_a_database_or_flask_raises_is_no_model_error():
    failed = exc.DataError("INSERT", {"text": ANTHROPIC}, Exception("Data too long"))
    assert is_context_overflow(failed) is None
    assert is_context_overflow(RequestEntityTooLarge()) is None


def test_an_answer_that_talks_about_context_windows_is_none():
    answer = {"type": "message", "role": "assistant", "content": ANTHROPIC}
    assert is_context_overflow(types.SimpleNamespace(**answer, stop_reason="end_turn")) is None
    full = types.SimpleNamespace(**answer, stop_reason="model_context_window_exceeded")
    assert is_context_overflow(full) == Overflow(provider="anthropic")


def test_what_it_was_raised_from_is_looked_at():
    try:
        try:
            raise ValueError(ANTHROPIC)
        except ValueError as error:
            raise RuntimeError("The agent failed") from error
    except RuntimeError as error:
        assert is_context_overflow(error) == Overflow(200000, 216868, "anthropic")


def test_what_was_hidden_on_purpose_is_not():
    try:
        try:
            raise ValueError(ANTHROPIC)
        except ValueError:
            raise RuntimeError("Something else") from None
    except RuntimeError as error:
        assert is_context_overflow(error) is None


def test_a_rate_limit_met_while_handling_an_overflow_is_a_rate_limit():
    error = RuntimeError(RATE)
    error.__context__ = ValueError(ANTHROPIC)
    assert is_context_overflow(error) is None


@pytest.mark.skipif(sys.version_info < (3, 11), reason="ExceptionGroup came with Python 3.11")
def test_the_members_of_a_group_are_looked_at():
    ExceptionGroup = vars(builtins)["ExceptionGroup"]
    group = ExceptionGroup("two calls", [RuntimeError(RATE), ValueError(ANTHROPIC)])
    assert is_context_overflow(ExceptionGroup("outer", [group])) is not None
    assert is_context_overflow(ExceptionGroup("outer", [RuntimeError(RATE)])) is None


def test_a_chain_that_bites_its_tail_ends():
    error, other = RuntimeError("a"), RuntimeError("b")
    error.__cause__, other.__cause__ = other, error
    assert is_context_overflow(error) is None


def test_a_response_that_was_not_read_is_left_alone():
    def stream():
        raise AssertionError("The network was read")
        yield b""

    error: t.Any = RuntimeError("no text")
    error.response = httpx.Response(400, content=stream())
    assert is_context_overflow(error) is None
    error.response = httpx.Response(400, content=ANTHROPIC.encode())
    assert is_context_overflow(error) == Overflow(200000, 216868, "anthropic")


def test_a_response_of_an_unknown_client_is_read():
    class Answer:
        status_code = 400

        def json(self):
            return {"error": {"message": ANTHROPIC}}

    error: t.Any = RuntimeError("no text")
    error.response = Answer()
    assert is_context_overflow(error) == Overflow(200000, 216868, "anthropic")


class Hostile(Exception):
    def __str__(self):
        raise RuntimeError("no text")

    def __getattr__(self, name):
        raise ValueError(name)


class Endless:
    def __getattr__(self, name):
        return Endless()


class Faceless:
    @property  # type: ignore[misc]
    def __class__(self):
        raise RuntimeError("no class")


def nested(depth: int) -> dict[str, t.Any]:
    body: dict[str, t.Any] = {}
    for _ in range(depth):
        body = {"error": body}
    return body


@pytest.mark.parametrize(
    "thing",
    [
        None, 0, 413, 1.5, True, b"", object(), ValueError, Hostile(), Endless(),
        b"\xff\xfe\x00", "\ud800", "[" * 100_000, nested(5_000), {1: 2, None: object()},
        [[[]]], {"error": None}, {"error": [None, 1, {}]}, memoryview(bytearray(8)).cast("d"),
        '{"code": ' + "9" * 5_000 + "}", "٣٤٥ ² tokens",
    ],
    ids=lambda thing: type(thing).__name__,
)  # fmt: skip
def test_nothing_is_raised_whatever_is_given(thing):
    assert is_context_overflow(thing) is None


def test_nothing_is_raised_for_what_lies_about_its_class():
    assert is_context_overflow(Faceless()) is None
    assert is_context_overflow({"error": Faceless()}) is None


@pytest.mark.parametrize("piece", ["context window ", "tokens exceed ", "1,111", " ", "&#", "\\u"])
def test_a_huge_text_is_looked_at_only_at_its_ends(piece):
    huge = piece * (3_000_000 // len(piece))
    assert is_context_overflow(huge) is None
    assert is_context_overflow(f"{ANTHROPIC}. {huge}") is not None
    assert is_context_overflow(f"{huge} {ANTHROPIC}") is not None


RULES = [*overflow_rules.RULES, *overflow_rules.GENERAL]


@pytest.mark.parametrize("rule", overflow_rules.RULES, ids=lambda rule: rule[1][:40])
def test_no_rule_of_a_provider_is_without_a_message(rule):
    source = overflow_text.compiled(rule[1])
    bodies = [str(said.body) for said in ALL]
    assert any(source.search(overflow_text.normalise(body)) for body in bodies)


def test_every_rule_can_be_read():
    sources = [rule[1] for rule in (*RULES, *overflow_rules.CODES)]
    sources += [part for pair in overflow_rules.REFUSED for part in pair if part]
    groups = {name for each in sources for name in overflow_text.compiled(each).groupindex}
    assert {name.partition("_")[0] for name in groups} == set(overflow_text.NUMBERS)


@pytest.mark.parametrize(
    ("sent", "reported", "window", "expected"),
    [
        (9000, 2048, 4096, True),
        (9000, 2048, None, True),
        (9000, 8200, None, False),  # The estimate was a little high.
        (9000, 0, 4096, False),  # The server does not say.
        (3000, 20, 4096, False),  # It fits: the rest was in the cache.
        (300, 100, None, False),  # Too little to tell.
    ],
)
def test_a_silently_shortened_prompt_is_noticed(sent, reported, window, expected):
    assert truncated(sent, reported, window) is expected
