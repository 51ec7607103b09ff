"""Requests another site makes in a user's name."""

from __future__ import annotations

import typing as t
from urllib.parse import urlsplit

from flask import Blueprint, Flask, Request
from werkzeug.exceptions import Forbidden

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_DEFAULT_PORTS = (":80", ":443")


def check(request: Request, trusted: t.Collection[str]) -> None:
    """Refuse a request that another site makes.

    Browsers say who makes it, in ``Sec-Fetch-Site`` or at least in ``Origin``. What sends
    neither is no browser, and has no cookies it was not given on purpose.

    :param trusted: the origins that may.
    :raises Forbidden: if it is made by a site that is neither this one nor trusted.
    """
    if request.method in SAFE_METHODS:
        return
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if origin is not None and _origin(origin) in trusted:
        return
    if site is not None:
        allowed = site in ("same-origin", "none")
    else:
        allowed = origin is None or _is_here(origin, request.host)
    if not allowed:
        raise Forbidden("Requests from other sites are not allowed.")


def _origin(given: str) -> str:
    """An origin as the settings have it: lower case, without the default port."""
    parts = _split(given)
    if parts is None:
        return ""
    default = {"http": ":80", "https": ":443"}.get(parts[0], "")
    return f"{parts[0]}://{parts[1].removesuffix(default)}"


def _is_here(origin: str, host: str) -> bool:
    # The scheme is not compared: behind a proxy the app may not know it.
    parts = _split(origin)
    return parts is not None and _without_port(parts[1]) == _without_port(host.lower())


def _without_port(host: str) -> str:
    for port in _DEFAULT_PORTS:
        host = host.removesuffix(port)
    return host


def _split(origin: str) -> tuple[str, str] | None:
    """Scheme and host of an origin in lower case, if it is one."""
    try:
        parts = urlsplit(origin.lower())
    except ValueError:
        return None
    exact = parts.netloc and not (parts.path or parts.query or parts.fragment)
    return (parts.scheme, parts.netloc) if exact else None


def exempt_from_form_tokens(app: Flask, blueprint: Blueprint) -> None:
    """Tell Flask-WTF's ``CSRFProtect``, if the app has it, that this blueprint checks itself."""
    protect: t.Any = app.extensions.get("csrf")
    exempt = getattr(protect, "exempt", None)
    if exempt is not None:
        exempt(blueprint)
