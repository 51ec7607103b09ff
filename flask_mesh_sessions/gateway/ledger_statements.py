"""The statements of the ledger that every turn needs."""

from __future__ import annotations

import sqlalchemy as sa

from ..storage.schema import now_ms
from ..storage.statement import Statement
from .rows import TASK_COLUMNS
from .sessions import touch
from .tables import chat_task_parts as parts
from .tables import chat_tasks as tasks
from .tables import sessions

_OWN_SESSION = (
    sessions.c.user_id == sa.bindparam("own_user"),
    sessions.c.session_id == sa.bindparam("own_session"),
    sessions.c.deleted_at.is_(None),
)
_MOMENT: sa.BindParameter[int] = sa.bindparam("moment", type_=sa.BigInteger)
_LIVE = tasks.c.runs_until.is_not(None)
_THIS = tasks.c.pk == sa.bindparam("key")
_MINE = tasks.c.runner == sa.bindparam("known_runner")
_RUNS_UNTIL = now_ms() + sa.bindparam("ttl_ms", type_=sa.BigInteger)

#: Makes a session the latest, and takes its row's lock.
TOUCH = Statement(sa.update(sessions).where(*_OWN_SESSION).values(touch(_MOMENT)))

#: A session with its agent and how many of its tasks wait, and have not ended.
QUEUE = Statement(
    sa.select(
        sessions.c.pk,
        sessions.c.agent_id,
        sa.func.coalesce(sa.func.sum(sa.case((tasks.c.status == "waiting", 1))), 0).label(
            "waiting"
        ),
        sa.func.count(tasks.c.pk).label("live"),
    )
    .select_from(sessions)
    .outerjoin(tasks, sa.and_(tasks.c.session_pk == sessions.c.pk, _LIVE))
    .where(*_OWN_SESSION)
    .group_by(sessions.c.pk, sessions.c.agent_id)
)

NAME_AGENT = Statement(sa.update(sessions).where(sessions.c.pk == sa.bindparam("key")), "agent_id")
INSERT_TASK = Statement(
    sa.insert(tasks).values(runs_until=_RUNS_UNTIL),
    "session_pk",
    "user_id",
    "task_id",
    "agent",
    "status",
    "user_message",
    "message_bubbles",
    "search_text",
    "retry_of",
    "runner",
    "cancel_requested",
    "created_time",
)

# Also of one that runs: what its runner could not be told the first time it is told again.
START = Statement(
    sa.update(tasks)
    .where(_THIS, tasks.c.runs_until.is_not(None), _MINE, tasks.c.cancel_requested.is_(sa.false()))
    .values(status="running", runs_until=_RUNS_UNTIL)
)
_ENDING = (
    "status",
    "message_bubbles",
    "search_text",
    "error_code",
    "error_message",
    "prompt_tokens",
    "completion_tokens",
    "cached_tokens",
    "runs_until",
    "updated_time",
)
#: End a task of this runner.
FINISH = Statement(sa.update(tasks).where(_THIS, _MINE, _LIVE), *_ENDING)
#: End a task that nobody has touched since it was read.
SETTLE = Statement(
    sa.update(tasks).where(
        _THIS,
        _MINE,
        tasks.c.runs_until == sa.bindparam("known_until"),
        tasks.c.status == sa.bindparam("known_status"),
    ),
    *_ENDING,
)
DROP_PIECES = Statement(sa.delete(parts).where(parts.c.task_pk == sa.bindparam("key")))

#: Tasks with who runs them.
LEDGER = sa.select(
    *TASK_COLUMNS,
    tasks.c.pk,
    tasks.c.user_id,
    tasks.c.runner,
    tasks.c.runs_until,
    tasks.c.cancel_requested,
    sa.case((tasks.c.runs_until < now_ms(), 1), else_=0).label("expired"),
).join_from(tasks, sessions)
FIND = Statement(
    LEDGER.where(
        tasks.c.user_id == sa.bindparam("own_user"),
        tasks.c.task_id == sa.bindparam("own_task"),
        sessions.c.deleted_at.is_(None),
    )
)
HAS_SESSION = Statement(sa.select(sessions.c.pk).where(*_OWN_SESSION))
_OTHER = tasks.alias("other")
_SAME_SESSION = sa.select(_OTHER.c.session_pk).where(_OTHER.c.pk == sa.bindparam("key"))
#: The tasks of the same session and agent that were accepted earlier and have not ended.
AHEAD = Statement(
    LEDGER.where(
        tasks.c.session_pk == _SAME_SESSION.scalar_subquery(),
        _LIVE,
        tasks.c.agent == sa.bindparam("same_agent"),
        tasks.c.pk < sa.bindparam("key"),
    )
)
