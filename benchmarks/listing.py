"""Measuring the list of sessions: its first page, by cursor and by number."""

from __future__ import annotations

import typing as t
import uuid

from flask_mesh_sessions.gateway.service import GatewayService

from .handwritten import HandHistory, now
from .measure import Measured, Sizes, compare
from .world import AGENT, USER, World

PAGE = 20
CURSOR_TARGET = 4.0


def measure(world: World, sizes: Sizes) -> t.Iterator[Measured]:
    """The rows of the list of sessions."""
    _fill(world, sizes.sessions)
    service = GatewayService(world.gateway)
    by_hand = HandHistory(world.hand(world.gateway))
    of = f"first page of {PAGE} of {sizes.sessions:,} sessions"

    assert [s.id for s in service.walk(USER).data] == [
        s["id"] for s in by_hand.page(PAGE, False)[0]
    ]
    comparison = compare(
        lambda: service.walk(USER, page_size=PAGE),
        lambda: by_hand.page(PAGE, counted=False),
        sizes.rounds,
        sizes.each,
    )
    yield Measured(world.name, f"{of}, by cursor", comparison, CURSOR_TARGET)
    comparison = compare(
        lambda: service.list(USER, page_size=PAGE),
        lambda: by_hand.page(PAGE, counted=True),
        sizes.rounds,
        sizes.each,
    )
    yield Measured(world.name, f"{of}, by number with the count", comparison)


def _fill(world: World, count: int) -> None:
    """Sessions of one user, some of them of the same moment."""
    moment = now()
    row = {"user_id": USER, "agent_id": AGENT, "source": "chat", "created_time": moment}
    world.hand(world.gateway).insert(
        "sessions",
        [
            {
                **row,
                "session_id": f"web-session-{uuid.uuid4().hex}",
                "name": f"Conversation {number}",
                "search_text": f"conversation {number}",
                "updated_time": moment - number // 2,
            }
            for number in range(count)
        ],
    )
