"""The keys that sign cookies: which are used, in which order, and which are refused."""

from __future__ import annotations

import multiprocessing
import os
import stat
import traceback
import typing as t
from pathlib import Path

import flask
import itsdangerous
import pytest

from flask_mesh_sessions.errors import ConfigError
from flask_mesh_sessions.keys import DEV_KEY_FILE, SigningKeys, signing_keys, weak_keys


@pytest.fixture
def app(tmp_path: Path) -> flask.Flask:
    return flask.Flask(__name__, instance_path=str(tmp_path / "instance"))


def keys(app: flask.Flask, **environ: str) -> tuple[str | bytes, ...]:
    return signing_keys(app, environ).keys


def kept(app: flask.Flask) -> Path:
    return Path(app.instance_path, DEV_KEY_FILE)


# Which keys


def test_the_newest_key_is_last_and_older_ones_go_on_verifying(app):
    app.config["SECRET_KEY"] = "host"
    app.config["SECRET_KEY_FALLBACKS"] = ["host-oldest", "host-older"]
    environ = {
        "SESSION_SECRET_KEY": "ours",
        "SESSION_SECRET_KEY_FALLBACKS": "ours-oldest,ours-older",
    }
    found = signing_keys(app, environ)
    assert found.keys == (
        "host-oldest",
        "host-older",
        "host",
        "ours-oldest",
        "ours-older",
        "ours",
    )
    assert found.newest == "ours"


def test_a_cookie_of_the_host_is_read_after_a_session_key_is_set(app):
    app.secret_key = "host"
    interface = flask.sessions.SecureCookieSessionInterface()
    serializer = interface.get_signing_serializer(app)
    assert serializer is not None
    cookie = serializer.dumps({"a": 1})
    app.config["SESSION_SECRET_KEY"] = "ours"
    ours = itsdangerous.URLSafeTimedSerializer(
        [str(key) for key in signing_keys(app, {}).keys],
        salt=interface.salt,
        serializer=interface.serializer,
        signer_kwargs={
            "key_derivation": interface.key_derivation,
            "digest_method": interface.digest_method,
        },
    )
    assert ours.loads(cookie) == {"a": 1}
    with pytest.raises(itsdangerous.BadSignature):
        serializer.loads(ours.dumps({"a": 1}))


def test_the_apps_configuration_wins_over_the_environment(app):
    app.config["SESSION_SECRET_KEY"] = "config"
    app.config["SESSION_SECRET_KEY_FALLBACKS"] = ["config-older"]
    environ = {"SESSION_SECRET_KEY": "env", "SESSION_SECRET_KEY_FALLBACKS": "env-older"}
    assert keys(app, **environ) == ("config-older", "config")


def test_an_empty_list_in_the_apps_configuration_also_wins(app):
    app.config["SESSION_SECRET_KEY_FALLBACKS"] = []
    assert keys(app, SESSION_SECRET_KEY="k", SESSION_SECRET_KEY_FALLBACKS="removed") == ("k",)


def test_the_hosts_keys_serve_alone(app):
    app.secret_key = "host"
    app.config["SECRET_KEY_FALLBACKS"] = ("older",)
    assert keys(app) == ("older", "host")


def test_fallbacks_verify_even_without_a_session_key(app):
    app.secret_key = "host"
    assert keys(app, SESSION_SECRET_KEY_FALLBACKS="older") == ("older", "host")
    app.config["SECRET_KEY_FALLBACKS"] = ["host-older"]
    assert keys(app, SESSION_SECRET_KEY_FALLBACKS="older") == ("host-older", "older", "host")


@pytest.mark.parametrize("name", ["SECRET_KEY_FALLBACKS", "SESSION_SECRET_KEY_FALLBACKS"])
def test_a_fallback_never_signs(app, name):
    app.config[name] = ["older"]
    with pytest.raises(ConfigError, match="set SESSION_SECRET_KEY"):
        signing_keys(app, {})
    app.testing = True
    older, newest = keys(app)
    assert (older, newest) == ("older", kept(app).read_text())


def test_a_secret_key_set_later_is_found(app):
    with pytest.raises(ConfigError):
        signing_keys(app, {})
    app.secret_key = "late"
    assert keys(app) == ("late",)


def test_bytes_are_fine(app):
    app.secret_key = b"\xffhost"
    app.config["SESSION_SECRET_KEY_FALLBACKS"] = [b"older"]
    assert keys(app) == (b"older", b"\xffhost")


def test_a_key_is_listed_once_where_it_is_newest(app):
    app.secret_key = b"same"
    app.config["SECRET_KEY_FALLBACKS"] = ["older", "older"]
    assert keys(app, SESSION_SECRET_KEY="same") == ("older", "same")


def test_the_environment_of_the_process_is_the_default(app, monkeypatch):
    monkeypatch.setenv("SESSION_SECRET_KEY", "from-the-process")
    assert signing_keys(app).newest == "from-the-process"


# What is no key


@pytest.mark.parametrize("value", ["a,,b", ",a, ,b,", " a , b "])
def test_empty_elements_in_the_environment_are_dropped(app, value):
    environ = {"SESSION_SECRET_KEY": "k", "SESSION_SECRET_KEY_FALLBACKS": value}
    assert keys(app, **environ) == ("a", "b", "k")


def test_empty_keys_are_never_accepted(app):
    app.config["SECRET_KEY"] = ""
    app.config["SECRET_KEY_FALLBACKS"] = ["", b"", "  "]
    app.config["SESSION_SECRET_KEY"] = " "
    app.config["SESSION_SECRET_KEY_FALLBACKS"] = [""]
    environ = {"SESSION_SECRET_KEY": " \n", "SESSION_SECRET_KEY_FALLBACKS": ","}
    with pytest.raises(ConfigError, match="SESSION_SECRET_KEY"):
        signing_keys(app, environ)
    assert keys(app, SESSION_SECRET_KEY="real\n") == ("real",)


@pytest.mark.parametrize("name", ["SESSION_SECRET_KEY_FALLBACKS", "SECRET_KEY_FALLBACKS"])
@pytest.mark.parametrize("value", ["s3cret", b"s3cret", {"s3cret"}, 3])
def test_fallbacks_that_are_no_list_are_refused(app, name, value):
    app.secret_key = "host"
    app.config[name] = value
    with pytest.raises(ConfigError, match=f"^{name} must be a list of keys") as caught:
        signing_keys(app, {})
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("name", ["SESSION_SECRET_KEY", "SECRET_KEY"])
def test_a_key_that_is_no_text_is_refused(app, name):
    app.config[name] = 12345
    with pytest.raises(ConfigError, match=f"^{name} must be text or bytes, not int"):
        signing_keys(app, {})


def test_a_fallback_that_is_no_text_is_named_by_its_place(app):
    app.config["SECRET_KEY_FALLBACKS"] = ["a", None]
    with pytest.raises(ConfigError, match=r"^SECRET_KEY_FALLBACKS\[1\] must be text or bytes"):
        signing_keys(app, {})


def test_without_a_key_the_variable_is_named_and_nothing_is_made(app):
    app.config["MESH_SESSIONS_DEV_KEY"] = "true"
    with pytest.raises(ConfigError, match="set SESSION_SECRET_KEY"):
        signing_keys(app, {})
    assert not os.path.exists(app.instance_path)


def test_keys_are_not_in_the_repr():
    assert repr(SigningKeys(("s3cret", "s3cret2"))) == "<SigningKeys: 2>"
    assert "s3cret" not in str(SigningKeys(("s3cret",)))


# The key for development


@pytest.mark.parametrize("setting", ["DEBUG", "TESTING", "MESH_SESSIONS_DEV_KEY"])
def test_for_development_a_key_is_made_once_and_kept(app, setting):
    app.config[setting] = True
    (first,) = keys(app)
    assert len(first) >= 48
    assert keys(app) == (first,)
    again = flask.Flask("another", instance_path=app.instance_path)
    again.config[setting] = True
    assert keys(again) == (first,)
    assert stat.S_IMODE(kept(app).stat().st_mode) == 0o600
    assert os.listdir(app.instance_path) == [DEV_KEY_FILE]


def test_two_apps_have_two_keys(app, tmp_path):
    other = flask.Flask("other", instance_path=str(tmp_path / "other"))
    app.testing = other.testing = True
    assert keys(app) != keys(other)


def test_no_key_is_made_where_there_is_one(app):
    app.testing = True
    app.secret_key = "host"
    assert keys(app) == ("host",)
    assert not os.path.exists(app.instance_path)


def test_a_real_key_takes_the_place_of_the_one_for_development(app):
    app.testing = True
    keys(app)
    assert keys(app, SESSION_SECRET_KEY="real") == ("real",)


def test_an_empty_key_file_is_refused(app):
    app.testing = True
    kept(app).parent.mkdir()
    kept(app).write_text("\n")
    with pytest.raises(ConfigError, match=f"{DEV_KEY_FILE} holds no key"):
        signing_keys(app, {})


def test_an_instance_folder_that_cannot_be_made_is_said(app):
    app.testing = True
    Path(app.instance_path).write_text("a file in its place")
    with pytest.raises(ConfigError, match="SESSION_SECRET_KEY is not set") as caught:
        signing_keys(app, {})
    assert str(kept(app)) in str(caught.value)


def test_a_key_file_that_cannot_be_read_is_said(app):
    app.testing = True
    kept(app).mkdir(parents=True)
    with pytest.raises(ConfigError, match="Is a directory"):
        signing_keys(app, {})


def _make_together(instance: str, barrier: t.Any, found: t.Any) -> None:
    app = flask.Flask("worker", instance_path=instance)
    app.testing = True
    barrier.wait()
    found.put(signing_keys(app, {}).newest)


def test_processes_that_start_together_end_with_one_key(app):
    spawn = multiprocessing.get_context("spawn")
    barrier, found = spawn.Barrier(4), spawn.Queue()
    arguments = (app.instance_path, barrier, found)
    workers = [spawn.Process(target=_make_together, args=arguments) for _ in range(4)]
    for worker in workers:
        worker.start()
    made = [found.get(timeout=60) for _ in workers]
    for worker in workers:
        worker.join()
    assert set(made) == {kept(app).read_text()}
    assert os.listdir(app.instance_path) == [DEV_KEY_FILE]


# Weak keys


def test_weak_keys_are_named_but_not_shown():
    found = SigningKeys(("dev", "x" * 16, b"fifteen-bytes-k", "your-secret-key-here"))
    assert weak_keys(found) == [
        "older key 1 (from the oldest) is a sample value from the documentation",
        "older key 3 (from the oldest) is shorter than 16 characters",
        "the key that signs is a sample value from the documentation",
    ]


@pytest.mark.parametrize("key", ["your-secret-key-here", "your-secret-key", "dev", b"dev"])
def test_sample_values_are_weak(key):
    assert weak_keys(SigningKeys((key,))) == [
        "the key that signs is a sample value from the documentation"
    ]


def test_the_key_for_development_is_not_weak(app):
    app.debug = True
    assert weak_keys(signing_keys(app, {})) == []


def test_errors_hold_no_key(app):
    app.config["SESSION_SECRET_KEY"] = "s3cret"
    app.config["SESSION_SECRET_KEY_FALLBACKS"] = ["s3cret", 3]
    with pytest.raises(ConfigError) as caught:
        signing_keys(app, {})
    assert "s3cret" not in "".join(traceback.format_exception_only(caught.value))
