"""``${VAR}`` and ``${VAR, default}`` in the settings."""

from __future__ import annotations

import pytest

from flask_mesh_sessions import config
from tests.settings import load, refusal, sql, write


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${A}", "a:b"),
        ("${ A }", "a:b"),
        ("<${A}>", "<a:b>"),
        ("${A}${A}", "a:ba:b"),
        ("${A, other}", "a:b"),
        ("${U, other}", "other"),
        ("${U,other}", "other"),
        ("${U , two words  }", "two words"),
        ("${U, a:b, c}", "a:b, c"),
        ("${E, empty is unset}", "empty is unset"),
        ("x${U,}y", "xy"),
        ("${REF}", "${A}"),
        ("${D.E-F}", "dotted"),
        ("$A {A} $", "$A {A} $"),
    ],
)
def test_references(text, expected):
    environ = {"A": "a:b", "E": "", "REF": "${A}", "D.E-F": "dotted"}
    source = {"agents": [{"name": "a", "model": {"name": "m", "api_key": text}}]}
    model = load(source, environ).agent("a").model
    assert model is not None
    assert model.api_key == expected


@pytest.mark.parametrize("text", ["${A", "${}", "${A:-d}", "${A B}", "a ${A, ${B, c}}", "${A:d}"])
def test_malformed_references_are_refused(text):
    message = refusal({"session_service": {"database_url": text}}, {"A": "a"})
    assert message.startswith("session_service.database_url: ")
    assert "Write ${VAR} or ${VAR, default}" in message


@pytest.mark.parametrize("environ", [{}, {"DB": ""}])
def test_an_unset_variable_without_default_is_named_with_its_key(environ):
    source = {"agents": [{"name": "a"}, {"name": "b", "session_service": sql("x${DB}")}]}
    message = refusal(source, environ)
    assert message.startswith("agents[1].session_service.database_url: ")
    assert "environment variable DB is not set or empty" in message


@pytest.mark.parametrize(
    ("value", "expected"), [("0.5", 0.5), ("1", 1.0), ("5e-1", None), ("0.5 # half", None)]
)
def test_a_value_that_is_only_a_reference_is_typed_like_yaml(value, expected):
    source = {"auto_summarization": {"compaction_percentage": "${P}"}}
    if expected is None:
        assert "must be a number from 0.0 to 1.0" in refusal(source, {"P": value})
    else:
        assert load(source, {"P": value}).auto_summarization.compaction_percentage == expected


def test_scalars_from_the_environment_and_from_defaults():
    source = {
        "auto_migrate": "${M}",
        "anonymous": "${N, no}",
        "turns": {"workers": "${W}", "timeout": "${T, 1.5}", "max_waiting": "${X, null}"},
        "ui": "${UI, false}",
        "web_session": "${WS, off}",
    }
    settings = load(source, {"M": "false", "W": "0x10"})
    assert (settings.auto_migrate, settings.anonymous, settings.ui) == (False, False, None)
    assert settings.web_session == "off"
    assert settings.turns == config.Turns(workers=16, timeout=1.5)


@pytest.mark.parametrize("value", ["{type: sql}", "[a, b]", "!!int 3", "&a 1", "0x_", "2024-01-01"])
def test_only_scalars_are_typed(value):
    assert "must be a whole number" in refusal({"turns": {"workers": "${W}"}}, {"W": value})
    assert "must be a mapping" in refusal({"session_service": "${S}"}, {"S": value})


def test_part_of_a_text_stays_text():
    assert "must be a whole number" in refusal({"turns": {"workers": "1${W}"}}, {"W": "2"})


@pytest.mark.parametrize("value", ["12345", "true", "null", "1.0", "0x10", "~"])
def test_keys_that_are_text_stay_text(value):
    model = {"name": "${V}", "api_key": "${V}", "api_base": "${V}"}
    agent = load({"agents": [{"name": "${V}", "model": model}]}, {"V": value}).agents[0]
    assert agent.name == value
    assert agent.model == config.Model(name=value, api_key=value, api_base=value)


def test_references_in_every_place(tmp_path):
    write(tmp_path, "name: ${NAME}\nmodel: {name: '${MODEL, m}'}\n", "own.yaml")
    main = "agents: ['${FILE}']\ntrusted_origins: ['${O}', 'https://${H}']\n"
    environ = {"NAME": "n", "FILE": "own.yaml", "O": "http://localhost:3000", "H": "a.example"}
    settings = load(write(tmp_path, main), environ)
    assert settings.agents[0].name == "n"
    assert settings.trusted_origins == ("http://localhost:3000", "https://a.example")


def test_a_comment_in_yaml_is_no_reference(tmp_path):
    assert load(write(tmp_path, "ui: /chat  # ${UNSET}\n")).ui == "/chat"
