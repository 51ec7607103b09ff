"""The gateway's session service, on every database."""

from __future__ import annotations

import contextlib
import json
import threading
import typing as t

import pytest
import sqlalchemy as sa

from flask_mesh_sessions.config import Pool
from flask_mesh_sessions.errors import (
    Conflict,
    InvalidInput,
    SessionNotFound,
    StorageUnavailable,
    TaskNotFound,
)
from flask_mesh_sessions.gateway import history, tables
from flask_mesh_sessions.gateway.ledger import SqlLedger
from flask_mesh_sessions.gateway.records import ChatTask, Session
from flask_mesh_sessions.gateway.saved import MAX_DEPTH
from flask_mesh_sessions.gateway.service import GatewayService
from flask_mesh_sessions.gateway.turns import LedgerTask, NewTask, Outcome
from flask_mesh_sessions.storage.database import Database
from flask_mesh_sessions.storage.schema import gateway_metadata
from tests.databases import temporary_database

BUBBLES = json.dumps([{"id": "b1", "type": "user", "text": "Hello"}])
ANSWERED = json.dumps(
    [
        {"id": "b1", "type": "user", "text": "Hello"},
        {"id": "b2", "type": "agent", "text": "Good day", "parts": []},
    ]
)
NOT_IDS = ["", " ", "a b", "null", "undefined", "search", "x" * 129, "ä", "a\x00", "a\n"]


def empty(connection: sa.Connection) -> None:
    for table in reversed(gateway_metadata.sorted_tables):
        connection.execute(sa.delete(table))


@pytest.fixture(scope="module")
def tables_made(backend: str, tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Database]:
    with temporary_database(backend, tmp_path_factory.mktemp("database")) as url:
        database = Database(url, Pool())
        gateway_metadata.create_all(database.engine)
        yield database
        database.dispose()


@pytest.fixture
def database(tables_made: Database) -> t.Iterator[Database]:
    yield tables_made
    tables_made.write(empty)


@pytest.fixture
def gateway(database: Database) -> GatewayService:
    return GatewayService(database)


@pytest.fixture
def ledger(database: Database) -> SqlLedger:
    return SqlLedger(database)


def save(
    gateway: GatewayService,
    session: Session,
    task_id: str = "t1",
    message: str | None = "Hello",
    bubbles: str = BUBBLES,
    metadata: str | None = None,
) -> ChatTask:
    return gateway.save_task(
        session.user_id,
        session.id,
        task_id=task_id,
        user_message=message,
        message_bubbles=bubbles,
        task_metadata=metadata,
    )


def accept(
    ledger: SqlLedger, session: Session, task_id: str = "r1", ttl: int = 60_000
) -> LedgerTask:
    new = NewTask(session.user_id, session.id, task_id, "Hello", BUBBLES, "runner", ttl)
    accepted = ledger.accept(new, lambda asked, own: asked or own or "assistant", 16)
    return accepted.task


def run(ledger: SqlLedger, session: Session, task_id: str = "r1") -> LedgerTask:
    task = accept(ledger, session, task_id)
    assert ledger.start(task.pk, "runner", 60_000)
    return task


def set_times(database: Database, times: dict[str, int]) -> None:
    """Make sessions as old as a test needs them."""

    def work(connection: sa.Connection) -> None:
        for session_id, time in times.items():
            connection.execute(
                sa.update(tables.sessions)
                .where(tables.sessions.c.session_id == session_id)
                .values(updated_time=time)
            )

    database.write(work)


@contextlib.contextmanager
def statements(database: Database) -> t.Iterator[list[str]]:
    """The statements that are sent meanwhile."""
    sent: list[str] = []

    def note(conn, cursor, statement, parameters, context, executemany) -> None:
        if not statement.startswith("BEGIN"):
            sent.append(statement)

    sa.event.listen(database.engine, "before_cursor_execute", note)
    yield sent
    sa.event.remove(database.engine, "before_cursor_execute", note)


def together(*calls: t.Callable[[], object]) -> list[object]:
    """Call functions at the same moment; what each returned or raised."""
    barrier = threading.Barrier(len(calls))
    results: list[object] = [None] * len(calls)

    def call(index: int) -> None:
        barrier.wait()
        try:
            results[index] = calls[index]()
        except Exception as error:
            results[index] = error

    threads = [threading.Thread(target=call, args=(index,)) for index in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def ids_of(found: t.Iterable[Session]) -> list[str]:
    return [session.id for session in found]


# Sessions


def test_a_new_session_is_found(gateway):
    made = gateway.create("ann", name="  Plans ", agent_id="assistant")
    assert made.name == "Plans"
    assert made.id.startswith("web-session-")
    assert made.source == "chat"
    assert made.created_time == made.updated_time
    assert gateway.get("ann", made.id) == made
    assert gateway.list("ann").data == [made]


def test_a_session_may_bring_its_id(gateway):
    assert gateway.create("ann", session_id="mine").id == "mine"
    with pytest.raises(Conflict):
        gateway.create("ann", session_id="mine")


def test_a_deleted_id_is_never_made_anew(gateway):
    gateway.create("ann", session_id="mine")
    gateway.delete("ann", "mine")
    with pytest.raises(Conflict):
        gateway.create("ann", session_id="mine")
    with pytest.raises(SessionNotFound):
        gateway.get("ann", "mine")


def test_of_two_that_make_the_same_session_one_succeeds(gateway):
    make = lambda: gateway.create("ann", session_id="mine")  # noqa: E731
    results = together(make, make, make)
    assert sorted(type(result).__name__ for result in results) == ["Conflict"] * 2 + ["Session"]
    assert gateway.list("ann").count == 1


@pytest.mark.parametrize("name", ["", "  ", "x" * 256, "a\x00b", "a\ud800b"])
def test_a_bad_name_is_refused(gateway, name):
    session = gateway.create("ann", name="before")
    with pytest.raises(InvalidInput) as refused:
        gateway.create("ann", name=name)
    assert set(refused.value.details) == {"name"}
    with pytest.raises(InvalidInput):
        gateway.rename("ann", session.id, name)
    assert gateway.list("ann").data == [session]


@pytest.mark.parametrize("session_id", NOT_IDS)
def test_what_cannot_be_an_id_is_refused_for_a_new_session_and_unknown_elsewhere(
    gateway, session_id
):
    with pytest.raises(InvalidInput):
        gateway.create("ann", session_id=session_id)
    for verb in (gateway.get, gateway.delete, gateway.restore, gateway.viewed, gateway.tasks):
        with pytest.raises(SessionNotFound):
            verb("ann", session_id)


@pytest.mark.parametrize("user_id", ["", " ann", "ann ", "a\x00", "x" * 256])
def test_what_cannot_be_a_user_is_refused(gateway, user_id):
    for call in (
        lambda: gateway.create(user_id),
        lambda: gateway.list(user_id),
        lambda: gateway.walk(user_id),
        lambda: gateway.search(user_id, "x"),
        lambda: gateway.get(user_id, "s"),
    ):
        with pytest.raises(InvalidInput):
            call()


@pytest.mark.parametrize("other", ["Ann", "änn", "anń", "a" * 254 + "b", "ann1", "🦊"])
def test_users_compare_byte_for_byte(gateway, other):
    for user in ("ann", other):
        assert gateway.create(user, session_id="same").user_id == user
        assert gateway.list(user).count == 1


def test_sessions_compare_byte_for_byte(gateway):
    gateway.create("ann", session_id="Plan")
    for other in ("plan", "PLAN", "Plan1", "Pla", "Plan "):
        with pytest.raises(SessionNotFound):
            gateway.get("ann", other)
    gateway.create("ann", session_id="plan")
    gateway.delete("ann", "plan")
    assert ids_of(gateway.list("ann").data) == ["Plan"]


def test_rename(gateway):
    session = gateway.create("ann", name="before")
    renamed = gateway.rename("ann", session.id, "  after ")
    assert renamed.name == "after"
    assert renamed.updated_time > session.updated_time
    assert gateway.get("ann", session.id) == renamed
    assert gateway.search("ann", "after").count == 1
    assert gateway.search("ann", "before").count == 0


def test_each_change_makes_a_session_later_than_it_was(gateway):
    session = gateway.create("ann")
    times = [gateway.rename("ann", session.id, f"n{n}").updated_time for n in range(5)]
    assert times == sorted(set(times))


def test_viewed_is_stored_and_changes_nothing_else(gateway):
    session = gateway.create("ann")
    seen = gateway.viewed("ann", session.id)
    assert seen >= session.updated_time
    assert gateway.get("ann", session.id).last_viewed_at == seen
    assert gateway.get("ann", session.id).updated_time == session.updated_time


def test_viewed_is_never_before_the_last_change(gateway, database):
    session = gateway.create("ann")
    later = session.created_time + 1_000_000
    set_times(database, {session.id: later})
    assert gateway.viewed("ann", session.id) == later


# Deleting and restoring


def test_a_deleted_session_is_unknown_everywhere(gateway):
    session = gateway.create("ann", name="Plans")
    save(gateway, session)
    gateway.delete("ann", session.id)
    for call in (
        lambda: gateway.get("ann", session.id),
        lambda: gateway.rename("ann", session.id, "x"),
        lambda: gateway.delete("ann", session.id),
        lambda: gateway.viewed("ann", session.id),
        lambda: gateway.tasks("ann", session.id),
        lambda: gateway.task("ann", session.id, "t1"),
        lambda: gateway.messages("ann", session.id),
        lambda: save(gateway, session),
        lambda: gateway.feedback("ann", task_id="t1", session_id=session.id, rating="up"),
    ):
        with pytest.raises(SessionNotFound):
            call()
    assert gateway.list("ann").count == 0
    assert gateway.walk("ann").data == []
    assert gateway.search("ann", "Plans").count == 0
    assert gateway.search("ann", "Hello").count == 0


def test_restore_brings_everything_back(gateway):
    session = gateway.create("ann", name="Plans")
    task = save(gateway, session)
    before = gateway.get("ann", session.id)
    gateway.delete("ann", session.id)
    assert gateway.restore("ann", session.id) == before
    assert gateway.tasks("ann", session.id) == [task]
    assert gateway.restore("ann", session.id) == before


def test_delete_cancels_what_runs_and_nothing_else(gateway, ledger, database):
    session, other = gateway.create("ann"), gateway.create("ann")
    live, done, elsewhere = run(ledger, session), save(gateway, session), run(ledger, other, "r2")
    gateway.delete("ann", session.id)
    cancelled = ledger.cancelled([live.pk, elsewhere.pk])
    assert cancelled == {live.pk}
    gateway.restore("ann", session.id)
    assert gateway.task("ann", session.id, done.task_id) == done


# Lists


def test_pages(gateway, database):
    made = [gateway.create("ann", session_id=f"s{n}") for n in range(5)]
    gateway.create("bob")
    set_times(database, {session.id: 1000 + n for n, session in enumerate(made)})
    page = gateway.list("ann", page_size=2)
    assert (ids_of(page.data), page.count, page.total_pages) == (["s4", "s3"], 5, 3)
    assert page.next_page == 2
    last = gateway.list("ann", page_number=3, page_size=2)
    assert (ids_of(last.data), last.next_page) == (["s0"], None)
    beyond = gateway.list("ann", page_number=2**31 - 1, page_size=100)
    assert (beyond.data, beyond.count, beyond.next_page) == ([], 5, None)


def test_nothing_has_no_pages(gateway):
    page = gateway.list("ann")
    assert (page.data, page.count, page.total_pages, page.next_page) == ([], 0, 0, None)
    assert gateway.walk("ann").next_cursor is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"page_number": 0},
        {"page_number": 2**31},
        {"page_size": 0},
        {"page_size": 101},
        {"page_number": True},
        {"source": "elsewhere"},
        {"agent_id": "two words"},
        {"project_id": "ä"},
    ],
)
def test_impossible_pages_and_filters_are_refused(gateway, wrong):
    with pytest.raises(InvalidInput) as refused:
        gateway.list("ann", **wrong)
    assert len(refused.value.details) == 1


def test_filters(gateway):
    first = gateway.create("ann", agent_id="one")
    second = gateway.create("ann", agent_id="two")
    assert gateway.list("ann", agent_id="one").data == [first]
    assert gateway.list("ann", agent_id="ONE").count == 0
    assert gateway.list("ann", source="chat").count == 2
    assert gateway.list("ann", source="scheduler").count == 0
    assert gateway.list("ann", project_id="p").count == 0
    assert gateway.walk("ann", agent_id="two", source="chat").data == [second]


def test_a_session_with_a_running_turn_says_so(gateway, ledger):
    busy, idle = gateway.create("ann"), gateway.create("ann")
    save(gateway, idle)
    task = run(ledger, busy)
    assert gateway.get("ann", busy.id).has_running_background_task
    for found in (gateway.list("ann").data, gateway.walk("ann").data):
        flags = {session.id: session.has_running_background_task for session in found}
        assert flags == {busy.id: True, idle.id: False}
    ledger.finish(task, "runner", Outcome("completed", ANSWERED), False)
    assert not gateway.get("ann", busy.id).has_running_background_task


def walk_all(gateway: GatewayService, between: t.Callable[[], object]) -> list[str]:
    found, cursor = [], ""
    while True:
        step = gateway.walk("ann", cursor=cursor, page_size=3)
        found += ids_of(step.data)
        if step.next_cursor is None:
            return found
        cursor = step.next_cursor
        between()


def test_a_walk_meets_each_unchanged_session_once(gateway, database):
    names = [f"s{n}" for n in range(10)]
    for name in names:
        gateway.create("ann", session_id=name)
    # Several of the same time, with the end of a step between them.
    set_times(database, {name: 1000 + n // 4 for n, name in enumerate(names)})

    def meanwhile() -> None:
        gateway.create("ann")
        gateway.rename("ann", "s0", "moved to the front")

    found = walk_all(gateway, meanwhile)
    assert [name for name in found if name in names[1:]] == [
        "s9", "s8", "s7", "s6", "s5", "s4", "s3", "s2", "s1",
    ]  # fmt: skip


def test_a_walk_and_the_pages_agree(gateway, database):
    names = [f"{letter}{n}" for n in range(4) for letter in "aB~-"]
    for name in names:
        gateway.create("ann", session_id=name)
    set_times(database, dict.fromkeys(names, 1000))
    walked = walk_all(gateway, lambda: None)
    assert walked == ids_of(gateway.list("ann", page_size=100).data)
    assert walked == sorted(names, reverse=True)


@pytest.mark.parametrize(
    "cursor",
    ["x", "????", "MTAwMA", "LTEgczE", "ä", "MTAwMCBhIGI", "OTk5OTk5OTk5OTk5OTk5OTk5OTkgczE", "="],
)
def test_a_malformed_cursor_is_refused(gateway, cursor):
    with pytest.raises(InvalidInput) as refused:
        gateway.walk("ann", cursor=cursor)
    assert set(refused.value.details) == {"cursor"}


def test_how_many_statements_a_read_takes(gateway, database):
    sessions = [gateway.create("ann") for _ in range(25)]
    for n in range(5):
        save(gateway, sessions[0], f"t{n}")
    reads: list[tuple[int, t.Callable[[], object]]] = [
        (2, lambda: gateway.list("ann")),
        (1, lambda: gateway.walk("ann")),
        (2, lambda: gateway.search("ann", "hello")),
        (1, lambda: gateway.get("ann", sessions[0].id)),
        (1, lambda: gateway.tasks("ann", sessions[0].id)),
        (1, lambda: gateway.messages("ann", sessions[0].id)),
    ]
    for expected, read in reads:
        with statements(database) as sent:
            read()
        assert len(sent) == expected, sent


# Search


def test_search_finds_titles_and_messages(gateway):
    titled = gateway.create("ann", name="Holiday in Rome")
    spoken = gateway.create("ann", name="Other")
    save(gateway, spoken, bubbles=json.dumps([{"type": "agent", "text": "Rome was not built"}]))
    gateway.create("ann", name="Paris")
    bob = gateway.create("bob", name="Rome")
    page = gateway.search("ann", " rome ")
    assert set(ids_of(page.data)) == {titled.id, spoken.id}
    assert page.count == 2
    assert ids_of(gateway.search("bob", "rome").data) == [bob.id]
    assert gateway.search("ann", "rome", page_size=1, page_number=2).data[0].id == titled.id


def test_search_takes_the_same_filters(gateway):
    gateway.create("ann", name="Rome", agent_id="one")
    assert gateway.search("ann", "rome", agent_id="one").count == 1
    assert gateway.search("ann", "rome", agent_id="two").count == 0
    assert gateway.search("ann", "rome", project_id="p").count == 0


TEXTS = ["100% sure", "snake_case", "a/b", "c:\\dir", "Straße", "ＦＵＬＬ width", "Ünï", "ümlaut"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("%", ["100% sure"]),
        ("_", ["snake_case"]),
        ("/", ["a/b"]),
        ("\\", ["c:\\dir"]),
        ("c:\\d", ["c:\\dir"]),
        ("STRASSE", ["Straße"]),
        ("full WIDTH", ["ＦＵＬＬ width"]),
        ("u\u0308m", ["ümlaut"]),
        ("ÜNÏ", ["Ünï"]),
        ("uni", []),
        ("'", []),
    ],
)
def test_search_finds_the_same_on_every_database(gateway, query, found):
    for text in TEXTS:
        gateway.create("ann", name=text)
    assert sorted(s.name for s in gateway.search("ann", query).data) == sorted(found)
    for session in gateway.list("ann").data:
        save(gateway, session, f"t-{session.id}", session.name, BUBBLES)
        gateway.rename("ann", session.id, "-")
    assert gateway.search("ann", query).count == len(found)


@pytest.mark.parametrize("query", ["", "   ", "\u3000", "a\x00", "\ud800", "x" * 501])
def test_an_impossible_search_is_refused(gateway, query):
    with pytest.raises(InvalidInput) as refused:
        gateway.search("ann", query)
    assert set(refused.value.details) == {"query"}


def test_the_longest_search_is_allowed(gateway):
    assert gateway.search("ann", "\ufdfa" * 500).count == 0


# Chat tasks


def test_a_client_saves_a_task_and_saves_it_again(gateway):
    session = gateway.create("ann")
    first = save(gateway, session, " t1 ", metadata='{"status":"pending","agent_name":"one"}')
    assert (first.task_id, first.agent, first.status) == ("t1", "one", "completed")
    assert first.updated_time is None
    second = save(gateway, session, message="Changed", bubbles=ANSWERED, metadata="  ")
    assert second.created_time == first.created_time
    assert second.updated_time is not None
    assert (second.user_message, second.task_metadata, second.agent) == ("Changed", None, None)
    assert gateway.tasks("ann", session.id) == [second]
    assert gateway.search("ann", "changed").count == 1
    assert gateway.search("ann", "good day").count == 1
    assert gateway.get("ann", session.id).updated_time > session.updated_time


@pytest.mark.parametrize(
    ("metadata", "status", "agent"),
    [
        (None, "completed", None),
        ('{"status":"completed","agent_name":"a"}', "completed", "a"),
        ('{"status":"pending"}', "completed", None),
        ('{"status":"error"}', "failed", None),
        ('{"status":"interrupted"}', "interrupted", None),
        ('{"status":"cancelled"}', "cancelled", None),
        ('{"status":"running"}', "completed", None),
        ('{"status":["error"],"agent_name":"two words"}', "completed", None),
        ('{"agent_name":7}', "completed", None),
    ],
)
def test_what_a_client_says_of_its_task(gateway, metadata, status, agent):
    task = save(gateway, gateway.create("ann"), metadata=metadata)
    assert (task.status, task.agent, task.task_metadata) == (status, agent, metadata)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("task_id", ""),
        ("task_id", " "),
        ("task_id", "a b"),
        ("task_id", "x" * 129),
        ("user_message", "a\x00"),
        ("user_message", "\udc00"),
        ("message_bubbles", ""),
        ("message_bubbles", "[]"),
        ("message_bubbles", "{}"),
        ("message_bubbles", "[1]"),
        ("message_bubbles", '[{"text":"a"}'),
        ("message_bubbles", '[{"text":NaN}]'),
        ("message_bubbles", '[{"text":"a\\u0000"}]'),
        ("message_bubbles", '[{"\\u0000":1}]'),
        ("message_bubbles", '[{"text":"\\ud800"}]'),
        ("message_bubbles", '[{"text":1' + "0" * 5000 + "}]"),
        ("message_bubbles", '[{"parts":' + "[" * MAX_DEPTH + "]" * MAX_DEPTH + "}]"),
        ("message_bubbles", "[" * 100_000),
        ("task_metadata", "[]"),
        ("task_metadata", "null"),
        ("task_metadata", "{"),
        ("task_metadata", '{"a":"\\u0000"}'),
        ("task_metadata", '{"a":' * 100_000),
    ],
)
def test_a_bad_task_is_refused_and_not_stored(gateway, field, value):
    session = gateway.create("ann")
    values = {"task_id": "t1", "user_message": "m", "message_bubbles": BUBBLES}
    with pytest.raises(InvalidInput) as refused:
        gateway.save_task("ann", session.id, **{**values, "task_metadata": None, field: value})
    assert len(refused.value.details) == 1
    assert gateway.tasks("ann", session.id) == []
    assert gateway.get("ann", session.id) == session


def test_a_task_id_belongs_to_one_session_of_a_user(gateway):
    here, there, bobs = gateway.create("ann"), gateway.create("ann"), gateway.create("bob")
    task = save(gateway, here)
    with pytest.raises(Conflict):
        save(gateway, there, message="other")
    assert gateway.get("ann", there.id) == there
    assert save(gateway, bobs, message="mine").user_message == "mine"
    assert gateway.tasks("ann", here.id) == [task]


def test_many_first_saves_at_once_make_one_task(gateway):
    session = gateway.create("ann")
    results = together(*[lambda n=n: save(gateway, session, message=f"m{n}") for n in range(4)])
    assert {type(result) for result in results} == {ChatTask}
    [task] = gateway.tasks("ann", session.id)
    assert task.user_message in {"m0", "m1", "m2", "m3"}


def test_first_saves_at_once_in_two_sessions_make_one_task(gateway):
    sessions = [gateway.create("ann"), gateway.create("ann")]
    results = together(*[lambda s=s: save(gateway, s) for s in sessions])
    assert sorted(type(result).__name__ for result in results) == ["ChatTask", "Conflict"]
    assert sorted(len(gateway.tasks("ann", s.id)) for s in sessions) == [0, 1]


def test_a_save_changes_nothing_while_the_task_runs(gateway, ledger):
    session = gateway.create("ann")
    task = accept(ledger, session)
    waiting = gateway.task("ann", session.id, "r1")
    assert save(gateway, session, "r1", "other", ANSWERED, '{"x":1}') == waiting
    assert ledger.start(task.pk, "runner", 60_000)
    running = gateway.task("ann", session.id, "r1")
    assert (waiting.status, running.status) == ("waiting", "running")
    assert save(gateway, session, "r1", "other", ANSWERED, '{"x":1}') == running
    assert gateway.task("ann", session.id, "r1") == running


def test_a_save_after_the_turn_replaces_only_what_is_shown(gateway, ledger):
    session = gateway.create("ann")
    ledger.finish(run(ledger, session), "runner", Outcome("failed", ANSWERED), False)
    before = gateway.task("ann", session.id, "r1")
    shown = json.dumps([{"type": "agent", "text": "Reworded"}])
    metadata = '{"status":"completed","agent_name":"other"}'
    after = save(gateway, session, "r1", "forged", shown, metadata)
    assert (after.message_bubbles, after.task_metadata) == (shown, metadata)
    kept = ("user_message", "agent", "status", "error", "retry_of", "created_time")
    assert [getattr(after, f) for f in kept] == [getattr(before, f) for f in kept]
    assert gateway.search("ann", "reworded").count == 1
    assert gateway.search("ann", "hello").count == 1
    assert gateway.search("ann", "forged").count == 0


def test_tasks_come_in_order_and_in_pieces(gateway):
    session = gateway.create("ann")
    for n in range(5):
        save(gateway, session, f"t{n}")
    name = [task.task_id for task in gateway.tasks("ann", session.id)]
    assert name == ["t0", "t1", "t2", "t3", "t4"]

    def some(**options: t.Any) -> list[str]:
        return [task.task_id for task in gateway.tasks("ann", session.id, **options)]

    assert some(limit=2) == ["t3", "t4"]
    assert some(limit=2, before="t3") == ["t1", "t2"]
    assert some(before="t1") == ["t0"]
    assert some(before="t0") == []


@pytest.mark.parametrize(
    "options", [{"limit": 0}, {"limit": 1001}, {"before": "other"}, {"before": "a b"}]
)
def test_impossible_pieces_are_refused(gateway, options):
    session, elsewhere = gateway.create("ann"), gateway.create("ann")
    save(gateway, elsewhere, "other")
    with pytest.raises(InvalidInput):
        gateway.tasks("ann", session.id, **options)


def test_what_comes_before_a_task_of_another_session_is_refused(gateway):
    session, elsewhere = gateway.create("ann"), gateway.create("ann")
    save(gateway, session, "t1")
    save(gateway, elsewhere, "t2")
    with pytest.raises(InvalidInput):
        gateway.tasks("ann", session.id, before="t2")


def test_an_unknown_task(gateway):
    session, elsewhere = gateway.create("ann"), gateway.create("ann")
    save(gateway, session, "t1")
    for user, place, task in (
        ("ann", session, "T1"),
        ("ann", session, "t1 "),
        ("ann", session, "a\x00"),
        ("ann", elsewhere, "t1"),
    ):
        with pytest.raises(TaskNotFound):
            gateway.task(user, place.id, task)
    with pytest.raises(SessionNotFound):
        gateway.task("bob", session.id, "t1")


def test_a_task_without_metadata_shows_what_clients_expect(gateway, ledger):
    session = gateway.create("ann")
    task = run(ledger, session)
    shown = json.loads(gateway.task("ann", session.id, "r1").task_metadata)
    assert shown == {"schema_version": 1, "status": "pending", "agent_name": "assistant"}
    ledger.finish(task, "runner", Outcome("completed", ANSWERED), False)
    shown = json.loads(gateway.task("ann", session.id, "r1").task_metadata)
    assert shown["status"] == "completed"


# Abandoned tasks


def test_a_read_settles_what_nobody_runs_any_more(gateway, ledger):
    session = gateway.create("ann")
    save(gateway, session, "t0")
    accept(ledger, session, ttl=-1000)
    calls = []

    def settle(user_id: str, session_id: str, task_id: str) -> None:
        calls.append((user_id, session_id, task_id))
        task = ledger.find(user_id, task_id)
        assert task is not None and ledger.settle(task, Outcome("interrupted", ANSWERED))

    gateway.settle = settle
    statuses = [task.status for task in gateway.tasks("ann", session.id)]
    assert statuses == ["completed", "interrupted"]
    assert calls == [("ann", session.id, "r1")]
    assert gateway.task("ann", session.id, "r1").status == "interrupted"
    assert len(calls) == 1


def test_a_single_task_and_the_messages_are_settled_too(gateway, ledger):
    def settle(user_id: str, session_id: str, task_id: str) -> None:
        task = ledger.find(user_id, task_id)
        assert task is not None
        ledger.settle(task, Outcome("interrupted", ANSWERED))

    gateway.settle = settle
    one, two = gateway.create("ann"), gateway.create("ann")
    accept(ledger, one, "r1", ttl=-1000)
    accept(ledger, two, "r2", ttl=-1000)
    assert gateway.task("ann", one.id, "r1").status == "interrupted"
    assert [m.message for m in gateway.messages("ann", two.id)] == ["Hello", "Good day"]


def test_the_history_can_be_read_while_an_agents_database_is_away(gateway, ledger):
    session = gateway.create("ann")
    accept(ledger, session, ttl=-1000)

    def settle(user_id: str, session_id: str, task_id: str) -> None:
        raise StorageUnavailable("The database cannot be reached. Please retry.")

    gateway.settle = settle
    assert [task.status for task in gateway.tasks("ann", session.id)] == ["waiting"]


def test_a_task_that_is_run_is_not_settled(gateway, ledger):
    session = gateway.create("ann")
    run(ledger, session)
    gateway.settle = lambda *ids: pytest.fail("it is running")
    assert gateway.task("ann", session.id, "r1").status == "running"


# Messages


def test_messages_are_the_bubbles_and_keep_their_ids(gateway):
    session = gateway.create("ann")
    bubbles = [
        {"id": "b1", "type": "user", "text": "Hello"},
        {"type": "agent", "text": "Good day"},
        {"id": 7, "text": 5, "parts": [{"text": "in "}, {"kind": "data"}, {"text": "parts"}, 1]},
        {},
    ]
    metadata = '{"agent_name":"one"}'
    task = save(gateway, session, bubbles=json.dumps(bubbles), metadata=metadata)
    found = gateway.messages("ann", session.id)
    assert [(m.id, m.sender_type, m.sender_name, m.message) for m in found] == [
        ("b1", "user", "ann", "Hello"),
        ("t1-1", "agent", "one", "Good day"),
        ("t1-2", "agent", "one", "in parts"),
        ("t1-3", "agent", "one", ""),
    ]
    assert {m.created_time for m in found} == {task.created_time}
    assert found == gateway.messages("ann", session.id)


def test_the_agent_of_a_message_without_metadata(gateway, ledger):
    session = gateway.create("ann")
    save(gateway, session, bubbles='[{"text":"x"}]', metadata='{"agent_name":""}')
    ledger.finish(run(ledger, session), "runner", Outcome("completed", ANSWERED), False)
    assert [m.sender_name for m in gateway.messages("ann", session.id)] == [
        "agent", "ann", "assistant",
    ]  # fmt: skip


def test_search_text_holds_each_text_once_and_only_what_can_be_stored():
    bubbles = '[{"text":"Hello"},{"text":"a\\u0000B"},{"parts":[{"text":"C"}]},{"text":null}]'
    assert history.task_search_text("Hello", bubbles) == "hello\na\ufffdb\nc"
    assert history.task_search_text(None, "[]") == ""


def test_text_that_grows_when_it_is_made_searchable_can_be_stored(gateway):
    session = gateway.create("ann")
    save(gateway, session, message="needle" + "\ufdfa" * 600_000)
    assert gateway.search("ann", "needle").count == 1


# Feedback


def feedback_of(gateway: GatewayService, session: Session) -> t.Any:
    [task] = gateway.tasks(session.user_id, session.id)
    return json.loads(task.task_metadata or "{}").get("feedback")


def test_feedback_is_shown_and_replaced(gateway, database):
    session = gateway.create("ann")
    save(gateway, session, metadata='{"agent_name":"one"}')
    give = {"task_id": "t1", "session_id": session.id}
    gateway.feedback("ann", **give, rating="up", comment="fine")
    assert feedback_of(gateway, session) == {"type": "up", "text": "fine", "submitted": True}
    gateway.feedback("ann", **give, rating="down")
    assert feedback_of(gateway, session) == {"type": "down", "text": "", "submitted": True}
    save(gateway, session, metadata=None)
    assert feedback_of(gateway, session)["type"] == "down"
    count = sa.select(sa.func.count()).select_from(tables.feedback)
    assert database.read(lambda c: c.execute(count).scalar_one()) == 1


def test_feedback_at_the_same_moment(gateway):
    session = gateway.create("ann")
    save(gateway, session)
    give = {"task_id": "t1", "session_id": session.id}
    results = together(*[lambda: gateway.feedback("ann", **give, rating="up")] * 4)
    assert results == [None] * 4


def test_feedback_on_what_is_not_there(gateway):
    session, elsewhere = gateway.create("ann"), gateway.create("ann")
    save(gateway, session)
    cases = [
        ("bob", session.id, "t1", SessionNotFound),
        ("ann", "other", "t1", SessionNotFound),
        ("ann", session.id, "t2", TaskNotFound),
        ("ann", elsewhere.id, "t1", TaskNotFound),
        ("ann", "a b", "t1", InvalidInput),
        ("ann", session.id, "", InvalidInput),
    ]
    for user, place, task, error in cases:
        with pytest.raises(error):
            gateway.feedback(user, task_id=task, session_id=place, rating="up")
    for wrong in ({"rating": "sideways"}, {"rating": "up", "comment": "a\x00"}):
        with pytest.raises(InvalidInput):
            gateway.feedback("ann", task_id="t1", session_id=session.id, **wrong)
    assert feedback_of(gateway, session) is None


# Two users


def test_another_users_session_is_unknown_and_stays_as_it_is(gateway):
    session = gateway.create("ann", session_id="Plan", name="Plans")
    save(gateway, session)
    before = gateway.get("ann", "Plan"), gateway.tasks("ann", "Plan")
    for call in (
        lambda: gateway.get("bob", "Plan"),
        lambda: gateway.rename("bob", "Plan", "x"),
        lambda: gateway.delete("bob", "Plan"),
        lambda: gateway.restore("bob", "Plan"),
        lambda: gateway.viewed("bob", "Plan"),
        lambda: gateway.tasks("bob", "Plan"),
        lambda: gateway.tasks("bob", "Plan", before="t1"),
        lambda: gateway.task("bob", "Plan", "t1"),
        lambda: gateway.messages("bob", "Plan"),
        lambda: gateway.feedback("bob", task_id="t1", session_id="Plan", rating="up"),
    ):
        with pytest.raises(SessionNotFound):
            call()
    assert (gateway.get("ann", "Plan"), gateway.tasks("ann", "Plan")) == before
