"""Who is asking a test's host app, over HTTP."""

from __future__ import annotations

import flask
import flask_login

from flask_mesh_sessions.identity import Identity

from .web_session_host import calls, json_of


def use(app: flask.Flask, anonymous: bool = True) -> Identity:
    """An identity whose verbs can be called over HTTP."""
    identity = Identity(anonymous)
    calls(
        app,
        current=lambda: {"user": identity.current()},
        ensure=lambda: {"user": identity.ensure()},
        forget=identity.forget,
    )
    return identity


def user(client: flask.testing.FlaskClient, verb: str = "current") -> str | None:
    """Who is asking, for an app that can :func:`use` an identity."""
    found: str | None = json_of(client.get(f"/call/{verb}"))["user"]
    return found


class User(flask_login.UserMixin):  # type: ignore[misc]
    def __init__(self, name: str) -> None:
        self.id = name


def use_login(app: flask.Flask, **options: str) -> None:
    """Give the app Flask-Login, where everybody can sign in by a name."""
    manager = flask_login.LoginManager(app)
    manager.user_loader(User)
    for name, value in options.items():
        setattr(manager, name, value)

    def login():
        flask_login.login_user(User(flask.request.args["name"]))

    calls(app, login=login, logout=flask_login.logout_user)
