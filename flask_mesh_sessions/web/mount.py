"""The HTTP side, made part of an app."""

from __future__ import annotations

import typing as t

from flask import Blueprint, Flask, Response, current_app
from werkzeug.routing import Rule

from ..errors import ConfigError
from ..runtime.state import MeshState
from . import failures, forgery, guard, incoming, session_cookie, unknown, who
from .routes import ROUTES

NAME = "mesh_sessions"


def register(app: Flask, state: MeshState) -> None:
    """Add the routes to ``app``, under the prefix of its settings.

    :raises ConfigError: if a route of ``app``'s own is in the way.
    """
    prefix = state.config.url_prefix
    if prefix is None:
        return
    hosts = list(app.url_map.iter_rules())
    app.register_blueprint(_blueprint(), url_prefix=prefix)
    own = [rule for rule in app.url_map.iter_rules() if rule.endpoint.startswith(f"{NAME}.")]
    _check_free(hosts, own, prefix)
    unknown.add_rules(app, NAME, prefix, own)


def _blueprint() -> Blueprint:
    blueprint = Blueprint(NAME, __name__)

    # Before anything of the host's, which might refuse the request or read its body.
    @blueprint.url_value_preprocessor
    def prepare(endpoint: str | None, values: dict[str, t.Any] | None) -> None:
        incoming.limit_body(who.state().config.limits.body_bytes)
        forgery.exempt_from_form_tokens(current_app._get_current_object(), blueprint)  # type: ignore[attr-defined]

    blueprint.before_request(guard.check)
    blueprint.after_request(_private)
    failures.register(blueprint)
    for route in ROUTES:
        blueprint.add_url_rule(route.path, route.endpoint, route.view, methods=[route.method])
    session_cookie.register(blueprint)
    return blueprint


def _private(response: Response) -> Response:
    response.headers.setdefault("Cache-Control", "no-store")
    return response


def _check_free(hosts: t.Iterable[Rule], own: t.Iterable[Rule], prefix: str) -> None:
    """Refuse to start where a route of the host's and one of ours can be meant by one path.

    A route of the host's for any path at all may stay: ours are tried before it.
    """
    ours = [_parts(rule) for rule in own]
    for rule in hosts:
        below = f"{rule.rule}/".startswith(f"{prefix}/")
        if below and any(_meet(_parts(rule), parts) for parts in ours):
            raise ConfigError(
                f"url_prefix: the app has a route {rule.rule} already, which is one of ours"
                f" below {prefix}; set another path, or false."
            )


def _parts(rule: Rule) -> list[str]:
    return rule.rule.strip("/").split("/")


def _meet(host: list[str], own: list[str]) -> bool:
    """Whether there is a path that both rules match, taking a variable for anything."""
    for index, part in enumerate(host):
        if index == len(own):
            return False
        if part.startswith("<path:"):
            return True
        if "<" not in part + own[index] and part != own[index]:
            return False
    return len(host) == len(own)
