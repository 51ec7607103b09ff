"""The URLs and paths in the settings, checked and brought to one form.

What is given may hold a password, so no error here repeats it.
"""

from __future__ import annotations

import os
import re
import sqlite3
from urllib.parse import quote, urlsplit

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from .errors import ConfigError

#: The oldest SQLite that has the RETURNING clause.
SQLITE_NEEDED = (3, 35, 0)

_ALLOWED = "sqlite, postgresql, mysql or mariadb"
_DIALECTS = {"postgres": "postgresql"}
_DRIVERS = {
    "postgresql": "postgresql+psycopg2",
    "mysql": "mysql+pymysql",
    "mariadb": "mysql+pymysql",
    "mariadb+pymysql": "mysql+pymysql",
}
_TRUE = {"1", "on", "t", "true", "y", "yes"}
_DEFAULT_PORTS = {"http": 80, "https": 443}
_PATH = re.compile(r"(/(?!\.{1,2}(/|$))[A-Za-z0-9._~-]+)+")


def database_url(key: str, given: str, instance_path: str) -> str:
    """The URL to give to :func:`sqlalchemy.create_engine`.

    The driver is chosen where none is named, MySQL and MariaDB get ``charset=utf8mb4``, and
    a relative SQLite path becomes absolute. No folder is made.

    :param key: the setting or variable it comes from, for error messages.
    :param given: the URL as it was written.
    :param instance_path: the folder of relative SQLite paths.
    :raises ConfigError: naming ``key`` and what is allowed; never the URL.
    """
    url = _named_driver(_parsed(key, given.strip()))
    dialect = url.get_backend_name()
    if dialect == "sqlite":
        url = _sqlite(key, url, instance_path)
    elif dialect in ("mysql", "mariadb"):
        url = _mysql(key, url)
    elif dialect != "postgresql":
        raise ConfigError(f"{key}: {dialect} databases are not supported; use {_ALLOWED}.")
    _check_driver(key, url)
    return _rendered(key, url)


def _parsed(key: str, given: str) -> URL:
    try:
        if re.search(r"[\x00-\x1f\x7f]", given):
            raise ValueError
        url = make_url(given)
    except (ArgumentError, ValueError):
        # "from None": the cause may quote the URL, with its password.
        raise _unreadable(key) from None
    if "@" in (url.host or "") or (url.port or 0) > 65535:
        raise _unreadable(key)
    return url


def _unreadable(key: str) -> ConfigError:
    return ConfigError(
        f"{key}: cannot be read as a database URL. Allowed are sqlite:///file.db and"
        " dialect://user:password@host:port/database with the dialect postgresql, mysql or"
        " mariadb; in a password write @ as %40 and % as %25."
    )


def _named_driver(url: URL) -> URL:
    dialect, plus, driver = url.drivername.lower().partition("+")
    name = f"{_DIALECTS.get(dialect, dialect)}{plus}{driver}"
    return url.set(drivername=_DRIVERS.get(name, name))


def _mysql(key: str, url: URL) -> URL:
    if not url.database and not {"database", "db", "read_default_file"} & set(url.query):
        raise ConfigError(f"{key}: must name a database, as in mysql://user@host/database.")
    if url.drivername != "mysql+pymysql":
        return url
    return url.update_query_dict({"charset": "utf8mb4"})


def _sqlite(key: str, url: URL, instance_path: str) -> URL:
    if sqlite3.sqlite_version_info < SQLITE_NEEDED:
        raise ConfigError(
            f"{key}: SQLite {sqlite3.sqlite_version} is too old; 3.35.0 or newer is needed."
        )
    if url.host or url.username or url.port:
        raise ConfigError(
            f"{key}: a SQLite URL has three slashes before a relative path (sqlite:///file.db)"
            " and four before an absolute one."
        )
    uri = _is_uri(url)
    if _is_in_memory(url, uri):
        raise ConfigError(
            f"{key}: an in-memory SQLite database cannot be shared by threads and processes;"
            " say `type: memory` instead, or name a file, as in sqlite:///file.db."
        )
    place = _uri_in if uri else _file_in
    return url.set(database=place(instance_path, url.database or ""))


def _is_uri(url: URL) -> bool:
    asked = {value.lower() for value in url.normalized_query.get("uri", ())}
    return (url.database or "").startswith("file:") and bool(asked & _TRUE)


def _is_in_memory(url: URL, uri: bool) -> bool:
    if url.database in (None, "", ":memory:"):
        return True
    query = url.normalized_query
    return uri and (
        url.database in ("file:", "file::memory:")
        or "memory" in query.get("mode", ())
        or "memdb" in query.get("vfs", ())
    )


def _file_in(folder: str, path: str) -> str:
    return os.path.abspath(os.path.join(folder, path))


def _uri_in(folder: str, uri: str) -> str:
    path = uri.removeprefix("file:")
    return uri if path.startswith("/") else f"file:{quote(os.path.abspath(folder))}/{path}"


def _check_driver(key: str, url: URL) -> None:
    try:
        dialect = url.get_dialect()
    except NoSuchModuleError:
        raise ConfigError(f"{key}: there is no database driver {url.drivername}.") from None
    if dialect.is_async:
        raise ConfigError(f"{key}: {url.drivername} is asynchronous; use a synchronous driver.")


def _rendered(key: str, url: URL) -> str:
    text = url.render_as_string(hide_password=False)
    # SQLAlchemy 2.0 does not quote the name of the database when it renders it.
    if make_url(text) != url:
        raise ConfigError(f"{key}: the path of the database cannot hold a question mark.")
    return text


def origin(key: str, given: str) -> str:
    """A trusted origin in the form browsers send it: lower case, no default port.

    :param key: the setting it comes from, for error messages.
    :param given: ``scheme://host`` or ``scheme://host:port``.
    :raises ConfigError: naming ``key`` and what is allowed.
    """
    try:
        parts = urlsplit(given.strip().rstrip("/").lower())
        port, host = parts.port, parts.hostname
    except ValueError:
        raise _no_origin(key) from None
    exact = not (parts.path or parts.query or parts.fragment or "@" in parts.netloc)
    if not exact or parts.scheme not in _DEFAULT_PORTS or not host or re.search(r"[\s*]", host):
        raise _no_origin(key)
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}" + (
        f":{port}" if port not in (None, _DEFAULT_PORTS[parts.scheme]) else ""
    )


def _no_origin(key: str) -> ConfigError:
    return ConfigError(
        f"{key}: must be an origin such as https://app.example or"
        " http://localhost:3000, without a path or wildcards."
    )


def url_path(key: str, given: str | bool) -> str | None:
    """A path under which routes are registered, or None where it is false.

    :param key: the setting it comes from, for error messages.
    :param given: ``/path``, or False.
    :raises ConfigError: naming ``key`` and what is allowed.
    """
    if given is False:
        return None
    if isinstance(given, str) and _PATH.fullmatch(given):
        return given
    raise ConfigError(
        f"{key}: must be false or a path that starts with / and does not end with it, of"
        " letters, digits and . _ ~ -, such as /api/v1."
    )
