"""A stream gives every listener the same text, wherever it begins to listen."""

from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st

from flask_mesh_sessions.gateway.records import ChatTask
from flask_mesh_sessions.runtime.stream import Delta, Done, Reset, Step, Stream

TASK = ChatTask(
    task_id="t",
    session_id="s",
    user_message="",
    message_bubbles="[]",
    task_metadata=None,
    created_time=0,
    updated_time=None,
    agent="a",
    status="completed",
)


def heard(steps: list[Step], text: str = "") -> str:
    """What a listener shows in the end."""
    for step in steps:
        match step:
            case Delta(more, _):
                text += more
            case Reset(_):
                text = ""
    return text


# None stands for a reset.
spoken = st.lists(st.one_of(st.none(), st.text(max_size=4)), max_size=12)


@given(spoken, st.data())
def test_a_listener_may_begin_anywhere(pieces: list[str | None], data: st.DataObject) -> None:
    stream = Stream()
    join_after = data.draw(st.integers(0, len(pieces)))
    position, shown = 0, ""
    for number, piece in enumerate(pieces):
        if number == join_after:
            position, shown = stream.snapshot()
        if piece is None:
            stream.reset()
        else:
            stream.emit(piece)
    if join_after == len(pieces):
        position, shown = stream.snapshot()
    stream.finish(TASK)
    steps = list(stream.follow(position, 1))
    assert steps[-1] == Done(TASK)
    assert heard(steps, shown) == stream.text == heard(list(stream.follow(0, 1)))


@given(spoken, st.integers(-1, 12))
def test_stored_pieces_say_the_same(pieces: list[str | None], split: int) -> None:
    stream, stored, seen = Stream(), [], -1
    for number, piece in enumerate(pieces):
        if piece is None:
            stream.reset()
        else:
            stream.emit(piece)
        if number == split:
            stored += stream.pieces(seen)
            seen = stored[-1].seq if stored else -1
    stored += stream.pieces(seen)
    copy = Stream()
    for stored_piece in stored:
        if stored_piece.reset:
            copy.reset()
        copy.emit(stored_piece.text)
    assert [p.seq for p in stored] == sorted({p.seq for p in stored})
    assert copy.text == stream.text


def test_nothing_can_be_added_to_a_finished_stream() -> None:
    stream = Stream()
    stream.emit("a")
    stream.finish(TASK)
    stream.emit("b")
    assert stream.text == "a"


def test_a_listener_gets_signs_of_life() -> None:
    stream = Stream()
    steps = stream.follow(0, 0.01)
    assert next(steps) is None
    stream.emit("a")
    assert next(steps) == Delta("a", 1)


def test_many_listeners_hear_all_of_it() -> None:
    stream = Stream()
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda: found.append(heard(list(stream.follow(0, 5)))))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for number in range(200):
        stream.emit(f"{number} ")
    stream.finish(TASK)
    for thread in threads:
        thread.join(20)
    assert found == [stream.text] * 8
