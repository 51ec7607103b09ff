"""Signing in, with Flask-Login. Without an account the agents can be used just as well."""

from __future__ import annotations

import re
import typing as t
from urllib.parse import urlsplit

import sqlalchemy as sa
from flask import Blueprint, Flask, abort, redirect, render_template, request, session, url_for
from flask_login import LoginManager, current_user, login_required, login_user, logout_user
from werkzeug.security import check_password_hash, generate_password_hash

from flask_mesh_sessions.keys import signing_keys

from .models import COLOURS, Account, db

Answer = t.Any

USERNAME = re.compile(r"[a-z0-9_.-]{2,32}")
PASSWORD_LENGTHS = range(8, 201)

accounts = Blueprint("accounts", __name__)
login_manager = LoginManager()


def init_app(app: Flask) -> None:
    """Add accounts to ``app``."""
    # Flask-Login reads a cookie of its own with this key, whether it ever set one or not.
    app.secret_key = signing_keys(app).newest
    login_manager.init_app(app)
    login_manager.login_view = "accounts.sign_in"
    app.register_blueprint(accounts)
    app.context_processor(lambda: {"colours": COLOURS})
    app.register_error_handler(sa.exc.OperationalError, not_ready)


@login_manager.user_loader  # type: ignore[untyped-decorator]
def load_account(account_id: str) -> Account | None:
    """The account that a session names."""
    return db.session.get(Account, account_id)


@accounts.before_request
def refuse_other_sites() -> None:
    """Let no other site sign a browser in or out."""
    origin = request.headers.get("Origin")
    if request.method == "POST" and origin and urlsplit(origin).netloc != request.host:
        abort(403)


@accounts.get("/sign-in")
def sign_in() -> Answer:
    """The form for those who have an account."""
    return _form("sign_in")


@accounts.post("/sign-in")
def signed_in() -> Answer:
    """Sign in."""
    username, password = _credentials()
    account = db.session.scalar(sa.select(Account).filter_by(username=username))
    if account is None or not check_password_hash(account.password_hash, password):
        return _form("sign_in", "No account has this name and password.")
    return _enter(account)


@accounts.get("/register")
def register() -> Answer:
    """The form for those who have none yet."""
    return _form("register")


@accounts.post("/register")
def registered() -> Answer:
    """Make an account, and sign in."""
    username, password = _credentials()
    if not USERNAME.fullmatch(username):
        return _form("register", "A name is 2 to 32 characters: letters a to z, digits, and . _ -")
    if len(password) not in PASSWORD_LENGTHS:
        return _form("register", "A password has 8 to 200 characters.")
    account = Account(username=username, password_hash=generate_password_hash(password))
    db.session.add(account)
    try:
        db.session.commit()
    except sa.exc.IntegrityError:
        db.session.rollback()
        return _form("register", f"The name {username} is taken.")
    return _enter(account)


@accounts.get("/account")
@login_required  # type: ignore[untyped-decorator]
def account() -> Answer:
    """What one may choose."""
    return render_template("account.html")


@accounts.post("/account")
@login_required  # type: ignore[untyped-decorator]
def account_changed() -> Answer:
    """Choose a colour."""
    colour = request.form.get("colour")
    if colour not in COLOURS:
        abort(422, f"A colour is one of {', '.join(COLOURS)}.")
    current_user.colour = colour
    db.session.commit()
    return redirect(url_for("pages.chat"), 303)


@accounts.post("/sign-out")
def sign_out() -> Answer:
    """Sign out."""
    logout_user()
    return redirect(url_for("pages.chat"), 303)


def not_ready(error: Exception) -> Answer:
    """The answer when the accounts cannot be reached, for instance before their migration."""
    return render_template("not_ready.html"), 503


def _credentials() -> tuple[str, str]:
    return request.form.get("username", "").strip().lower(), request.form.get("password", "")


def _enter(account: Account) -> Answer:
    login_user(account)
    session.permanent = True  # still signed in when the browser is opened again
    return redirect(url_for("pages.chat"), 303)


def _form(action: str, problem: str | None = None) -> Answer:
    body = render_template("sign_in.html", action=action, problem=problem)
    return body, 422 if problem else 200
