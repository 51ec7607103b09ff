"""The two agents."""

from __future__ import annotations

from collections.abc import Mapping

from flask_mesh_sessions import MeshSessions
from flask_mesh_sessions.adapters.openai_chat import chat_agent
from flask_mesh_sessions.config import Model

from .librarian import librarian
from .todo import todo
from .todo_model import model_todo

LIBRARIAN_PROMPT = (
    "You are a librarian. You remember what the user tells you in this conversation and answer"
    " from it. Say so plainly when they have not told you what they ask for. Be brief."
)


def register(mesh: MeshSessions, environ: Mapping[str, str]) -> None:
    """Register the agents: simple functions, or a model where ``OPENAI_API_KEY`` is set.

    ``OPENAI_BASE_URL`` names another server that speaks OpenAI's protocol, ``OPENAI_MODEL``
    another model.
    """
    key = environ.get("OPENAI_API_KEY")
    if not key:
        mesh.agent("librarian")(librarian)
        mesh.agent("todo")(todo)
        return
    model = Model(
        name=environ.get("OPENAI_MODEL") or "gpt-4o-mini",
        api_base=environ.get("OPENAI_BASE_URL") or None,
        api_key=key,
    )
    mesh.agent("librarian")(chat_agent(model, LIBRARIAN_PROMPT))
    mesh.agent("todo")(model_todo(model))
