"""This process's clock, for times that are shown. Leases go by the database's."""

from __future__ import annotations

import time


def now() -> int:
    """Epoch milliseconds."""
    return time.time_ns() // 1_000_000
