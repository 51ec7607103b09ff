"""Named points at which this project's own crash tests kill the process.

Nothing happens at a point unless the environment variable ``MESH_SESSIONS_FAULT`` names it.
"""

from __future__ import annotations

import itertools
import os
import signal

VARIABLE = "MESH_SESSIONS_FAULT"

_NAME, _, _PASS = os.environ.get(VARIABLE, "").partition(":")
_passes = itertools.count(1)


def point(name: str) -> None:
    """Kill this process with SIGKILL if the environment asks for it here.

    ``MESH_SESSIONS_FAULT=name`` kills at the first pass, ``name:3`` at the third.

    :param name: the name of the place in the code.
    """
    if name == _NAME and next(_passes) == int(_PASS or 1):
        os.kill(os.getpid(), signal.SIGKILL)
