"""What a line of a log says, in each of its forms."""

from __future__ import annotations

import pytest
from corepod.local.loglines import Entry, entries, entries_backwards

TIME = "2026-11-29T19:45:15.012Z"
LINES = [
    f"{TIME} INFO    shop: 2 workers".encode(),
    f"{TIME} ERROR   [worker 3 slot 1 core 5 pid 77] died".encode(),
    b"  | Traceback",
    b"  |   File",
    f"{TIME} worker 3 slot 1 pid 77 | hello | you".encode(),
]


@pytest.mark.parametrize(
    ("lines", "record"),
    [
        ([f"{TIME} INFO    shop: 2 workers"], {"time": TIME, "level": "info", "message": "shop: 2 workers"}),
        (
            [f"{TIME} ERROR   [worker 3 slot 1 core 5 pid 77] died", "  | why"],
            {"time": TIME, "level": "error", "worker": 3, "slot": 1, "core": 5, "pid": 77, "message": "died\nwhy"},
        ),
        (
            [f"{TIME} WARNING [process template pid 9] [odd] text"],
            {"time": TIME, "level": "warning", "process": "template", "pid": 9, "message": "[odd] text"},
        ),
        (
            [f"{TIME} worker 3 slot 1 pid 77 | a | b"],
            {"time": TIME, "worker": 3, "slot": 1, "pid": 77, "message": "a | b"},
        ),
        (["worker 3 slot 1 pid 77 | "], {"time": None, "worker": 3, "slot": 1, "pid": 77, "message": ""}),
        (['{"time": "t", "slot": 0, "x": [1]}'], {"time": "t", "slot": 0, "x": [1]}),
        (['{"cut'], {"time": None, "message": '{"cut'}),
        (["[1, 2]"], {"time": None, "message": "[1, 2]"}),
        (["Fatal Python error"], {"time": None, "message": "Fatal Python error"}),
    ],
)
def test_a_record(lines: list[str], record: dict[str, object]) -> None:
    assert Entry(lines).record() == record


def test_entries_in_both_directions() -> None:
    forth = list(entries(LINES))
    assert [len(entry.lines) for entry in forth] == [1, 3, 1]
    assert list(entries_backwards(reversed(LINES))) == forth[::-1]


@pytest.mark.parametrize(
    ("line", "slot", "about"),
    [
        (f"{TIME} worker 3 slot 1 pid 77 | about slot 0", 1, True),
        (f"{TIME} worker 3 slot 1 pid 77 | about slot 0", 0, False),
        (f"{TIME} WARNING slot 1 is given up", 1, True),
        (f"{TIME} WARNING slot 10 is given up", 1, False),
        (f"{TIME} INFO    [process template pid 9] slot 1", 1, True),
        ("an unnamed line of slot 1", 1, False),
        ('{"slot": 1, "message": "x"}', 1, True),
    ],
)
def test_what_is_about_a_slot(line: str, slot: int, about: bool) -> None:
    assert Entry([line]).is_about(slot) is about
