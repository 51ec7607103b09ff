"""The app the live servers serve: settings from the environment, agents of the tests.

``GATEWAY`` and ``AGENTS`` are the databases' URLs; where one is not set, that side is in
memory mode. ``LEASE`` is how many seconds a lease holds.
"""

from __future__ import annotations

import os

from flask_mesh_sessions import MeshSessions
from flask_mesh_sessions.runtime.timing import Timing
from tests.mesh_app import make_app


class LiveMesh(MeshSessions):
    """As in production, but for the lease, so that no test has to wait for half a minute."""

    timing = Timing(lease=float(os.environ.get("LEASE", "30")), renew=1)


app = make_app(
    os.environ["INSTANCE"], os.environ.get("GATEWAY"), os.environ.get("AGENTS"), mesh=LiveMesh()
)
