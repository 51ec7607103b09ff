"""Commonplace: a small app with accounts of its own, to which MeshSessions adds two agents."""

from __future__ import annotations

import os
import typing as t
from collections.abc import Mapping
from pathlib import Path

from flask import Flask
from flask_migrate import Migrate

from flask_mesh_sessions import MeshSessions

from . import accounts, agents, pages
from .models import db

HERE = Path(__file__).parent


def create_app(
    config: Mapping[str, t.Any] | None = None, instance_path: str | None = None
) -> Flask:
    """Make the app.

    :param config: settings that win over the defaults and over the environment, where each
        stands as ``EXAMPLE_`` and its name.
    :param instance_path: the folder, as an absolute path, of the databases and of the key that
        signs cookies.
    """
    app = Flask(__name__, instance_path=instance_path)
    app.config.from_mapping(
        SQLALCHEMY_DATABASE_URI="sqlite:///commonplace.db",
        MESH_SESSIONS=str(HERE / "mesh.yaml"),
        # Without SESSION_SECRET_KEY, make a key and keep it in the instance folder.
        MESH_SESSIONS_DEV_KEY=True,
        # Seconds between two words of the librarian, so that one can see answers stream.
        WORD_DELAY=0.03,
    )
    app.config.from_prefixed_env("EXAMPLE")
    app.config.from_mapping(config or {})

    db.init_app(app)
    Migrate(app, db, directory=str(HERE / "migrations"))
    accounts.init_app(app)
    app.register_blueprint(pages.pages)

    mesh = MeshSessions()
    agents.register(mesh, os.environ)
    mesh.init_app(app)
    return app
