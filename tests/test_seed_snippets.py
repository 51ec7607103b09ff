"""What the snippets of the session storage guide do, each as it is printed there."""

from __future__ import annotations

import itertools
import shlex
import typing as t
from pathlib import Path

import flask
import pytest
import sqlalchemy as sa
import yaml

from flask_mesh_sessions.config import AgentConfig, MeshConfig, SessionService, load_config
from flask_mesh_sessions.errors import ConfigError
from flask_mesh_sessions.keys import signing_keys
from tests.seed_snippets import (
    AGENT,
    AGENT_A,
    AGENT_B,
    AGENT_C,
    AGENT_D,
    AGENT_URL,
    COMPACTION,
    EXPORT_AGENT,
    EXPORT_GATEWAY,
    EXPORT_KEY,
    EXPORT_MIGRATION,
    EXPORT_MIGRATION_AGENT,
    EXPORT_MYSQL,
    EXPORT_PLATFORM,
    EXPORT_PLATFORM_SQLITE,
    EXPORT_POSTGRESQL,
    EXPORT_SQLITE,
    EXPORT_TWO_AGENTS,
    GATEWAY_A,
    GATEWAY_AND_PLATFORM,
    GATEWAY_B,
    GATEWAY_C,
    GATEWAY_D,
    MIGRATION_AGENT,
    MIGRATION_GATEWAY,
    MYSQL,
    POSTGRESQL,
    SHARED,
    SQLITE,
    TWO_AGENTS_A,
    TWO_AGENTS_B,
)

PG = "postgresql+psycopg2"
MY = "mysql+pymysql"


def exports(shell: str) -> dict[str, str]:
    """The variables that a shell has after these lines."""
    lines = [shlex.split(line, comments=True) for line in shell.splitlines()]
    pairs = [words[1].split("=", 1) for words in lines if words[:1] == ["export"]]
    return {name: value for name, value in pairs}


@pytest.fixture
def load(tmp_path: Path) -> t.Callable[..., MeshConfig]:
    """Settings of a gateway's file that lists agents' own files, each as it is printed."""

    def load(gateway: str, *shell: str, **agents: str) -> MeshConfig:
        (tmp_path / "gateway.yaml").write_text(gateway + listing(agents))
        for name, text in agents.items():
            (tmp_path / f"{name}.yaml").write_text(text)
        return load_config(
            tmp_path / "gateway.yaml",
            instance_path=str(tmp_path),
            root_path="/",
            environ=exports("".join(shell)),
        )

    return load


def listing(agents: t.Iterable[str]) -> str:
    return "".join(["\nagents:\n", *(f"  - {name}.yaml\n" for name in agents)]) if agents else ""


def in_folder(folder: Path, file: str) -> str:
    return f"sqlite:///{folder}/{file}"


def test_the_exports_are_read_as_a_shell_reads_them():
    assert exports(EXPORT_KEY) == {"SESSION_SECRET_KEY": "your-secret-key-here"}
    assert list(exports(EXPORT_TWO_AGENTS)) == ["AGENT_A_DATABASE_URL", "AGENT_B_DATABASE_URL"]


@pytest.mark.parametrize(
    ("gateway", "agent", "scenario"),
    [
        (GATEWAY_A, AGENT_A, "A"),
        (GATEWAY_B, AGENT_B, "B"),
        (GATEWAY_C, AGENT_C, "C"),
        (GATEWAY_D, AGENT_D, "D"),
    ],
)
def test_scenarios(load, gateway, agent, scenario):
    settings = load(gateway, EXPORT_GATEWAY, EXPORT_AGENT, assistant=agent)
    assert settings.scenario("assistant") == scenario
    gateway_url = f"{PG}://user:pass@host:5432/webui_db" if scenario in "AD" else None
    agent_url = f"{PG}://agent_user:agent_pass@host:5432/agent_db" if scenario in "AC" else None
    assert settings.session_service.database_url == gateway_url
    assert settings.agent("assistant").session_service.database_url == agent_url
    assert settings.agent("assistant").session_service.default_behavior == "PERSISTENT"


def test_scenario_a_with_the_default_of_the_agent(load, tmp_path):
    settings = load(GATEWAY_A, EXPORT_GATEWAY, assistant=AGENT_A)
    service = settings.agent("assistant").session_service
    assert service.database_url == in_folder(tmp_path, "agent-session.db")


@pytest.mark.parametrize(
    ("gateway", "agent", "shell", "variable"),
    [
        (GATEWAY_A, AGENT_A, EXPORT_AGENT, "WEB_UI_GATEWAY_DATABASE_URL"),
        (GATEWAY_D, AGENT_D, EXPORT_AGENT, "WEB_UI_GATEWAY_DATABASE_URL"),
        (GATEWAY_C, AGENT_C, EXPORT_GATEWAY, "AGENT_DATABASE_URL"),
        (MIGRATION_GATEWAY, AGENT_B, EXPORT_AGENT, "WEB_UI_GATEWAY_DATABASE_URL"),
        (MIGRATION_GATEWAY, MIGRATION_AGENT, EXPORT_MIGRATION, "AGENT_DATABASE_URL"),
    ],
)
def test_a_missing_variable_without_default_is_named(load, gateway, agent, shell, variable):
    with pytest.raises(ConfigError, match=rf"session_service.database_url: .*{variable} is not"):
        load(gateway, shell, assistant=agent)


def test_the_secret_key():
    app = flask.Flask(__name__)
    assert signing_keys(app, exports(EXPORT_KEY)).newest == "your-secret-key-here"


@pytest.mark.parametrize(
    ("shell", "expected"),
    [
        (EXPORT_GATEWAY, f"{PG}://user:pass@host:5432/webui_db"),
        (EXPORT_SQLITE, "sqlite:///{folder}/webui-gateway.db"),
        (EXPORT_POSTGRESQL, f"{PG}://webui_user:secure_pass@db.example.com:5432/webui_db"),
        (
            EXPORT_MYSQL,
            f"{MY}://webui_user:secure_pass@db.example.com:3306/webui_db?charset=utf8mb4",
        ),
    ],
)
@pytest.mark.parametrize("gateway", [GATEWAY_AND_PLATFORM, MIGRATION_GATEWAY, "x-nothing: 1\n"])
def test_the_gateways_variable(load, tmp_path, gateway, shell, expected):
    service = load(gateway, shell).session_service
    assert service == SessionService(
        type="sql", database_url=expected.replace("{folder}", str(tmp_path))
    )


@pytest.mark.parametrize(
    ("shell", "expected"),
    [
        (EXPORT_PLATFORM, f"{PG}://user:pass@host:5432/platform_db"),
        (EXPORT_PLATFORM_SQLITE, "sqlite:///{folder}/platform.db"),
    ],
)
@pytest.mark.parametrize("gateway", [GATEWAY_AND_PLATFORM, GATEWAY_B])
def test_the_platforms_variable(load, tmp_path, gateway, shell, expected):
    settings = load(gateway, shell, EXPORT_GATEWAY)
    assert settings.platform_database_url == expected.replace("{folder}", str(tmp_path))


def test_the_platform_has_a_default_only_where_the_file_says_so(load, tmp_path):
    settings = load(GATEWAY_AND_PLATFORM, EXPORT_GATEWAY)
    assert settings.platform_database_url == in_folder(tmp_path, "platform.db")
    assert load(MIGRATION_GATEWAY, EXPORT_GATEWAY).platform_database_url is None


@pytest.mark.parametrize(
    ("gateway", "expected"),
    [
        (SQLITE, "sqlite:///{folder}/webui-gateway.db"),
        (POSTGRESQL, f"{PG}://user:password@host:5432/webui_db"),
        (MYSQL, f"{MY}://user:password@host:3306/webui_db?charset=utf8mb4"),
    ],
)
def test_the_three_kinds_of_database(load, tmp_path, gateway, expected):
    service = load(gateway).session_service
    assert service == SessionService(
        type="sql", database_url=expected.replace("{folder}", str(tmp_path))
    )


USERS = ["", "user@", "user:password@"]
PLACES = [f"{host}{port}" for host in ("", "host") for port in ("", ":5432")]


@pytest.mark.parametrize(
    "rest",
    [
        f"{user}{place}/{name}{query}"
        for user, place, name, query in itertools.product(
            USERS, PLACES, ["", "dbname"], ["", "?sslmode=require&connect_timeout=3"]
        )
    ],
)
def test_postgresqls_connection_string_format(rest):
    source = {"session_service": {"type": "sql", "database_url": f"postgresql://{rest}"}}
    settings = load_config(source, instance_path="/i", root_path="/", environ={})
    assert sa.make_url(settings.session_service.database_url or "") == sa.make_url(f"{PG}://{rest}")


@pytest.mark.parametrize("rest", [f"{u}{p}/db" for u, p in itertools.product(USERS, PLACES)])
def test_mysqls_connection_string_format(rest):
    source = {"session_service": {"type": "sql", "database_url": f"mysql+pymysql://{rest}"}}
    settings = load_config(source, instance_path="/i", root_path="/", environ={})
    url = sa.make_url(settings.session_service.database_url or "")
    assert url == sa.make_url(f"{MY}://{rest}?charset=utf8mb4")


def test_an_agents_own_file(load, tmp_path):
    agent = load("x-nothing: 1\n", assistant=AGENT).agents[0]
    assert agent == AgentConfig(
        name="assistant",
        session_service=SessionService(
            type="sql",
            database_url=in_folder(tmp_path, "agent-session.db"),
            default_behavior="PERSISTENT",
        ),
    )


def test_an_agents_own_file_with_its_variable(load):
    url = f"{PG}://agent_user:agent_pass@host:5432/agent_db"
    for text in (AGENT, MIGRATION_AGENT):
        settings = load(GATEWAY_B, EXPORT_AGENT, assistant=text)
        assert settings.agent("assistant").session_service.database_url == url
        assert settings.agent("only-registered").session_service.database_url == url


def test_an_agents_section_in_the_list_of_agents(tmp_path):
    source = {"agents": [{"name": "a", **yaml.safe_load(AGENT), **yaml.safe_load(COMPACTION)}]}
    settings = load_config(source, instance_path=str(tmp_path), root_path="/", environ={})
    agent = settings.agent("a")
    assert agent.session_service.database_url == in_folder(tmp_path, "agent-session.db")
    assert agent.auto_summarization.compaction_percentage == 0.5


def test_the_compaction_percentage_of_one_agent_and_of_all(load):
    settings = load(GATEWAY_B, assistant=AGENT + COMPACTION, other=AGENT)
    assert settings.agent("assistant").auto_summarization.compaction_percentage == 0.5
    assert settings.agent("assistant").auto_summarization.enabled is True
    assert settings.agent("other").auto_summarization.compaction_percentage == 0.25
    every = load(GATEWAY_B + COMPACTION, other=AGENT)
    assert every.agent("other").auto_summarization.compaction_percentage == 0.5


def test_a_line_of_a_section(load, tmp_path):
    section = "session_service:\n  type: sql\n  " + AGENT_URL
    service = load(GATEWAY_B, assistant=section).agent("assistant").session_service
    assert service.database_url == in_folder(tmp_path, "agent-session.db")


def test_two_agents_with_credentials_of_their_own(load):
    settings = load(GATEWAY_B, EXPORT_TWO_AGENTS, a=TWO_AGENTS_A, b=TWO_AGENTS_B)
    assert [agent.session_service.database_url for agent in settings.agents] == [
        f"{PG}://agent_a_user:pass@host:5432/agent_a_db",
        f"{PG}://agent_b_user:pass@host:5432/agent_b_db",
    ]


def test_two_agents_with_their_defaults(load, tmp_path):
    settings = load(GATEWAY_B, a=TWO_AGENTS_A, b=TWO_AGENTS_B)
    assert [agent.session_service.database_url for agent in settings.agents] == [
        in_folder(tmp_path, "agent-a.db"),
        in_folder(tmp_path, "agent-b.db"),
    ]


@pytest.mark.parametrize(
    ("shell", "expected"),
    [
        ("", "sqlite:///{folder}/session.db"),
        ('export SESSION_DATABASE_URL="postgresql://u:p@host/s"', f"{PG}://u:p@host/s"),
    ],
)
def test_the_shared_configuration_pattern(load, tmp_path, shell, expected):
    settings = load(SHARED, shell)
    shared = SessionService(type="sql", database_url=expected.replace("{folder}", str(tmp_path)))
    assert settings.session_service == shared
    assert settings.agents == (
        AgentConfig(name="agent-a", session_service=shared),
        AgentConfig(name="agent-b", session_service=shared),
    )


def test_from_ephemeral_to_persistent(load):
    before = load(GATEWAY_B, assistant=AGENT_B)
    shell = (EXPORT_MIGRATION, EXPORT_MIGRATION_AGENT)
    after = load(MIGRATION_GATEWAY, *shell, assistant=MIGRATION_AGENT)
    assert (before.scenario("assistant"), after.scenario("assistant")) == ("B", "A")
    assert after.session_service.database_url == f"{PG}://user:pass@host:5432/webui_db"
    assert after.agent("assistant").session_service == SessionService(
        type="sql",
        database_url=f"{PG}://agent_user:pass@host:5432/agent_db",
        default_behavior="PERSISTENT",
    )
    keys = signing_keys(flask.Flask(__name__), exports("".join(shell)))
    assert keys.keys == ("your-secret-key",)
