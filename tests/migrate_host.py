"""A host app for the tests of ``flask db``, put together as the environment says.

``HOST`` holds JSON: ``parts`` is the order in which ``mesh`` and ``migrate`` are initialised,
``url`` and ``binds`` are the host's databases, ``tables`` the host's own tables,
``targets`` ours, ``chain`` what is chained, ``migrate`` the arguments of Migrate.
"""

from __future__ import annotations

import dataclasses
import json
import os
import typing as t

import sqlalchemy as sa
from flask import Flask
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy

from flask_mesh_sessions.cli.command import serving
from flask_mesh_sessions.cli.db import install
from flask_mesh_sessions.cli.mesh import mesh_group
from flask_mesh_sessions.storage.migrations import Target


@dataclasses.dataclass
class Mesh:
    """As much of the extension as the commands need."""

    targets: list[Target]

    def migration_targets(self) -> list[Target]:
        return self.targets


def create_app() -> Flask:
    setup: dict[str, t.Any] = json.loads(os.environ["HOST"])
    if setup.get("tell"):
        with open(setup["tell"], "a") as notes:
            notes.write(f"{serving()}\n")
    app = Flask(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = setup["url"]
    app.config["SQLALCHEMY_BINDS"] = setup.get("binds", {})
    db = SQLAlchemy()
    for part in setup["parts"]:
        if part == "mesh":
            init_mesh(app, setup)
        elif part == "db":
            db.init_app(app)
        else:
            arguments = dict(setup.get("migrate", {}))
            if arguments.pop("filtered", False):
                arguments["include_name"] = leave_out_legacy
            Migrate(**arguments).init_app(app, db)
    for name in setup.get("tables", []):
        sa.Table(name, db.metadata, sa.Column("id", sa.Integer, primary_key=True))
    return app


def init_mesh(app: Flask, setup: dict[str, t.Any]) -> None:
    mesh = Mesh([Target(schema, url) for schema, url in setup["targets"]])
    app.extensions["mesh_sessions"] = mesh
    app.cli.add_command(mesh_group())
    install(app, mesh.migration_targets, setup.get("chain", "all"))


def leave_out_legacy(name: str | None, type_: str, parents: t.Any) -> bool:
    return name != "legacy"


if __name__ == "__main__":
    create_app()
