"""The applications of docs/shared.md, as they stand there, in pools."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from corepod import shared
from corepod.config.resolve import resolve

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.process.harness import Pool

PAGE = (Path(__file__).parents[2] / "docs" / "shared.md").read_text()
SHOWN = dict(re.findall(r"<!-- (\w+)\.py -->\n\n```python\n((?s:.*?))```", PAGE))
[COMMAND] = re.findall(r"^    corepod run (.*)$", PAGE, re.MULTILINE)


@pytest.fixture
def shown(start: Callable[..., Pool], tmp_path: Path) -> Callable[[str], Pool]:
    def start_pool(name: str) -> Pool:
        (tmp_path / f"{name}.py").write_text(SHOWN[name])
        environment = {"TMPDIR": str(tmp_path), "STATE_DIRECTORY": "", "COREPOD_SHARED_TIMEOUT": "30"}
        app, *flags = COMMAND.replace("shop:", f"{name}:").split()
        assert app == f"{name}:app"
        return start(app, *flags, "--pin", "never", "--standby", "none", cwd=tmp_path, env=environment).ready()

    return start_pool


def test_all_examples_are_tried() -> None:
    assert sorted(SHOWN) == ["fencing", "scheduler", "shop", "wsgi"]


def test_visits_are_counted_and_limited(shown: Callable[[str], Pool]) -> None:
    pool = shown("shop")
    answers = [pool.get("/visit/ann") for _ in range(4)]
    assert [answer.json() for answer in answers[:3]] == [{"visit": 1}, {"visit": 2}, {"visit": 3}]
    assert answers[3].status_code == 429
    assert 0 < int(answers[3].headers["retry-after"]) <= 1201
    assert pool.get("/last").json() == {"session": "ann", "number": 3}


def test_a_wsgi_application_counts_down(shown: Callable[[str], Pool]) -> None:
    pool = shown("wsgi")
    assert [pool.get().text for _ in range(4)] == ["10", "9", "8", "7"]


def test_one_worker_sends_reminders(shown: Callable[[str], Pool]) -> None:
    pool = shown("scheduler")
    pool.until_log("sending reminders with token ")
    assert pool.log.count("sending reminders") == 1
    assert pool.stop() == 0


def test_a_write_with_an_old_token_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COREPOD_SHARED", f"sqlite://{tmp_path}/state.sqlite")
    monkeypatch.setenv("COREPOD_SHARED_TIMEOUT", "30")
    found: dict[str, Any] = {}
    exec(compile(SHOWN["fencing"], "fencing.py", "exec"), found)

    async def work() -> None:
        async with shared.lock("report") as held:
            old = held.token
        assert await found["report"]("new")
        assert not found["write"]("late", old)
        assert await found["report"]("newer")
        await shared.close()

    asyncio.run(work())
    assert found["db"].execute("SELECT text FROM report").fetchall() == [("newer",)]
    found["db"].close()


def test_the_settings_shown_are_right(tmp_path: Path) -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "corepod.toml").write_text(block)
    values = resolve({}, {}, str(tmp_path / "corepod.toml"), pod=False).values
    assert (values["shared"], values["shared_prefix"]) == ("redis://cache.internal:6379/0", "shop:")
