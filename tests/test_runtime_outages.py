"""A database that goes away in the middle of a turn, or whose answers are lost."""

from __future__ import annotations

import contextlib
import time
import typing as t

import pytest
import sqlalchemy as sa
from flask import Flask

from flask_mesh_sessions.errors import StorageUnavailable
from flask_mesh_sessions.runtime.timing import Timing
from tests import databases
from tests.mesh_app import FastMesh, gate, gates, make_app, mesh_of, state_of
from tests.proxy import Proxy
from tests.test_runtime import USER, events, new_session, reply, send, status, until

SECONDS = 30
#: As it is sent; "READ COMMITTED" and "AUTOCOMMIT" are other things.
COMMIT = {"postgresql": b"COMMIT\x00", "mariadb": b"\x03COMMIT"}


class ShortMesh(FastMesh):
    """Leases that run out while a test can wait for it."""

    timing = Timing(
        lease=2.0, renew=0.5, watch=0.05, flush=0.05, tail=0.05, delegate=0.5, drain=0.2
    )


class Site(t.NamedTuple):
    """An app whose databases are each behind a proxy, and another one that is not."""

    app: Flask
    direct: Flask
    proxies: dict[str, Proxy]
    commit: bytes


@pytest.fixture(scope="module", params=["postgresql", "mariadb"])
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> t.Iterator[Site]:
    server, folder = request.param, tmp_path_factory.mktemp("outages")
    databases.need(server)
    with contextlib.ExitStack() as stack:
        urls = [stack.enter_context(databases.temporary_database(server, folder)) for _ in "ga"]
        proxies = {}
        behind = []
        for name, url in zip(("gateway", "agents"), urls, strict=True):
            address = sa.make_url(url)
            default = 5432 if server == "postgresql" else 3306
            proxy = Proxy((address.host or "127.0.0.1", address.port or default))
            stack.callback(proxy.close)
            proxies[name] = proxy
            address = address.set(host="127.0.0.1", port=proxy.port)
            if server == "postgresql":  # so that the proxy can read along
                address = address.update_query_dict({"sslmode": "disable"})
            behind.append(address.render_as_string(hide_password=False))
        direct = make_app(folder / "direct", urls[0], urls[1], mesh=ShortMesh())
        app = make_app(folder / "app", behind[0], behind[1], mesh=ShortMesh())
        stack.callback(state_of(direct).close)
        stack.callback(state_of(app).close)
        yield Site(app, direct, proxies, COMMIT[server])


@pytest.fixture(autouse=True)
def everything_is_back(site: Site) -> t.Iterator[None]:
    yield
    for proxy in site.proxies.values():
        proxy.come_back()
    for event in gates.values():
        event.set()
    gates.clear()


def agree(app: Flask, session: str, agent: str) -> None:
    """History and memory say the same of every task, and the log is whole."""
    with app.app_context():
        tasks = mesh_of(app).gateway.tasks(USER, session)
    for task in tasks:
        turn = state_of(app).sessions(agent).turn(USER, session, task.task_id)
        if turn is None:
            assert task.status in ("interrupted", "cancelled") and reply(task) == ""
        else:
            assert (turn.status, turn.answer) == (task.status, reply(task))
    found = events(app, session, agent)
    assert [event.seq for event in found] == list(range(1, len(found) + 1))


@pytest.mark.parametrize(
    ("place", "after"),
    [*(("gateway", n) for n in range(3)), *(("agents", n) for n in range(4))],
)
def test_a_turn_that_loses_the_answer_to_a_commit_happens_once(
    site: Site, place: str, after: int
) -> None:
    session = new_session(site.app)
    site.proxies[place].lose_answer_to(site.commit, after)
    assert reply(send(site.app, session, "a", "counter")) == "1: a"
    assert site.proxies[place].lost
    assert reply(send(site.app, session, "b", "counter")) == "2: a | b"
    assert len(events(site.app, session, "counter")) == 8
    agree(site.direct, session, "counter")


def test_a_waiting_turn_that_is_cancelled_while_the_gateway_is_away_is_cancelled(
    site: Site,
) -> None:
    runtime, session = state_of(site.app).runtime, new_session(site.app)
    first = runtime.send(USER, session, f"o1{session} rest", "gated")
    second = runtime.send(USER, session, "never", "gated")
    job = runtime._process().job(USER, second)
    assert job is not None
    with site.proxies["gateway"].away(), pytest.raises(StorageUnavailable):
        runtime._process().cancel(job)
    assert runtime.wait(USER, session, second, SECONDS).status == "cancelled"
    gate(f"o1{session}").set()
    assert runtime.wait(USER, session, first, SECONDS).status == "completed"
    agree(site.direct, session, "gated")


@pytest.mark.parametrize("place", ["gateway", "agents"])
def test_an_outage_while_a_turn_runs_is_waited_for(site: Site, place: str) -> None:
    runtime, session = state_of(site.app).runtime, new_session(site.app)
    name = f"o2{session}"
    task_id = runtime.send(USER, session, f"{name} rest", "gated")
    until(lambda: status(site.direct, session, task_id) == "running")
    with site.proxies[place].away():
        gate(name).set()
        time.sleep(1)
    assert runtime.wait(USER, session, task_id, SECONDS).status == "completed"
    agree(site.direct, session, "gated")


@pytest.mark.parametrize("place", ["gateway", "agents"])
def test_an_outage_that_outlasts_the_lease_ends_the_same_everywhere(site: Site, place: str) -> None:
    runtime, session = state_of(site.app).runtime, new_session(site.app)
    name = f"o3{session}"
    task_id = runtime.send(USER, session, f"{name} rest", "gated")
    until(lambda: status(site.direct, session, task_id) == "running")
    with site.proxies[place].away():
        gate(name).set()
        time.sleep(3)
    ended = runtime.wait(USER, session, task_id, SECONDS)
    assert ended.status in ("completed", "interrupted")
    assert status(site.direct, session, task_id) == ended.status
    agree(site.direct, session, "gated")
    assert send(site.app, session, f"{name} again", "gated").status == "completed"


def test_a_turn_that_cannot_be_begun_for_a_while_runs_once(site: Site) -> None:
    session, agents = new_session(site.app), site.proxies["agents"]
    agents.lose_answer_to(site.commit, leave=True)
    task_id = state_of(site.app).runtime.send(USER, session, "a", "counter")
    assert agents.lost and len(events(site.direct, session, "counter")) == 1, "it has begun"
    time.sleep(2.5)  # longer than the lease
    agents.come_back()
    task = state_of(site.app).runtime.wait(USER, session, task_id, SECONDS)
    assert (task.status, reply(task)) == ("completed", "1: a")
    agree(site.direct, session, "counter")


@pytest.mark.parametrize("cancelled", [False, True])
def test_a_turn_whose_start_was_not_confirmed_goes_on(site: Site, cancelled: bool) -> None:
    runtime, session = state_of(site.app).runtime, new_session(site.app)
    gateway, name = site.proxies["gateway"], f"o4{session}"
    gateway.lose_answer_to(site.commit, 1, leave=True)  # the first one accepts
    task_id = runtime.send(USER, session, f"{name} rest", "gated")
    job = runtime._process().job(USER, task_id)
    assert gateway.lost and job is not None
    if cancelled:
        with pytest.raises(StorageUnavailable):
            runtime._process().cancel(job)
    gate(name).set()
    gateway.come_back()
    task = runtime.wait(USER, session, task_id, SECONDS)
    assert task.status == ("cancelled" if cancelled else "completed")
    assert send(site.app, session, f"{name} next", "gated").status == "completed"
    agree(site.direct, session, "gated")
