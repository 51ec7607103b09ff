"""The app's own table, beside those of MeshSessions."""

from __future__ import annotations

import typing as t
import uuid

from flask_login import UserMixin
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

#: What the page can be coloured with.
COLOURS = ("indigo", "teal", "plum", "amber")


class Base(DeclarativeBase):
    """What the app's models derive from."""


db = SQLAlchemy(model_class=Base)

if t.TYPE_CHECKING:
    Model = Base
else:
    Model = db.Model


class Account(UserMixin, Model):  # type: ignore[misc]
    """Somebody who can sign in."""

    __tablename__ = "accounts"

    # Not a number: a number would be given again by a new database, and with it the
    # conversations of somebody else.
    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=lambda: uuid.uuid4().hex)
    username: Mapped[str] = mapped_column(String(32), unique=True)
    password_hash: Mapped[str] = mapped_column(String(255))
    colour: Mapped[str] = mapped_column(String(16), default=COLOURS[0])
