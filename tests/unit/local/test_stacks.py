"""What `corepod dump` makes of the lines that a worker has written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from corepod.contract.stacks import NEWEST_FIRST, TASKS, TASKS_END
from corepod.local.stacks import Stacks, collect

if TYPE_CHECKING:
    from corepod.local.client import Client

FRAME = '  File "/app/shop.py", line 31 in report'
# faulthandler's, which knows no names and has the thread that shows them where it happens to be.
SPARE = [f"Thread 0x2 {NEWEST_FIRST}", FRAME, "", f"Current thread 0x1 {NEWEST_FIRST}", FRAME]
THREADS = [f"Current thread 0x1 [MainThread] {NEWEST_FIRST}", FRAME, "", f"Thread 0x2 [pool] {NEWEST_FIRST}", FRAME]
ANSWER = [*THREADS, "", f"{TASKS}1", f"Task [order] {NEWEST_FIRST}", FRAME, TASKS_END]


class Pool:
    """Its only worker has written these lines."""

    name = "shop"

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines

    def post(self, path: str) -> dict[str, Any]:
        return {}

    def get(self, path: str) -> dict[str, Any]:
        return {"workers": [{"worker": 1, "slot": 0, "pid": 0, "lines": self._lines}]}


def collected(lines: list[str]) -> Stacks:
    client: Client = Pool(lines)  # type: ignore[assignment]
    (found,) = collect(client, "0", 0.01)
    return found


@pytest.mark.parametrize("lines", [ANSWER, [*SPARE, *ANSWER], [*ANSWER, *SPARE], [*ANSWER, *ANSWER]])
def test_each_thread_and_task_is_there_once(lines: list[str]) -> None:
    """Also where the interpreter was late, and has been asked in both ways."""
    found = collected(lines)
    assert [group.title for group in found.threads] == ["Current thread 0x1 [MainThread]", "Thread 0x2 [pool]"]
    assert found.tasks is not None
    assert [(group.title, group.size) for group in found.tasks] == [("Task [order]", 1)]


def test_of_an_interpreter_that_does_not_answer_there_are_threads_and_no_tasks() -> None:
    found = collected(SPARE)
    assert (found.answered, len(found.threads), found.tasks) == (True, 2, None)
