"""``/session-cookie``: who this browser is and which conversation it is in."""

from __future__ import annotations

import typing as t

from flask import Blueprint, current_app, session

from .. import ids, web_session
from ..identity import Identity
from ..web_session import CONVERSATION_KEY

Answer = tuple[t.Any, int]


def register(blueprint: Blueprint) -> None:
    """Add the routes to ``blueprint``."""
    path = "/session-cookie"
    blueprint.add_url_rule(path, "session_cookie", show)
    blueprint.add_url_rule(path, "start_session_cookie", start, methods=["POST"])
    blueprint.add_url_rule(path, "end_session_cookie", end, methods=["DELETE"])
    blueprint.add_url_rule(f"{path}/rotate", "rotate_session_cookie", rotate, methods=["POST"])


def show() -> Answer:
    """Who is asking, and in which conversation. Makes no identity."""
    return _described(_identity().current())


def start() -> Answer:
    """Start a new conversation: the next message makes it."""
    user = _identity().ensure()
    session.pop(CONVERSATION_KEY, None)
    web_session.store(session)
    return _described(user)


def end() -> Answer:
    """Sign out of the anonymous identity. A login of the host's stays: it is the host's to end."""
    _identity().forget()
    return "", 204


def rotate() -> Answer:
    """Give the session a new id and signature."""
    user = _identity().current()
    web_session.rotate(session)
    web_session.store(session)
    return _described(user)


def _state() -> t.Any:
    return current_app.extensions["mesh_sessions"]


def _identity() -> Identity:
    identity: Identity = _state().identity
    return identity


def _described(user: str | None) -> Answer:
    conversation = session.get(CONVERSATION_KEY)
    web_session.require(session)
    data = {
        "userId": user,
        "anonymous": user is None or _identity().is_anonymous(user),
        "sessionId": conversation if ids.is_public_id(conversation) else None,
        "persistent": _state().config.session_service.type == "sql",
    }
    return {"data": data}, 200
