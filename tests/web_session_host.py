"""A small host app whose sessions the tests look into."""

from __future__ import annotations

import threading
import typing as t
from datetime import timedelta
from types import SimpleNamespace

import flask
import sqlalchemy as sa
from flask.sessions import SecureCookieSessionInterface
from itsdangerous import TimestampSigner, URLSafeTimedSerializer
from werkzeug.test import TestResponse

from flask_mesh_sessions import web_session
from flask_mesh_sessions.config import Pool
from flask_mesh_sessions.errors import StorageUnavailable, Unauthorized
from flask_mesh_sessions.storage.database import Database
from flask_mesh_sessions.storage.schema import gateway_metadata
from flask_mesh_sessions.web_session import web_sessions

KEY = "the key the tests sign with"
LIFETIME = timedelta(days=31)


def open_database(url: str) -> Database:
    """The database at ``url``, with the gateway's tables."""
    database = Database(url, Pool())
    gateway_metadata.create_all(database.engine)
    return database


def make_host(database: Database | None = None, **config: t.Any) -> flask.Flask:
    """An app with our session interface: rows in ``database``, or everything in the cookie."""
    app = make_plain(**config)
    assert web_session.install(app, lambda: database)
    return app


def make_plain(**config: t.Any) -> flask.Flask:
    """The same app as it was before it had our session interface."""
    app = flask.Flask("host")
    app.config.update({"SECRET_KEY": KEY, **config})
    app.extensions["calls"] = {}
    app.register_error_handler(Unauthorized, lambda error: (error.message, 401))
    app.register_error_handler(StorageUnavailable, lambda error: (error.message, 503))
    app.add_url_rule("/idle", view_func=lambda: "idle", endpoint="idle")
    app.add_url_rule("/get", view_func=lambda: dict(flask.session), endpoint="get")
    app.add_url_rule("/clear", view_func=_clear)
    app.add_url_rule("/set/<key>/<value>", view_func=_set)
    app.add_url_rule("/pop/<key>", view_func=_pop)
    app.add_url_rule("/call/<name>", view_func=_call)
    return app


def _set(key: str, value: str) -> dict[str, t.Any]:
    flask.session[key] = value
    return dict(flask.session)


def _pop(key: str) -> dict[str, t.Any]:
    flask.session.pop(key, None)
    return dict(flask.session)


def _clear() -> str:
    flask.session.clear()
    return "cleared"


def _call(name: str) -> t.Any:
    return flask.current_app.extensions["calls"][name]() or "called"


def calls(app: flask.Flask, **functions: t.Callable[[], t.Any]) -> None:
    """Have ``/call/<name>`` run these."""
    app.extensions["calls"].update(functions)


def serializer(key: str = KEY) -> URLSafeTimedSerializer:
    """What plain Flask signs cookies with."""
    app = flask.Flask("plain")
    app.secret_key = key
    found = SecureCookieSessionInterface().get_signing_serializer(app)
    assert found is not None
    return found


def flask_cookie(data: dict[str, t.Any], key: str = KEY, age: timedelta | None = None) -> str:
    """A cookie as plain Flask makes it, signed ``age`` ago."""
    plain = serializer(key)

    class Past(TimestampSigner):
        def get_timestamp(self) -> int:
            return super().get_timestamp() - int((age or timedelta()).total_seconds())

    plain.signer = Past
    value = plain.dumps(data)
    return value if isinstance(value, str) else value.decode()


def value_of(client: flask.testing.FlaskClient) -> str | None:
    """The session cookie the browser has."""
    cookie = client.get_cookie("session")
    return cookie.value if cookie else None


def payload_of(client: flask.testing.FlaskClient, key: str = KEY) -> dict[str, t.Any]:
    """What is in the session cookie the browser has, which ``key`` signed."""
    payload: dict[str, t.Any] = serializer(key).loads(value_of(client) or "")
    return payload


def browser(app: flask.Flask, value: str | None = None) -> flask.testing.FlaskClient:
    """A browser, with the session cookie ``value``."""
    client = app.test_client()
    if value is not None:
        client.set_cookie("session", value)
    return client


def get(app: flask.Flask, value: str | None, path: str = "/get") -> TestResponse:
    """What a browser with just this session cookie is answered."""
    return browser(app, value).get(path)


def json_of(response: TestResponse) -> t.Any:
    """What a view answered."""
    return response.json


def rows(database: Database, *where: t.Any) -> list[t.Any]:
    """The rows of web sessions."""
    query = sa.select(web_sessions).where(*where)
    return list(database.read(lambda connection: connection.execute(query).all()))


def living(database: Database) -> list[t.Any]:
    """The rows of web sessions that have not ended."""
    return rows(database, web_sessions.c.ended.is_(False))


def change_rows(database: Database, **values: t.Any) -> None:
    """Change every row, for instance to let time pass."""
    statement = web_sessions.update().values(values)
    database.write(lambda connection: connection.execute(statement).rowcount)


def rename(database: Database, table: str, name: str) -> None:
    """Rename a table: what needs it fails until it has its name again."""
    with database.engine.begin() as connection:
        connection.exec_driver_sql(f"ALTER TABLE {table} RENAME TO {name}")


class Statements:
    """The SQL a database was sent since this was made."""

    def __init__(self, database: Database) -> None:
        self.seen: list[str] = []
        sa.event.listen(database.engine, "before_cursor_execute", self._note)

    def _note(self, connection: t.Any, cursor: t.Any, statement: str, *rest: t.Any) -> None:
        self.seen.append(statement.split()[0])


def together(count: int, work: t.Callable[[int], t.Any]) -> list[t.Any]:
    """What ``work`` returns in ``count`` threads that begin at the same time."""
    results: list[t.Any] = [None] * count
    start = threading.Barrier(count)

    def run(index: int) -> None:
        start.wait(60)
        results[index] = work(index)

    threads = [threading.Thread(target=run, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    return results


class Meeting:
    """A view that has looked at the session waits here until the test lets it go on."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.go_on = threading.Event()

    def __call__(self) -> None:
        self.reached.set()
        assert self.go_on.wait(60)

    def during(self, request: t.Callable[[], t.Any], meanwhile: t.Callable[[], t.Any]) -> t.Any:
        """Do ``meanwhile`` while ``request`` waits here; return what ``request`` returns."""
        results: list[t.Any] = []
        thread = threading.Thread(target=lambda: results.append(request()))
        thread.start()
        assert self.reached.wait(60)
        try:
            meanwhile()
        finally:
            self.go_on.set()
            thread.join(60)
        return results[0]


def state(app: flask.Flask, identity: t.Any, persistent: bool) -> None:
    """What the views find in ``app.extensions``."""
    service = SimpleNamespace(type="sql" if persistent else "memory")
    config = SimpleNamespace(session_service=service)
    app.extensions["mesh_sessions"] = SimpleNamespace(identity=identity, config=config)
