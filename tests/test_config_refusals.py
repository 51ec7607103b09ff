"""What is refused in the settings, in which words, and what the documentation says."""

from __future__ import annotations

import re
import typing as t
from pathlib import Path

import msgspec
import pytest

from flask_mesh_sessions import config
from flask_mesh_sessions.config import MeshConfig
from tests.settings import load, refusal, sql

# What is refused, and how


PERCENTAGE = "must be a number from 0.0 to 1.0"


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (-0.1, "-0.1"),
        (1.1, "1.1"),
        (2, "2"),
        ("half", "'half'"),
        ("0.5", "'0.5'"),
        (True, "true"),
        (False, "false"),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
        (10**400, "1000000000"),
        ([0.5], "a list"),
        ({"a": 1}, "a mapping"),
    ],
)
def test_percentages_outside_of_zero_to_one_are_refused(given, shown):
    summarization = {"compaction_percentage": given}
    message = refusal(
        {"agents": [{"name": "a"}, {"name": "b", "auto_summarization": summarization}]}
    )
    assert message.startswith(f"agents[1].auto_summarization.compaction_percentage: {PERCENTAGE}")
    assert f"not {shown}" in message


@pytest.mark.parametrize("given", [0, 0.0, 0.25, 0.5, 0.8, 1, 1.0])
def test_percentages_from_zero_to_one_are_fine(given):
    settings = load({"auto_summarization": {"compaction_percentage": given}})
    assert settings.auto_summarization.compaction_percentage == given


def test_no_compaction_is_warned_about_where_it_is_said():
    off = {"compaction_percentage": 0}
    source = {
        "auto_summarization": off,
        "agents": [
            {"name": "inherits"},
            {"name": "a", "auto_summarization": off},
            {"name": "b", "auto_summarization": {"compaction_percentage": 0.5}},
        ],
    }
    first, second = load(source).warnings
    assert first.startswith("auto_summarization.compaction_percentage is 0")
    assert second.startswith("agents[1].auto_summarization.compaction_percentage is 0")


def test_a_database_url_without_sql_is_warned_about():
    settings = load({"session_service": {"database_url": "sqlite:///a.db"}})
    assert settings.session_service == config.SessionService()
    assert settings.warnings == ("session_service.database_url is not used, as type is memory.",)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"nonsense": 1}, "nonsense: unknown key. Allowed: "),
        ({"session_services": {}}, "session_services: unknown key. Did you mean session_service?"),
        ({"pool": {"size": 3}}, "pool.size: unknown key."),
        ({"turns": {"worker": 3}}, "turns.worker: unknown key. Did you mean workers?"),
        ({"limits": {"message_bytes": "1 MiB"}}, "limits.message_bytes: must be a whole number"),
        ({"limits": {"body_bytes": 1.5}}, "limits.body_bytes: must be a whole number from 1 to"),
        ({"limits": {"message_bytes": 5_000_000}}, "limits.message_bytes: must be a whole number"),
        ({"turns": {"workers": 0}}, "turns.workers: must be a whole number from 1 to"),
        ({"turns": {"workers": True}}, "turns.workers: must be a whole number"),
        ({"turns": {"max_waiting": 0}}, "turns.max_waiting: must be a whole number from 1 to"),
        ({"turns": {"timeout": 0}}, "turns.timeout: must be a number above 0.0 and up to 604800"),
        ({"turns": {"timeout": float("inf")}}, "turns.timeout: must be a number above 0.0"),
        ({"turns": []}, "turns: must be a mapping with keys among max_waiting, workers, timeout"),
        ({"pool": {"max_overflow": -1}}, "pool.max_overflow: must be a whole number from 0"),
        ({"data_retention": {"batch_size": 10_001}}, "data_retention.batch_size: must be a whole"),
        ({"auto_migrate": "yes"}, "auto_migrate: must be true or false, not 'yes'."),
        ({"anonymous": 1}, "anonymous: must be true or false, not 1."),
        ({"web_session": True}, "web_session: must be auto or off, not true."),
        ({"chain_upgrade": "both"}, "chain_upgrade: must be all or gateway or host, not 'both'."),
        ({"session_service": {"type": "SQL"}}, "session_service.type: must be memory or sql, not"),
        ({"session_service": {"type": 1}}, "session_service.type: must be memory or sql, not 1."),
        (
            {"session_service": {"default_behavior": "persistent"}},
            "session_service.default_behavior: must be PERSISTENT or RUN_BASED, not 'persistent'.",
        ),
        ({"auto_summarization": {"trigger_at": 0}}, "auto_summarization.trigger_at: must be a num"),
        ({"auto_summarization": {"trigger_at": 1.01}}, "auto_summarization.trigger_at: must be"),
        ({"agents": {"a": {}}}, "agents: must be a list, not a mapping."),
        ({"agents": "a.yaml"}, "agents: must be a list, not 'a.yaml'."),
        ({"agents": [3]}, "agents[0]: must be a mapping with keys among name, session_service"),
        ({"agents": [{}]}, "agents[0].name: is required."),
        ({"agents": [{"name": "a", "prompt": ""}]}, "agents[0].prompt: unknown key."),
        ({"agents": [{"name": "a", "model": {}}]}, "agents[0].model.name: is required."),
        (
            {"agents": [{"name": "a", "model": {"name": "m", "max_input_tokens": 0}}]},
            "agents[0].model.max_input_tokens: must be a whole number from 1",
        ),
        ({"trusted_origins": "https://a.example"}, "trusted_origins: must be a list"),
        ({"trusted_origins": ["https://a.example", 3]}, "trusted_origins[1]: must be text, not 3."),
        ({"platform_service": {"url": "x"}}, "platform_service.url: unknown key."),
        ({"turns": {3: 4}}, "turns: the key 3 must be text."),
    ],
)
def test_wrong_settings_are_named_with_their_whole_path(source, message):
    assert refusal(source).startswith(message)


def test_a_setting_nested_too_deeply_is_refused():
    source: dict[str, t.Any] = {}
    for _ in range(100_000):
        source = {"a": source}
    assert "nested too deeply" in refusal({"turns": source})


@pytest.mark.parametrize(
    "source",
    [
        {"session_service": "postgresql://u:s3cret@h/d"},
        {"session_service": {"type": "postgresql://u:s3cret@h/d"}},
        {"session_service": {"database_url": ["s3cret"]}},
        {"agents": [{"name": "a", "model": {"name": "m", "api_key": ["s3cret"]}}]},
        {"agents": [{"name": "a", "model": "s3cret"}]},
        {"ui": "s3cret"},
        {"trusted_origins": ["https://u:s3cret@h"]},
    ],
)
def test_secrets_in_the_wrong_place_are_not_repeated(source):
    assert "s3cret" not in refusal(source)


@pytest.mark.parametrize("key", ["api_key", "api_base"])
def test_a_secret_that_is_no_text_is_not_repeated(key):
    source = {"agents": [{"name": "a", "model": {"name": "m", key: 12345}}]}
    assert refusal(source) == f"agents[0].model.{key}: must be text."


def test_secrets_are_not_in_the_repr():
    model = {"name": "m", "api_key": "s3cret", "api_base": "https://u:s3cret@h"}
    url = "postgresql://u:s3cret@h/d"
    source = {
        "session_service": sql(url),
        "platform_service": {"database_url": url},
        "agents": [{"name": "a", "session_service": sql(url), "model": model}],
    }
    settings = load(source, {"AGENT_DATABASE_URL": url})
    assert "s3cret" not in repr(settings) + repr(settings.__rich_repr__())
    assert "database_url='***'" in repr(settings.session_service)
    assert "api_key='***'" in repr(settings.agent("a").model)
    assert "database_url=None" in repr(config.SessionService())


# What the documentation says


DOCS = Path(__file__).parent.parent / "docs" / "configuration.rst"


def documented() -> dict[str, str]:
    entries = re.findall(
        r"^\.\. confval:: (\S+)\n(?:   :type: .*\n)?(?:   :default: (.*)\n)?",
        DOCS.read_text(),
        re.M,
    )
    return {name: default.replace("``", "") for name, default in entries}


def written(prefix: str, struct: type[msgspec.Struct]) -> t.Iterator[tuple[str, object]]:
    for field in msgspec.structs.fields(struct):
        name = f"{prefix}{field.encode_name}"
        nested = type(field.default)
        if isinstance(field.default, msgspec.Struct):
            yield from written(f"{name}.", t.cast("type[msgspec.Struct]", nested))
        else:
            yield name, field.default


def test_every_setting_is_documented_with_its_default():
    docs = documented()
    settings = dict(written("", MeshConfig))
    for name in ("platform_database_url", "agents", "warnings"):
        del settings[name]
    for name, default in settings.items():
        if not name.startswith("agent_session_service"):
            says = {True: "true", False: "false", None: "none", (): "[]"}.get(
                t.cast(t.Any, default), str(default).removesuffix(".0")
            )
            assert docs[name] == says, name
    for name, _ in written("agents[].model.", config.Model):
        assert name in docs
    assert {"platform_service.database_url", "agents", "agents[].name"} <= set(docs)
    assert {"SESSION_SECRET_KEY", "SESSION_SECRET_KEY_FALLBACKS", "AGENT_DATABASE_URL"} <= set(docs)
