"""The settings: where they come from, what stands without them, and agents."""

from __future__ import annotations

import traceback
import types
from pathlib import Path

import msgspec
import pytest

from flask_mesh_sessions import config
from flask_mesh_sessions.config import MeshConfig, load_config
from flask_mesh_sessions.errors import ConfigError
from tests.settings import INSTANCE, load, refusal, sql, write

# What stands when nothing is said


def test_no_settings_mean_memory_and_every_default():
    settings = load()
    assert settings == MeshConfig()
    assert settings.session_service.type == "memory"
    assert settings.session_service.default_behavior == "PERSISTENT"
    assert settings.platform_database_url is None
    assert (settings.auto_migrate, settings.anonymous, settings.web_session) == (True, True, "auto")
    assert (settings.url_prefix, settings.ui) == ("/api/v1", "/mesh")
    assert settings.trusted_origins == ()
    assert settings.chain_upgrade == "all"
    assert settings.warnings == ()


def test_defaults_of_the_sections():
    settings = load({})
    assert msgspec.structs.asdict(settings.auto_summarization) == {
        "enabled": True,
        "compaction_percentage": 0.25,
        "trigger_at": None,
    }
    turns, limits = settings.turns, settings.limits
    assert (turns.max_waiting, turns.workers, turns.timeout) == (16, 8, 600)
    assert (limits.message_bytes, limits.body_bytes) == (1_048_576, 2_097_152)
    assert msgspec.structs.asdict(settings.pool) == {
        "pool_size": 5,
        "max_overflow": 5,
        "pool_timeout": 30,
        "pool_recycle": 1800,
    }
    assert msgspec.structs.asdict(settings.data_retention) == {
        "enabled": True,
        "task_retention_days": 90,
        "feedback_retention_days": 90,
        "sse_event_retention_days": 30,
        "conversion_cache_retention_hours": 24,
        "cleanup_interval_hours": 24,
        "batch_size": 1000,
        "cleanup_tasks": True,
        "cleanup_feedback": True,
        "cleanup_sse_events": True,
    }


def test_absent_sections_come_from_the_environment():
    environ = {
        "WEB_UI_GATEWAY_DATABASE_URL": "sqlite:///gateway.db",
        "AGENT_DATABASE_URL": "sqlite:///agent.db",
        "PLATFORM_DATABASE_URL": "sqlite:///platform.db",
    }
    settings = load({"agents": [{"name": "a"}]}, environ)
    assert settings.session_service == config.SessionService(
        type="sql", database_url=f"sqlite:///{INSTANCE}/gateway.db"
    )
    assert settings.platform_database_url == f"sqlite:///{INSTANCE}/platform.db"
    for name in ("a", "registered-only"):
        service = settings.agent(name).session_service
        assert service.database_url == f"sqlite:///{INSTANCE}/agent.db"
        assert service.type == "sql"


def test_empty_environment_variables_count_as_unset():
    environ = {
        "WEB_UI_GATEWAY_DATABASE_URL": "",
        "AGENT_DATABASE_URL": " ",
        "PLATFORM_DATABASE_URL": "",
    }
    assert load({}, environ) == MeshConfig()


def test_a_section_that_is_there_does_not_look_at_the_environment():
    environ = {
        "WEB_UI_GATEWAY_DATABASE_URL": "sqlite:///gateway.db",
        "AGENT_DATABASE_URL": "sqlite:///agent.db",
        "PLATFORM_DATABASE_URL": "sqlite:///platform.db",
    }
    memory = {"type": "memory"}
    source = {
        "session_service": memory,
        "platform_service": {},
        "agents": [{"name": "a", "session_service": memory}],
    }
    settings = load(source, environ)
    assert settings.session_service.type == "memory"
    assert settings.platform_database_url is None
    assert settings.agent("a").session_service.type == "memory"


@pytest.mark.parametrize(
    ("source", "key"),
    [
        ({"session_service": {"type": "sql"}}, "session_service.database_url"),
        (
            {"agents": [{"name": "a", "session_service": {"type": "sql"}}]},
            "agents[0].session_service.database_url",
        ),
        ({"session_service": sql("${X, }")}, "session_service.database_url"),
    ],
)
def test_sql_needs_a_database_url_even_if_the_environment_has_one(source, key):
    environ = {"WEB_UI_GATEWAY_DATABASE_URL": "sqlite:///a", "AGENT_DATABASE_URL": "sqlite:///b"}
    assert refusal(source, environ) == f"{key}: is required where type is sql."


def test_a_wrong_url_in_the_environment_is_named_by_its_variable():
    assert refusal({}, {"AGENT_DATABASE_URL": "oracle://h/d"}).startswith("AGENT_DATABASE_URL: ")


def test_the_environment_of_the_process_is_the_default(monkeypatch):
    monkeypatch.setenv("PLATFORM_DATABASE_URL", "sqlite:////data/p.db")
    settings = load_config(None, instance_path=INSTANCE, root_path="/")
    assert settings.platform_database_url == "sqlite:////data/p.db"


def test_keys_without_a_value_count_as_absent(tmp_path):
    text = "session_service:\nui:\nauto_summarization:\n  compaction_percentage:\nagents:\n"
    assert load(write(tmp_path, text)) == MeshConfig()


# Where settings are read from


def test_a_yaml_file_by_str_or_path_relative_to_the_root_path(tmp_path):
    write(tmp_path, "anonymous: false\n")
    for source in ("mesh.yaml", Path("mesh.yaml"), str(tmp_path / "mesh.yaml")):
        assert load(source, root_path=tmp_path).anonymous is False


def test_mappings_of_any_kind_are_read_and_never_changed():
    agents = ({"name": "a", "auto_summarization": {"enabled": None}},)
    source = types.MappingProxyType({"agents": agents, "x-note": object()})
    assert load(source).agents == (config.AgentConfig(name="a"),)
    assert source["agents"] == ({"name": "a", "auto_summarization": {"enabled": None}},)


@pytest.mark.parametrize("source", [3, ["a"], b"mesh.yaml"])
def test_other_sources_are_refused(source):
    assert "must be a mapping or the path of a YAML file" in refusal(source)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("- a\n", "must hold a mapping"),
        ("just text\n", "must hold a mapping"),
        ("# nothing\n", "is empty"),
        ("a: [1\n", "line 2, column 1"),
        ("ui: /a\nui: /b\n", "found the key ui twice in line 2, column 1"),
        ("turns: {workers: 1, workers: 2}\n", "found the key workers twice"),
        ("x-a: &a {b: *a}\nturns: &t {workers: *t}\n", "nested too deeply, or in itself"),
        ("a: 2024-13-45\n", "not valid YAML"),
        ("? [a]\n: b\n", "unhashable key"),
        ("a: !!python/object:os.system {}\n", "could not determine a constructor"),
        ("---\nui: /a\n---\nui: /b\n", "expected a single document"),
        ("1: a\n", "the key 1 must be text"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_its_name(tmp_path, text, why):
    path = write(tmp_path, text)
    message = refusal(path)
    assert why in message
    assert str(path) in message


def test_files_that_cannot_be_read_are_named(tmp_path):
    assert refusal(tmp_path / "no.yaml") == (
        f"{tmp_path / 'no.yaml'}: cannot be read: No such file or directory."
    )
    assert "Is a directory" in refusal(tmp_path)
    (tmp_path / "bad.yaml").write_bytes(b"a: \xff\n")
    assert "bad.yaml: not UTF-8 text" in refusal(tmp_path / "bad.yaml")


@pytest.mark.parametrize(
    "text", ['a: "postgresql://u:s3cret@h/d\n', "a: *s3cret\n", "a: !s3cret\n", "a: !s3cret!x\n"]
)
def test_a_broken_file_is_not_quoted(tmp_path, text):
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert "s3cret" not in "".join(traceback.format_exception(caught.value))


def test_anchors_aliases_and_merge_keys(tmp_path):
    text = """
x-service: &service
  type: sql
  database_url: sqlite:////data/${X_NAME, shared}.db
x-run-based: &run_based
  <<: *service
  default_behavior: RUN_BASED
session_service: *service
agents:
  - name: a
    session_service: {<<: *run_based, database_url: sqlite:////data/a.db}
  - name: b
    session_service:
      <<: *service
"""
    settings = load(write(tmp_path, text))
    assert settings.session_service.database_url == "sqlite:////data/shared.db"
    assert settings.agent("a").session_service == config.SessionService(
        type="sql", database_url="sqlite:////data/a.db", default_behavior="RUN_BASED"
    )
    assert settings.agent("b").session_service == settings.session_service


def test_keys_that_begin_with_x_are_for_anchors_and_never_looked_into():
    assert load({"x-anything": {"a": "${UNSET}", 1: "${"}}) == MeshConfig()


# Agents


AGENT_FILE = """
auto_summarization: {compaction_percentage: 0.5}
x-shared: &url sqlite:////data/r.db
session_service: {type: sql, database_url: *url}
"""


def test_an_agents_own_file_stands_beside_the_file_that_names_it(tmp_path):
    write(tmp_path, AGENT_FILE, "conf/agents/researcher.yaml")
    write(tmp_path, "name: other\n", "conf/other.yaml")
    main = write(tmp_path, "agents: [agents/researcher.yaml, other.yaml]\n", "conf/mesh.yaml")
    researcher, other = load(main, root_path="/elsewhere").agents
    assert researcher.name == "researcher"
    assert researcher.session_service.database_url == "sqlite:////data/r.db"
    assert researcher.auto_summarization.compaction_percentage == 0.5
    assert other == config.AgentConfig(name="other")


def test_an_agents_own_file_of_a_mapping_stands_under_the_root_path(tmp_path):
    write(tmp_path, AGENT_FILE, "agents/r.yaml")
    for entry in ("agents/r.yaml", Path("agents/r.yaml"), "${DIR, agents}/r.yaml"):
        assert [a.name for a in load({"agents": [entry]}, root_path=tmp_path).agents] == ["r"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("auto_summarization: {compaction_percentage: 2}\n", "agents[1].auto_summarization.comp"),
        ("session_service: {type: sql}\n", "agents[1].session_service.database_url: is required"),
        (
            "session_service: {type: sql, database_url: '${UNSET}'}\n",
            "agents[1].session_service.database_url: the environment variable UNSET",
        ),
        ("session_service: {type: sql, database_url: 'x://h'}\n", "agents[1].session_service"),
        ("agents: [a.yaml]\n", "agents[1].agents: unknown key"),
        ("name: first\n", "agents[1].name: first is there already"),
        ("name: a b\n", "agents[1].name: must be 1 to 64 visible ASCII characters, not 'a b'"),
        ("[]\n", "must hold a mapping"),
    ],
)
def test_what_is_wrong_in_an_agents_own_file_is_said_with_key_and_file(tmp_path, text, why):
    path = write(tmp_path, text, "agent.yaml")
    message = refusal({"agents": [{"name": "first"}, "agent.yaml"]}, root_path=tmp_path)
    assert why in message
    assert str(path) in message
    assert "agents[1]" in message


def test_missing_and_cyclic_agent_files_are_named(tmp_path):
    missing = refusal({"agents": ["no.yaml"]}, root_path=tmp_path)
    assert missing.startswith(f"agents[0]: {tmp_path / 'no.yaml'}: cannot be read")
    main = write(tmp_path, "agents: [./mesh.yaml]\n")
    assert refusal(main).startswith("agents[0]: ")
    assert "the very file that lists the agents" in refusal(main)


def test_agents_start_from_the_settings_of_all_agents():
    source = {
        "auto_summarization": {"enabled": False, "compaction_percentage": 0.5, "trigger_at": 0.9},
        "agents": [{"name": "a", "auto_summarization": {"compaction_percentage": 0.8}}],
    }
    settings = load(source)
    assert settings.agent("a").auto_summarization == config.AutoSummarization(
        enabled=False, compaction_percentage=0.8, trigger_at=0.9
    )
    assert settings.agent("not-configured") == config.AgentConfig(
        name="not-configured", auto_summarization=settings.auto_summarization
    )


@pytest.mark.parametrize("name", ["", "a b", "é", "x" * 65, 7, None])
def test_no_agent_can_have_such_a_name(name):
    assert "agents[0].name: " in refusal({"agents": [{"name": name}]})
    with pytest.raises(ConfigError, match="The agent's name"):
        load().agent(name)


def test_the_longest_name_and_odd_ones_are_fine():
    names = ["x" * 64, "!", "agent-a", "Agent-A", "a.b/c"]
    assert [a.name for a in load({"agents": [{"name": n} for n in names]}).agents] == names


def test_two_agents_of_one_name_are_refused():
    message = refusal({"agents": [{"name": "a"}, {"name": "b"}, {"name": "a"}]})
    assert message == "agents[2].name: a is there already."


def test_a_model():
    model = {"name": "gpt-4o", "max_input_tokens": 128000, "api_base": "", "api_key": "${KEY}"}
    agent = load({"agents": [{"name": "a", "model": model}]}, {"KEY": "12345"}).agent("a")
    assert agent.model == config.Model(name="gpt-4o", max_input_tokens=128000, api_key="12345")
    assert load({"agents": [{"name": "a"}]}).agent("a").model is None


@pytest.mark.parametrize(
    ("gateway", "agent", "expected"),
    [
        ("sql", "sql", "A"),
        ("memory", "memory", "B"),
        ("memory", "sql", "C"),
        ("sql", "memory", "D"),
    ],
)
def test_the_four_scenarios(gateway, agent, expected):
    services = {"sql": sql("sqlite:///x.db"), "memory": {"type": "memory"}}
    agents = [{"name": "a", "session_service": services[agent]}]
    settings = load({"session_service": services[gateway], "agents": agents})
    assert settings.scenario("a") == expected


def test_the_scenario_of_an_agent_that_is_only_registered():
    gateway = {"session_service": sql("sqlite:///x.db")}
    assert load(gateway).scenario("other") == "D"
    assert load(gateway, {"AGENT_DATABASE_URL": "sqlite:///a.db"}).scenario("other") == "A"
