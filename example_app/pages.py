"""The chat page. What it shows and does, it asks of the API of MeshSessions."""

from __future__ import annotations

from flask import Blueprint, Response, current_app, render_template

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "object-src 'none'",
    )
)

pages = Blueprint("pages", __name__)


@pages.get("/")
def chat() -> str:
    """The chat page."""
    api = current_app.extensions["mesh_sessions"].config.url_prefix
    return render_template("chat.html", api=api)


@pages.after_app_request
def harden(response: Response) -> Response:
    """Let pages load nothing but what is served here, and be framed by nobody."""
    response.headers.setdefault("Content-Security-Policy", CONTENT_SECURITY_POLICY)
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    response.headers.setdefault("Referrer-Policy", "same-origin")
    return response
