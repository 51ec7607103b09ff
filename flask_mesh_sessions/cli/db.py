"""One ``flask db upgrade`` for the host's databases and ours.

Where the host has Flask-Migrate, its ``upgrade`` goes on with our databases. Flask-Migrate's
group is one object for all apps, so every app gets a group of its own that asks it.
"""

from __future__ import annotations

import logging
import sys
import typing as t

import click
from flask import Flask
from flask.cli import AppGroup

from . import commands
from .autogenerate import hide_tables
from .autogenerate import include_name as include_name
from .commands import Targets


def install(app: Flask, targets: Targets, chain_upgrade: str) -> None:
    """Chain onto Flask-Migrate's commands, whether it is initialised before us or after.

    In a host without it, ``flask db`` is ours, if that name is free.

    :param targets: the databases, asked for when a command runs.
    :param chain_upgrade: what ``flask db upgrade`` covers: ``all``, ``gateway`` (the host and
        the gateway's database) or ``host``.
    """
    covered = _covered(targets, chain_upgrade)
    own = None if chain_upgrade == "host" else own_group(covered)
    if own and "db" not in app.cli.commands:
        app.cli.add_command(own)
    add_command = app.cli.add_command

    def recognise(command: click.Command, *args: t.Any, **kwargs: t.Any) -> None:
        add_command(command, *args, **kwargs)
        adopt()

    def adopt() -> None:
        """Replace Flask-Migrate's group where it is, under whatever name."""
        for name, command in list(app.cli.commands.items()):
            if _is_migrate(command) and "migrate" in app.extensions:
                hide_tables(app)
                add_command(ChainedGroup(command, covered), name)
                if app.cli.commands.get("db") is own:
                    del app.cli.commands["db"]

    adopt()
    app.cli.add_command = recognise  # type: ignore[assignment,method-assign]


def own_group(targets: Targets) -> AppGroup:
    """``flask db`` in a host without Flask-Migrate."""
    group = AppGroup("db", help="Migrate the databases of flask-mesh-sessions.")
    group.add_command(commands.upgrade_command(targets))
    group.add_command(commands.downgrade_command(targets))
    group.add_command(commands.current_command(targets))
    group.add_command(commands.check_command(targets))
    group.add_command(commands.history_command())
    return group


class ChainedGroup(click.Group):
    """Flask-Migrate's group for one app, with an ``upgrade`` that goes on with our databases."""

    def __init__(self, original: click.Group, targets: Targets) -> None:
        super().__init__(
            original.name, params=original.params, callback=original.callback, help=original.help
        )
        self._original = original
        self._targets = targets

    def list_commands(self, ctx: click.Context) -> list[str]:
        return self._original.list_commands(ctx)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        command = self._original.get_command(ctx, cmd_name)
        if command is None or cmd_name != "upgrade":
            return command
        return _chained(command, self._targets)


def _chained(host_upgrade: click.Command, targets: Targets) -> click.Command:
    def upgrade(**kwargs: t.Any) -> None:
        click.get_current_context().invoke(host_upgrade, **kwargs)  # exits if it fails
        _enable_loggers()
        if kwargs.get("revision") in ("head", "heads"):
            commands.upgrade_targets(targets(), bool(kwargs.get("sql")))

    return click.Command(
        "upgrade", params=host_upgrade.params, callback=upgrade, help=host_upgrade.help
    )


def _covered(targets: Targets, chain_upgrade: str) -> Targets:
    if chain_upgrade == "all":
        return targets
    wanted = {"gateway"} if chain_upgrade == "gateway" else set()
    return lambda: [target for target in targets() if target.schema in wanted]


def _is_migrate(command: click.Command) -> t.TypeGuard[click.Group]:
    module = sys.modules.get("flask_migrate.cli")
    return module is not None and command is module.db


def _enable_loggers() -> None:
    """The ``fileConfig`` of a host's env.py disables every logger that exists."""
    package = __name__.partition(".")[0]
    for name, logger in logging.root.manager.loggerDict.items():
        if isinstance(logger, logging.Logger) and f"{name}.".startswith(f"{package}."):
            logger.disabled = False
