"""Whatever stands under the prefix and is no route: wrong paths and wrong methods."""

from __future__ import annotations

import typing as t

from flask import Flask, Response, current_app, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound
from werkzeug.routing import BaseConverter, Rule

from ..errors import NotPersistent
from . import who

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
UNKNOWN = frozenset({"unknown_route", "unknown_platform_route"})


class Rest(BaseConverter):
    """Any path at all, also one with line ends or empty parts. It is tried last."""

    regex = "(?s:.*)"
    part_isolating = False
    weight = 10_000


def add_rules(app: Flask, blueprint: str, prefix: str, own: t.Iterable[Rule]) -> None:
    """Let every path under ``prefix``, by any method, end in a view of ``blueprint``.

    A blueprint's error handlers never see a request that no rule of it matches.

    :param own: the rules of the routes.
    """
    for route in own:
        # Flask's own answer to OPTIONS would not know the methods from each other any more.
        route.provide_automatic_options = False  # type: ignore[attr-defined]
        (route.methods or set()).discard("OPTIONS")
    app.url_map.converters["mesh_rest"] = Rest
    views = {f"{prefix}/platform": unknown_platform_route, prefix: unknown_route}
    for path, view in views.items():
        endpoint = f"{blueprint}.{view.__name__}"
        app.view_functions[endpoint] = view
        for rule in (path, f"{path}/<mesh_rest:rest>"):
            # Rules of Flask's own making know a fixed set of methods.
            for websocket in (False, True):
                app.url_map.add(_rule(app, rule, endpoint, websocket))


def _rule(app: Flask, path: str, endpoint: str, websocket: bool) -> Rule:
    rule: Rule = app.url_rule_class(
        path, endpoint=endpoint, strict_slashes=True, websocket=websocket
    )
    rule.provide_automatic_options = False  # type: ignore[attr-defined]
    return rule


def unknown_platform_route(rest: str = "") -> Response:
    """What stands under ``/platform`` and is no route of it."""
    if who.state().config.platform_database_url is None:
        raise NotPersistent("Platform management requires database configuration.")
    return unknown_route()


def unknown_route(rest: str = "") -> Response:
    """No route: a path that is none, or a method it does not have."""
    allowed = _allowed()
    if not allowed:
        raise NotFound
    if request.method != "OPTIONS":
        raise MethodNotAllowed([*allowed, "OPTIONS"])
    return current_app.response_class(headers={"Allow": ", ".join([*allowed, "OPTIONS"])})


def _allowed() -> list[str]:
    """The methods by which this path is a route."""
    return [method for method in METHODS if _is_route(method)]


def _is_route(method: str) -> bool:
    adapter = current_app.create_url_adapter(request)
    if adapter is None:
        return False
    try:
        endpoint, _ = adapter.match(method=method)
    except HTTPException:
        return False
    return str(endpoint).rpartition(".")[2] not in UNKNOWN
