"""Keeps our tables out of the migrations a host generates."""

from __future__ import annotations

import logging
import re
import typing as t
from pathlib import Path

import sqlalchemy as sa
from flask import Flask, current_app

from ..storage.migrations import OWNED_TABLES
from ..storage.schema import version_table

log = logging.getLogger("flask_mesh_sessions.migrations")

_PASSES_ITS_OWN = re.compile(r"\binclude_name\s*=(?!=)")


def include_name(name: str | None, type_: str, parent_names: t.Mapping[str, t.Any]) -> bool:
    """An ``include_name`` for Alembic that leaves our tables out.

    A table is ours if it has one of our names, the metadata being compared does not declare
    it, and our version table stands beside it: a host may well have a ``sessions`` table of
    its own in another database.

    Flask-Migrate is given it by :class:`.MeshSessions`. A plain Alembic ``env.py`` passes it
    to ``context.configure``; one with an ``include_name`` of its own calls it from there.
    """
    owners = [schema for schema, tables in OWNED_TABLES.items() if name in tables]
    if type_ != "table" or not owners:
        return True
    from alembic import context

    compared = context.get_context()
    assert name is not None and compared.bind is not None
    inspector = sa.inspect(compared.bind)
    place = parent_names.get("schema_name") or inspector.default_schema_name
    for table in _declared(compared.opts["target_metadata"]):
        if table.name == name and (table.schema or inspector.default_schema_name) == place:
            return True
    return not any(inspector.has_table(version_table(owner), place) for owner in owners)


def hide_tables(app: Flask) -> None:
    """Give Flask-Migrate's environments the filter, beside the one the host may have."""
    state = app.extensions["migrate"]
    theirs = state.configure_args.get("include_name")
    if theirs is include_name or isinstance(theirs, _Both):
        return
    state.configure_args["include_name"] = _Both(theirs) if theirs else include_name
    if _yield_to_env not in state.migrate.configure_callbacks:
        state.migrate.configure(_yield_to_env)


class _Both:
    """The host's filter and ours."""

    def __init__(self, theirs: t.Callable[[t.Any, t.Any, t.Any], bool]) -> None:
        self._theirs = theirs

    def __call__(self, name: t.Any, type_: t.Any, parent_names: t.Any) -> bool:
        return include_name(name, type_, parent_names) and self._theirs(name, type_, parent_names)


def _yield_to_env(config: t.Any) -> t.Any:
    """Take the filter back from an ``env.py`` that passes one: two are a TypeError there."""
    arguments = current_app.extensions["migrate"].configure_args
    env = Path(config.get_main_option("script_location") or "") / "env.py"
    source = env.read_text(encoding="utf-8") if env.is_file() else ""
    if arguments.get("include_name") is include_name and _PASSES_ITS_OWN.search(source):
        del arguments["include_name"]
        if "flask_mesh_sessions" not in source:
            log.warning(
                "%s passes an include_name of its own, which should also ask"
                " flask_mesh_sessions.cli.db.include_name: else `flask db migrate` drops the"
                " tables of flask-mesh-sessions that are in the same database.",
                env,
            )
    return config


def _declared(metadata: t.Any) -> t.Iterator[sa.Table]:
    """The tables of one MetaData, of several, or of none."""
    several = [metadata] if isinstance(metadata, sa.MetaData) else metadata or []
    for one in several:
        yield from one.tables.values()
