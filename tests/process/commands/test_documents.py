"""Every command that docs/commands.md shows does what it says, as it stands there, in its order, and so does each of
other pages about a running pool."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from corepod.contract.events import KINDS
from corepod.subcommands import COMMANDS

from tests.process.harness import APPS
from tests.waiting import DEADLINE

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.process.harness import Pool

DOCS = Path(__file__).parents[3] / "docs"
PAGE = DOCS / "commands.md"
FIRST = "corepod run main:app --name shop --workers 2"


def shown(text: str) -> list[str]:
    """The lines of its code blocks."""
    return [line.strip() for line in text.splitlines() if line.startswith("    ")]


HEAD, *SECTIONS = PAGE.read_text().split("\n## ")


def test_the_page_begins_with_its_pool() -> None:
    assert shown(HEAD) == [FIRST]
    assert len(shown(PAGE.read_text())) > 20


@pytest.mark.parametrize("text", [pytest.param(s, id=s.split("\n")[0]) for s in SECTIONS if shown(s)])
def test_every_command_of_the_page(text: str, start: Callable[..., Pool], tmp_path: Path) -> None:
    """A section at a time: one after another the commands take long on a busy machine."""
    shutil.copy(APPS / "ok.py", tmp_path / "main.py")
    pool = start(*FIRST.split()[2:], cwd=tmp_path).ready()
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    for command in shown(text):
        run(command, tmp_path, environment)
    if any(command.startswith("corepod stop") for command in shown(text)):
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


def examples(text: str) -> list[str]:
    return [re.sub(r" +#.*", "", line) for line in shown(text) if line.startswith("corepod ")]


def section(page: str, title: str) -> str:
    return (DOCS / page).read_text().partition(f"## {title}\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize(
    ("text", "count"),
    [((DOCS / "top.md").read_text(), 5), (section("operations.md", "What is a worker doing?"), 3)],
    ids=["top", "dump"],
)
def test_every_command_of_another_page(text: str, count: int, start: Callable[..., Pool], tmp_path: Path) -> None:
    commands = examples(text)
    assert len(commands) == count
    shutil.copy(APPS / "ok.py", tmp_path / "main.py")
    start(*FIRST.split()[2:], cwd=tmp_path).ready()
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    for command in commands:
        words = ["bash", "-c", command]
        done = subprocess.run(
            words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=3 * DEADLINE, check=False
        )
        # Without a name, pools of others count, too: those in /run/corepod, which come and go.
        nameless = command in ("corepod top", "corepod dump") and "shop" in done.stdout + done.stderr
        assert done.returncode == 0 or nameless, (command, done)
        assert done.stdout or done.stderr, command


POD = section("deploy.md", "Commands in a pod")
IN_A_POD = re.findall(r"^    kubectl exec POD -c worker -- (corepod .*?)(?: +#.*)?$", POD, re.MULTILINE)


def test_every_command_in_a_pod(start: Callable[..., Pool], tmp_path: Path) -> None:
    """The image has none of the packages of the extra `local`."""
    assert {command.split()[1] for command in IN_A_POD} >= {"ps", "top", "dump", "reload", "describe", "events"}
    missing = tmp_path / "missing"
    for package in ("rich", "shtab", "watchfiles"):
        (missing / package).mkdir(parents=True)
        (missing / package / "__init__.py").write_text("raise ImportError(__name__)\n")
    shutil.copy(APPS / "ok.py", tmp_path / "main.py")
    start("main:app", "--workers", "1", cwd=tmp_path, command="pid1").ready()
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    environment["PYTHONPATH"] = str(missing)
    for command in IN_A_POD:
        # In a pod there is one pool. Here are those of others, too, in /run/corepod.
        named = "" if command.split()[1] == "ps" else " main"
        run(command.replace(" -f", "") + named, tmp_path, environment)
    words = ["corepod", "top", "main"]
    done = subprocess.run(
        words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=DEADLINE, check=False
    )
    assert (done.returncode, "corepod[local]" in done.stderr) == (2, True), done


def test_every_kind_of_event_is_explained() -> None:
    table = PAGE.read_text().partition("| kind | meaning |")[2].partition("\n\n")[0]
    assert set(re.findall(r"`([a-z-]+)`", re.sub(r"^(\|[^|]*\|).*", r"\1", table, flags=re.MULTILINE))) == set(KINDS)


def test_every_command_is_on_a_page() -> None:
    table = PAGE.read_text().partition("| command | page |")[2].partition("\n\n")[0]
    assert set(re.findall(r"`([a-z0-9]+)`", table)) == set(COMMANDS)


def test_every_command_has_an_example() -> None:
    named = set(re.findall(r"corepod ([a-z]+)", "\n".join(shown(PAGE.read_text()))))
    assert {"ps", "describe", "events", "reload", "restart", "scale", "stop", "completion", "man"} <= named
