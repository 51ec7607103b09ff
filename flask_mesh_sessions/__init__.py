"""Sessions, chat history and agent memory that survive restarts, for Flask apps."""

from __future__ import annotations

from .config import MeshConfig
from .errors import MeshError
from .extension import MeshSessions
from .gateway.records import ChatTask, Session
from .runtime.turn import Turn

__all__ = ["ChatTask", "MeshConfig", "MeshError", "MeshSessions", "Session", "Turn"]
