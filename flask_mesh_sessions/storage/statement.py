"""Statements that every turn needs, made ready once."""

from __future__ import annotations

import typing as t

import sqlalchemy as sa

Values = t.Mapping[str, t.Any]


class Statement:
    """A statement that is compiled once for each kind of database.

    To build one takes SQLAlchemy ten times as long as to run it, and to look up its compiled
    form as long as most of ours take in the database. This hands the text to the driver, by
    SQLAlchemy's own way for that: errors, events and results are as always, but no type is
    converted, so it is for numbers, text and truth values.

    :param clause: the statement, with a bound parameter for each of its values.
    :param columns: what an INSERT or UPDATE sets besides: a value of the same name each.
    """

    def __init__(self, clause: sa.Executable, *columns: str) -> None:
        self._clause = t.cast(sa.ClauseElement, clause)
        self._columns = list(columns) or None
        self._ready: dict[tuple[str, str], _Ready] = {}

    def __call__(self, connection: sa.Connection, values: Values) -> sa.CursorResult[t.Any]:
        """Run it.

        :param values: a value for each of its parameters.
        """
        ready = self._for(connection.dialect)
        return connection.exec_driver_sql(ready.text, ready.parameters(values))

    def fetch(self, dialect: sa.Dialect, cursor: t.Any, values: Values) -> t.Any:
        """Run a SELECT on a cursor of the driver, and return its rows."""
        ready = self._for(dialect)
        cursor.execute(ready.text, ready.parameters(values))
        return cursor.fetchall()

    def insert(self, connection: sa.Connection, values: Values) -> int:
        """Run an INSERT into a table that numbers its rows.

        :return: the number of the row.
        """
        result = self(connection, values)
        key: int = result.scalar_one() if result.returns_rows else result.lastrowid
        return key

    def _for(self, dialect: sa.Dialect) -> _Ready:
        kind = (dialect.name, dialect.driver)
        if kind not in self._ready:
            compiled = self._clause.compile(dialect=dialect, column_keys=self._columns)
            self._ready[kind] = _Ready(t.cast(sa.sql.compiler.SQLCompiler, compiled))
        return self._ready[kind]


class _Ready:
    """A statement's text for one kind of database."""

    def __init__(self, compiled: sa.sql.compiler.SQLCompiler) -> None:
        self.text = str(compiled)
        self._order = compiled.positiontup
        # What stands in the statement itself, as in ``status = 'waiting'``.
        binds = compiled.binds
        self._fixed = {k: value for k, value in compiled.params.items() if not binds[k].required}

    def parameters(self, values: Values) -> t.Any:
        """Values as the driver wants them: by name, or in the order in which they stand."""
        known = {**self._fixed, **values}
        return known if self._order is None else tuple([known[name] for name in self._order])
