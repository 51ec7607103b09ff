"""What is being run: a server, or a command for an operator."""

from __future__ import annotations

import sys

import click
from flask.cli import FlaskGroup


def serving() -> bool:
    """Whether this process is there to serve.

    False while a ``flask`` command other than ``run`` is executed, and while an Alembic
    environment loads the app: what they do to a database must be theirs to decide.
    """
    return not _in_alembic() and _flask_command() in (None, "run")


def _flask_command() -> str | None:
    """The name of the ``flask`` command being executed, "" while it is still looked up."""
    name = ""
    context = click.get_current_context(silent=True)
    while context is not None:
        if isinstance(context.command, FlaskGroup):
            return name
        name = context.info_name or ""
        context = context.parent
    return None


def _in_alembic() -> bool:
    # Alembic puts these names there while it executes an env.py, and removes them after.
    return hasattr(sys.modules.get("alembic.context"), "config")
