"""Letting only so many threads in at a time."""

from __future__ import annotations

import multiprocessing
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from flask_mesh_sessions.config import Pool
from flask_mesh_sessions.storage.database import Database
from flask_mesh_sessions.storage.places import Places

#: Long enough to fail a test that has to wait for it.
FOREVER = 60.0


class Crowd:
    """Counts who is inside, and how many there were at most."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self.most = 0

    def visit(self, places: Places, visits: int) -> None:
        for _ in range(visits):
            with places.place():
                with self._lock:
                    self._inside += 1
                    self.most = max(self.most, self._inside)
                with self._lock:
                    self._inside -= 1


def test_no_more_are_inside_than_there_are_places() -> None:
    crowd, places = Crowd(), Places(3, FOREVER)
    with ThreadPoolExecutor(12) as pool:
        for done in [pool.submit(crowd.visit, places, 200) for _ in range(12)]:
            done.result()
    assert crowd.most <= 3


def test_a_place_is_free_again_after_an_error() -> None:
    places = Places(1, FOREVER)
    for _ in range(3):
        with pytest.raises(LookupError), places.place():
            raise LookupError


def test_who_has_waited_goes_in_and_takes_no_place_away() -> None:
    places = Places(1, 0.01)
    with places.place(), places.place(), places.place():
        pass
    crowd = Crowd()
    crowd.visit(places, 3)
    assert crowd.most == 1


def test_a_forked_child_finds_every_place_free(sqlite_url: str) -> None:
    """Those who were inside are threads of the parent: in the child nobody ever leaves."""
    database = Database(sqlite_url, Pool(pool_size=1))
    entered, leave = threading.Event(), threading.Event()

    def stay() -> None:
        def work(connection: object) -> None:
            entered.set()
            leave.wait()

        database.read(work)

    thread = threading.Thread(target=stay)
    thread.start()
    entered.wait()
    context = multiprocessing.get_context("fork")
    found = context.Queue()
    child = context.Process(target=lambda: found.put(database._places._free.qsize()))
    child.start()
    try:
        assert found.get(timeout=FOREVER) == 1
    finally:
        leave.set()
        thread.join()
        child.join()
        database.dispose()
