"""Every command that docs/commands.md shows does what it says, as it stands there, in its order."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.process.harness import APPS
from tests.waiting import DEADLINE

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.process.harness import Pool

PAGE = Path(__file__).parents[3] / "docs" / "commands.md"
FIRST = "corepod run main:app --name shop --workers 2"


def shown(text: str) -> list[str]:
    """The lines of its code blocks."""
    return [line.strip() for line in text.splitlines() if line.startswith("    ")]


def test_every_command_of_the_page(start: Callable[..., Pool], tmp_path: Path) -> None:
    first, *commands = shown(PAGE.read_text())
    assert first == FIRST
    assert len(commands) > 20
    shutil.copy(APPS / "ok.py", tmp_path / "main.py")
    pool = start(*FIRST.split()[2:], cwd=tmp_path).ready()
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    for command in sorted(commands, key=lambda line: line.startswith("corepod stop")):
        run(command, tmp_path, environment)
    assert pool.wait() == 0


def run(command: str, folder: Path, environment: dict[str, str]) -> None:
    if command.startswith("curl") and shutil.which("curl") is None:
        return
    if " -f " in command:
        with subprocess.Popen(
            ["bash", "-c", f"exec {command}"], cwd=folder, env=environment, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            assert "started" in process.stdout.readline()
            assert process.poll() is None
            process.terminate()
        return
    shell = ["bash", "-c", command]
    done = subprocess.run(
        shell, cwd=folder, env=environment, capture_output=True, text=True, timeout=3 * DEADLINE, check=False
    )
    assert done.returncode == 0, (command, done)
    assert done.stdout or "eval" in command, command


def test_every_command_has_an_example() -> None:
    named = set(re.findall(r"corepod ([a-z]+)", "\n".join(shown(PAGE.read_text()))))
    assert {"ps", "describe", "events", "reload", "restart", "scale", "stop", "completion", "man"} <= named
