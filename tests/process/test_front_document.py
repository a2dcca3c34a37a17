"""The commands of docs/front.md, as they stand there, in their order, with a real HAProxy."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.plugins.needs import program
from tests.process.background import machine
from tests.process.test_background_document import APPLICATION
from tests.process.test_placement import APART
from tests.procfs import alive, comm
from tests.waiting import DEADLINE, until

PAGE = Path(__file__).parents[2] / "docs" / "front.md"


def commands(title: str) -> list[str]:
    section = PAGE.read_text().partition(f"## {title}\n")[2].partition("\n## ")[0]
    return re.findall(r"^    (\S.*)$", section, re.MULTILINE)


def test_the_page_has_commands() -> None:
    assert len(commands("Several pools on one machine")) > 8
    assert len(commands("Pools of several machines")) == 1


@pytest.mark.root
@pytest.mark.timeout(360)  # a dozen commands, one after the other
def test_every_command_works(tmp_path: Path) -> None:
    """In a network of their own, where the ports are free."""
    if os.geteuid() != 0:
        pytest.skip("making a network namespace needs root")
    folders = {str(Path(sys.executable).parent): None, os.path.dirname(program("haproxy")): None}
    (tmp_path / "main.py").write_text(APPLICATION)
    shown = commands("Several pools on one machine") + commands("Pools of several machines")
    with machine(tmp_path) as user:
        del user.environment["COREPOD_NAME"]
        path = os.pathsep.join([*folders, os.environ["PATH"]])
        environment = {**user.environment, "PATH": path, "COREPOD_PIN": "never"}
        # The pools have names that no other pool of this machine has.
        script = "\n".join(re.sub(r"\b(blue|green|red)\b", rf"\1-{user.name}", command) for command in shown)
        pools = " ".join(f"{colour}-{user.name}" for colour in ("blue", "green", "red"))
        # In a reload, HAProxy makes the file of its pid anew: for a moment there is none, and then it is empty.
        ends = (
            "until cat haproxy.pid > last.pid && test -s last.pid; do sleep 0.1; done\nkill $(cat last.pid)\n"
            f"for pool in {pools}; do corepod stop $pool --now; done"
        )
        words = [*APART, "/bin/bash", "-ec", f"{script}\n{ends}"]
        output = tmp_path / "output"
        try:
            with output.open("wb") as file:
                done = subprocess.run(
                    words, cwd=tmp_path, env=environment, stdout=file, stderr=file, timeout=10 * DEADLINE, check=False
                )
            assert done.returncode == 0, output.read_text()
            assert output.read_text().count("ok") >= 3, output.read_text()
            pid = int((tmp_path / "last.pid").read_text())
            until(lambda: not alive(pid), "HAProxy has ended")
        finally:
            with contextlib.suppress(FileNotFoundError, ProcessLookupError, ValueError):
                left = int((tmp_path / "haproxy.pid").read_text())
                if comm(left) == "haproxy":
                    os.kill(left, signal.SIGTERM)
