"""The URLs, paths and origins in the settings: their final form, and what is refused."""

from __future__ import annotations

import sqlite3
import traceback
from urllib.parse import quote

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from flask_mesh_sessions.config import load_config
from flask_mesh_sessions.errors import ConfigError
from tests.settings import INSTANCE, gateway_url, load, refusal, sql, write

# Database URLs


PG = "postgresql+psycopg2"
MY = "mysql+pymysql"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("postgresql://u:p@h:5432/d", f"{PG}://u:p@h:5432/d"),
        ("postgres://u:p@h:5432/d", f"{PG}://u:p@h:5432/d"),
        ("postgresql+psycopg2://h/d", f"{PG}://h/d"),
        ("postgresql+psycopg://h/d", "postgresql+psycopg://h/d"),
        ("postgres+psycopg://h/d", "postgresql+psycopg://h/d"),
        ("PostgreSQL://h/d", f"{PG}://h/d"),
        ("  postgresql://h/d\n", f"{PG}://h/d"),
        ("postgresql://[::1]:5432/d", f"{PG}://[::1]:5432/d"),
        ("mysql://u:p@h:3306/d", f"{MY}://u:p@h:3306/d?charset=utf8mb4"),
        ("mariadb://h/d", f"{MY}://h/d?charset=utf8mb4"),
        ("mysql+pymysql://h/d", f"{MY}://h/d?charset=utf8mb4"),
        ("mariadb+pymysql://h/d", f"{MY}://h/d?charset=utf8mb4"),
        ("mysql://h/d?charset=latin1", f"{MY}://h/d?charset=utf8mb4"),
        ("mysql://h/d?ssl_ca=%2Fx", f"{MY}://h/d?charset=utf8mb4&ssl_ca=%2Fx"),
        ("mysql+mysqldb://h/d", "mysql+mysqldb://h/d"),
        ("sqlite:///a.db", f"sqlite:///{INSTANCE}/a.db"),
        ("sqlite:///sub/../a.db", f"sqlite:///{INSTANCE}/a.db"),
        ("sqlite+pysqlite:///a.db", f"sqlite+pysqlite:///{INSTANCE}/a.db"),
        ("sqlite:////data/a.db", "sqlite:////data/a.db"),
        ("sqlite:////data/a.db?timeout=5", "sqlite:////data/a.db?timeout=5"),
        ("sqlite:////data/a:memory:.db", "sqlite:////data/a:memory:.db"),
    ],
)
def test_a_database_url_becomes_final(given, expected):
    final = gateway_url(given)
    assert final is not None
    assert sa.make_url(final) == sa.make_url(expected)


@pytest.mark.parametrize("given", ["sqlite:///file:a.db?uri=true", "sqlite:///file:a.db?uri=1"])
def test_a_relative_sqlite_uri_lives_in_the_instance_folder(given, tmp_path):
    folder = tmp_path / "an instance"
    folder.mkdir()
    settings = load_config(
        {"session_service": sql(given)}, instance_path=str(folder), root_path="/", environ={}
    )
    engine = sa.create_engine(settings.session_service.database_url or "")
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE t (a INTEGER)"))
    engine.dispose()
    assert (folder / "a.db").stat().st_size > 0


def test_an_absolute_sqlite_uri_is_left_alone():
    url = sa.make_url(gateway_url("sqlite:///file:/data/a.db?mode=rwc&uri=true") or "")
    assert (url.database, dict(url.query)) == ("file:/data/a.db", {"mode": "rwc", "uri": "true"})


def test_no_folder_is_made(tmp_path):
    settings = load_config(
        {"session_service": sql("sqlite:///sub/a.db")},
        instance_path=str(tmp_path / "instance"),
        root_path="/",
        environ={},
    )
    assert settings.session_service.database_url == f"sqlite:///{tmp_path}/instance/sub/a.db"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite:///:memory:?cache=shared",
        "sqlite:///file::memory:?cache=shared&uri=true",
        "sqlite:///file:x?mode=memory&cache=shared&uri=true",
        "sqlite:///file:/x?vfs=memdb&uri=true",
        "sqlite:///file:?uri=true",
    ],
)
def test_in_memory_sqlite_is_refused(url):
    message = refusal({"session_service": sql(url)})
    assert message.startswith("session_service.database_url: ")
    assert "`type: memory`" in message
    assert refusal({}, {"AGENT_DATABASE_URL": url}).startswith("AGENT_DATABASE_URL: ")


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("oracle://u:s3cret@h/d", "oracle databases are not supported; use sqlite, postgresql"),
        ("mssql+pyodbc://u:s3cret@h/d", "mssql databases are not supported"),
        ("s3cret", "cannot be read as a database URL"),
        ("postgresql:/u:s3cret@h/d", "cannot be read as a database URL"),
        ("postgresql://u:s3cret", "cannot be read as a database URL"),
        ("postgresql://u:s3cret@h:port/d", "cannot be read as a database URL"),
        ("postgresql://u:s3cret@h:70000/d", "cannot be read as a database URL"),
        ("postgresql://u:p@s3cret@h/d", "write @ as %40"),
        ("postgresql://u:s3\ncret@h/d", "cannot be read as a database URL"),
        ("postgresql+nothing://u:s3cret@h/d", "no database driver postgresql+nothing"),
        ("postgresql+asyncpg://u:s3cret@h/d", "postgresql+asyncpg is asynchronous"),
        ("sqlite+aiosqlite:///s3cret.db", "sqlite+aiosqlite is asynchronous"),
        ("sqlite://s3cret.db", "three slashes"),
        ("mysql://u:s3cret@h", "must name a database"),
        ("mysql+pymysql://u:s3cret@h/", "must name a database"),
    ],
)
def test_an_unusable_database_url_is_refused_and_not_repeated(url, why):
    with pytest.raises(ConfigError) as caught:
        load({"platform_service": {"database_url": url}})
    assert str(caught.value).startswith("platform_service.database_url: ")
    assert why in str(caught.value)
    assert "s3" not in "".join(traceback.format_exception(caught.value)).partition("Error: ")[2]


def test_mysql_may_name_the_database_elsewhere():
    assert gateway_url("mysql://h/?database=d") == f"{MY}://h/?charset=utf8mb4&database=d"


def test_an_old_sqlite_is_refused(monkeypatch):
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 1))
    monkeypatch.setattr(sqlite3, "sqlite_version", "3.34.1")
    message = refusal({"session_service": sql("sqlite:///a.db")})
    assert "SQLite 3.34.1 is too old; 3.35.0 or newer is needed" in message
    assert gateway_url("postgresql://h/d") == f"{PG}://h/d"


def test_sqlite_3_35_0_is_new_enough(monkeypatch):
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 35, 0))
    assert gateway_url("sqlite:////a.db") == "sqlite:////a.db"


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_a_password_arrives_as_it_was(password):
    url = gateway_url(f"postgresql://u:{quote(password, safe='')}@h/d")
    assert sa.make_url(url or "").password == password


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1))
def test_a_password_from_the_environment_needs_no_yaml_quoting(tmp_path_factory, password):
    folder = tmp_path_factory.getbasetemp()
    text = 'session_service: {type: sql, database_url: "postgresql://u:${PW}@h/d"}\n'
    settings = load(write(folder, text), {"PW": quote(password, safe=":#\"' /{}$,")})
    url = sa.make_url(settings.session_service.database_url or "")
    assert (url.password, url.host, url.database) == (password, "h", "d")


def test_a_postgresql_schema_in_the_url_survives():
    url = sa.make_url(gateway_url("postgresql://h/d?options=-csearch_path%3Dmesh") or "")
    assert url.query["options"] == "-csearch_path=mesh"


def test_sqlalchemys_own_url_objects_are_fine_in_a_mapping():
    url = sa.URL.create("postgresql", "u", "p${A}@/", "h", database="d")
    settings = load({"session_service": {"type": "sql", "database_url": url}})
    assert sa.make_url(settings.session_service.database_url or "").password == "p${A}@/"


# Paths and origins


@pytest.mark.parametrize("key", ["url_prefix", "ui"])
def test_a_path_may_be_moved_or_switched_off(key):
    assert getattr(load({key: "/a/b-c.d_e~f/1"}), key) == "/a/b-c.d_e~f/1"
    assert getattr(load({key: False}), key) is None


@pytest.mark.parametrize("key", ["url_prefix", "ui"])
@pytest.mark.parametrize(
    "given",
    ["", "/", "a", "a/b", "/a/", "//a", "/a//b", "/<x>", "/a b", "/a?b", "/..", "/a/./b", True],
)
def test_other_paths_are_refused(key, given):
    assert refusal({key: given}).startswith(f"{key}: must be false or a path that starts with /")


@pytest.mark.parametrize(("prefix", "ui"), [("/mesh", "/mesh"), ("/mesh", "/mesh/ui")])
def test_the_interface_cannot_be_under_the_api(prefix, ui):
    assert refusal({"url_prefix": prefix, "ui": ui}).startswith("ui: must not be inside of")


def test_the_api_can_be_under_the_interface():
    settings = load({"url_prefix": "/mesh/api", "ui": "/mesh"})
    assert (settings.url_prefix, settings.ui) == ("/mesh/api", "/mesh")
    assert load({"url_prefix": "/mesh", "ui": "/mesh-ui"}).ui == "/mesh-ui"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("https://app.example", "https://app.example"),
        ("HTTPS://App.Example:443/", "https://app.example"),
        ("http://localhost:80", "http://localhost"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("https://[::1]:8443", "https://[::1]:8443"),
    ],
)
def test_origins_are_kept_as_browsers_send_them(given, expected):
    assert load({"trusted_origins": [given]}).trusted_origins == (expected,)


@pytest.mark.parametrize(
    "given",
    ["", "*", "null", "app.example", "https://*.example", "https://a/b", "ftp://a", "https://u@a",
     "https://a?b", "https://a:port", "https://a b", "https://[::1"],
)  # fmt: skip
def test_other_origins_are_refused(given):
    message = refusal({"trusted_origins": ["https://ok.example", given]})
    assert message.startswith("trusted_origins[1]: must be an origin such as")
