"""Running a turn: accept, lease, pool, streams, settle."""
