"""The commands of docs/balancing.md that need no cluster run as they stand there."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.process.harness import Pool

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/balancing.md").read_text()
MEASURE = PAGE.partition("## How to measure it")[2]
COMMANDS = [line.strip() for line in MEASURE.splitlines() if line.startswith("    ")]
ADDRESS = "http://127.0.0.1:8000"
INVALID, FAILED = 4, 1  # a busy machine is slow or late: this isn't what is tested


def test_the_page_shows_both_ways() -> None:
    assert [command.split()[0] for command in COMMANDS] == ["make", "locust"]


@pytest.mark.timeout(240)
def test_arrivals_reach_a_pool(start: Callable[..., Pool], tmp_path: Path) -> None:
    pool = start("corepod.demo:app", "--workers", "1", cwd=tmp_path).ready()
    (tmp_path / "loadtest").symlink_to(ROOT / "loadtest")
    [shown] = [command for command in COMMANDS if command.startswith("locust")]
    command = shlex.split(shown.replace(ADDRESS, f"http://127.0.0.1:{pool.port}"))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    said = done.stdout + done.stderr
    assert done.returncode in (0, FAILED, INVALID), said
    assert re.search(r"arrivals, new connection +[1-9]", said), said
