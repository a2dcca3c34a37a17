"""`corepod hit` against a real pool."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.waiting import DEADLINE

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.process.harness import Pool

HIT = (sys.executable, "-m", "corepod", "hit")


def hit(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*HIT, *arguments], capture_output=True, text=True, timeout=DEADLINE, check=False)


@pytest.fixture(scope="module")
def nothing() -> str:
    return "http://127.0.0.1:1/"


def test_each_request_with_its_latency_and_who_answered(start: Callable[..., Pool]) -> None:
    pool = start("corepod.demo:app", "--workers", "2", "--pin", "never").ready()
    url = f"http://127.0.0.1:{pool.port}/whoami"
    rows = json.loads(hit(url, "-c", "3", "-n", "2", "--json").stdout)
    assert [(row["client"], row["request"]) for row in rows] == [(c, n) for c in (1, 2, 3) for n in (1, 2)]
    pids = {slot["pid"] for slot in pool.status()["slots"]}
    assert {row["pid"] for row in rows} <= pids
    assert all(row["outcome"] == "ok" and row["seconds"] > 0 for row in rows)
    shown = hit(url, "-c", "2", "--keep-alive")
    assert shown.returncode == 0
    assert "2 of 2 answered" in shown.stdout
    assert any(str(pid) in shown.stdout for pid in pids)


def test_failures_are_named_and_set_the_exit_code(nothing: str) -> None:
    done = hit(nothing, "-c", "2")
    assert done.returncode == 1
    assert "0 of 2 answered, 2 refused" in done.stdout


@pytest.mark.parametrize(
    "arguments", [(), ("nonsense",), ("http://127.0.0.1:1/", "-c", "0"), ("http://nobody.invalid/",)]
)
def test_bad_arguments(arguments: tuple[str, ...]) -> None:
    done = hit(*arguments)
    assert done.returncode == 2
    assert "corepod hit" in done.stderr


def test_without_the_extra_it_says_what_to_install() -> None:
    code = "import sys; sys.modules['rich'] = None; from corepod.cli import main; main(['hit', 'http://127.0.0.1:1/'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert done.returncode == 2
    assert "pip install 'corepod[loadtest]'" in done.stderr
