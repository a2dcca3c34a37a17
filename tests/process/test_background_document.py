"""The commands of docs/background.md, and of the README that steer a pool, as they stand there, in their order."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.process.background import machine
from tests.waiting import DEADLINE, until

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "background.md"
README = ROOT / "README.md"
APPLICATION = """
async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})
"""


def commands(text: str) -> list[str]:
    return re.findall(r"^    (corepod .*)$", text, re.MULTILINE)


def test_the_page_has_commands() -> None:
    assert len(commands(PAGE.read_text())) > 5
    assert commands("\n    corepod a\n    other\n`corepod b`\ncorepod c\n") == ["corepod a"]


def of_readme(text: str) -> list[str]:
    """The commands of the README from the start of a pool to its end. Others are tried by tests/process/test_dev.py and
    tests/process/test_readme.py."""
    shown = commands(text)
    first = next(at for at, line in enumerate(shown) if line.startswith("corepod start"))
    last = next(at for at, line in enumerate(shown) if line.startswith("corepod stop"))
    return shown[first : last + 1]


def test_the_readme_shows_the_life_of_a_pool() -> None:
    named = {line.split()[1] for line in of_readme(README.read_text())}
    assert named >= {"start", "ps", "top", "logs", "reload", "stop"}
    assert of_readme("    corepod run a\n    corepod start a\n    corepod ps\n    corepod stop a\n    corepod b\n") == [
        "corepod start a",
        "corepod ps",
        "corepod stop a",
    ]


@pytest.mark.serial
@pytest.mark.parametrize(
    "shown",
    [pytest.param(commands(PAGE.read_text()), id="page"), pytest.param(of_readme(README.read_text()), id="readme")],
)
def test_every_command_works(shown: list[str], tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(APPLICATION)
    with machine(tmp_path) as user:
        del user.environment["COREPOD_NAME"]
        program = Path(sys.executable).with_name("corepod")
        environment = {**user.environment, "PATH": f"{program.parent}:{os.environ['PATH']}", "COREPOD_PIN": "never"}
        environment["COREPOD_BIND"] = "127.0.0.1:0"  # others may have the default one
        output, errors = tmp_path / "output", tmp_path / "errors"
        for command in shown:
            with output.open("wb") as out, errors.open("wb") as err:
                # The pools have names that no other pool of this machine has: no second one of a name is started.
                own = re.sub(r"\b(shop|small)\b(?!\.)", rf"\1{user.name}", command)
                words = ["bash", "-c", f"exec {own}"]
                process = subprocess.Popen(words, cwd=tmp_path, env=environment, stdout=out, stderr=err)
            follows = " -f" in command
            if follows:
                until(output.read_text, "the last lines of the log")
                process.send_signal(signal.SIGINT)
            code = process.wait(2 * DEADLINE)
            assert code == (130 if follows else 0), (command, errors.read_text())
            assert output.read_text(), command
