"""``flask mesh``: the commands that are there whatever else the host has."""

from __future__ import annotations

import typing as t

from flask import current_app
from flask.cli import AppGroup

from ..storage.migrations import Target
from . import commands


def mesh_group() -> AppGroup:
    """The ``mesh`` group."""
    group = AppGroup("mesh", help="Look after the databases of flask-mesh-sessions.")
    group.add_command(commands.upgrade_command(_targets))
    group.add_command(commands.downgrade_command(_targets))
    group.add_command(commands.check_command(_targets))
    return group


def _targets() -> t.Sequence[Target]:
    found: t.Sequence[Target] = current_app.extensions["mesh_sessions"].migration_targets()
    return found
