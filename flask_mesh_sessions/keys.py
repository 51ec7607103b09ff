"""The keys that sign session cookies.

``SESSION_SECRET_KEY`` signs; older keys, and the host's own, keep verifying, so that adding
or rotating a key signs nobody out.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from flask import Flask

from .errors import ConfigError

Key = str | bytes

#: The file in the instance folder that holds the key made for development.
DEV_KEY_FILE = "session_secret_key"

_SHORT = 16
_SAMPLES = {b"your-secret-key-here", b"your-secret-key", b"dev"}


@dataclass(frozen=True, repr=False)
class SigningKeys:
    """The keys of an app.

    :param keys: oldest first, the one that signs last, as itsdangerous wants them.
    """

    keys: tuple[Key, ...]

    @property
    def newest(self) -> Key:
        """The key that signs."""
        return self.keys[-1]

    def __repr__(self) -> str:
        return f"<SigningKeys: {len(self.keys)}>"


def signing_keys(app: Flask, environ: Mapping[str, str] | None = None) -> SigningKeys:
    """The keys that sign and verify the cookies of ``app``, as they are configured now.

    :param app: the app; its ``config`` wins over the environment.
    :param environ: the environment variables; those of the process if None.
    :raises ConfigError: naming the setting, if there is no key or a setting is not what it
        must be.
    """
    environ = os.environ if environ is None else environ
    host = _one(app, "SECRET_KEY")
    older = [*_listed(app, "SECRET_KEY_FALLBACKS"), *host, *_session_fallbacks(app, environ)]
    own = _one(app, "SESSION_SECRET_KEY") or _single(environ)
    return SigningKeys(_distinct([*older, *(own or host or [_development_key(app)])]))


def _one(app: Flask, name: str) -> list[Key]:
    value = app.config.get(name)
    if value is None:
        return []
    return [value] if _is_key(name, value) else []


def _listed(app: Flask, name: str) -> list[Key]:
    value = app.config.get(name)
    if value is None:
        return []
    if not isinstance(value, list | tuple):
        # A str would be taken for a list of keys of one letter each.
        raise ConfigError(f"{name} must be a list of keys, not {type(value).__name__}.")
    return [key for index, key in enumerate(value) if _is_key(f"{name}[{index}]", key)]


def _session_fallbacks(app: Flask, environ: Mapping[str, str]) -> list[Key]:
    name = "SESSION_SECRET_KEY_FALLBACKS"
    if app.config.get(name) is not None:
        return _listed(app, name)
    return [key for part in environ.get(name, "").split(",") if (key := part.strip())]


def _is_key(name: str, value: object) -> bool:
    """Whether ``value`` is not blank: with an empty key anybody can sign."""
    if isinstance(value, str | bytes):
        return bool(value.strip())
    raise ConfigError(f"{name} must be text or bytes, not {type(value).__name__}.")


def _single(environ: Mapping[str, str]) -> list[Key]:
    value = environ.get("SESSION_SECRET_KEY", "").strip()
    return [value] if value else []


def _distinct(keys: list[Key]) -> tuple[Key, ...]:
    """``keys`` without repetitions, each at its newest place."""
    newest_first: dict[bytes, Key] = {}
    for key in reversed(keys):
        newest_first.setdefault(_bytes(key), key)
    return tuple(reversed(newest_first.values()))


def _bytes(key: Key) -> bytes:
    return key.encode() if isinstance(key, str) else key


def _development_key(app: Flask) -> str:
    if not (app.debug or app.testing or app.config.get("MESH_SESSIONS_DEV_KEY") is True):
        raise ConfigError(
            "There is no key to sign session cookies with: set SESSION_SECRET_KEY, to the same"
            " value in every process. `python -c 'import secrets;"
            " print(secrets.token_urlsafe(48))'` makes one."
        )
    path = Path(app.instance_path, DEV_KEY_FILE)
    try:
        return _kept_key(path)
    except OSError as error:
        raise ConfigError(
            "SESSION_SECRET_KEY is not set, and a key for development cannot be kept in"
            f" {path}: {error.strerror}."
        ) from error


def _kept_key(path: Path) -> str:
    if not path.exists():
        _make_key(path)
    key = path.read_text("latin-1").strip()
    if not key:
        raise ConfigError(f"{path} holds no key: remove it, or set SESSION_SECRET_KEY.")
    return key


def _make_key(path: Path) -> None:
    """Put a new key at ``path``, whole or not at all, unless another process was first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # mkstemp opens with O_EXCL and mode 0600.
    handle, draft = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with open(handle, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(48))
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        os.unlink(draft)


def weak_keys(keys: SigningKeys) -> list[str]:
    """Why keys are too easy to guess; the reasons name no key.

    :param keys: the keys of an app.
    """
    reasons = (_weakness(key) for key in keys.keys)
    places = [f"older key {number} (from the oldest)" for number in range(1, len(keys.keys))]
    named = zip([*places, "the key that signs"], reasons, strict=True)
    return [f"{place} {reason}" for place, reason in named if reason]


def _weakness(key: Key) -> str | None:
    if _bytes(key) in _SAMPLES:
        return "is a sample value from the documentation"
    if len(key) < _SHORT:
        return f"is shorter than {_SHORT} characters"
    return None
