"""The applications of docs/workers-and-state.md, as they stand there: one of several workers leads."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.process.harness import Pool

PAGE = (Path(__file__).parents[2] / "docs" / "workers-and-state.md").read_text()
SHOWN = dict(re.findall(r"<!-- (\w+)\.py -->\n\n```python\n((?s:.*?))```", PAGE))


def test_the_page_shows_two() -> None:
    assert sorted(SHOWN) == ["jobs", "reminders"]


@pytest.mark.parametrize("name", SHOWN)
def test_one_worker_does_the_work(name: str, start: Callable[..., Pool], tmp_path: Path) -> None:
    (tmp_path / f"{name}.py").write_text(SHOWN[name])
    pool = start(f"{name}:app", "-w", "2", "--pin", "never", "--standby", "none", cwd=tmp_path).ready()
    pool.until_log("sending reminders")
    leader = pool.status()["leader"]
    assert leader in {slot["pid"] for slot in pool.status()["slots"]}
    if name == "jobs":
        for answer in ("leads", "follows"):
            until(lambda: pool.get().text == answer, f"a worker that {answer}")  # noqa: B023
    assert pool.log.count("sending reminders") == 1
    assert pool.stop() == 0
