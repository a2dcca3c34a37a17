"""Programs that start their pool themselves: `corepod.run`, and the examples of docs/configuration.md."""

from __future__ import annotations

import os
import re
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from corepod.contract.exits import EXIT_BOOT

from tests.process.harness import CLIENT, Pool
from tests.process.terminal import Terminal
from tests.procfs import alive
from tests.waiting import DEADLINE, until

if TYPE_CHECKING:
    from collections.abc import Callable

PAGE = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text()
SERVES = """
import atexit, os, sys
import corepod

with open("imports", "a") as file:
    print(__name__, os.getpid(), file=file)

async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": f"{__name__} {os.getcwd()}".encode()})

"""
CALL = "corepod.run(app, bind='127.0.0.1:0', admin='127.0.0.1:0', workers=1, pin='never')\n"
MAIN = f"{SERVES}if __name__ == '__main__':\n    {CALL}    print('never printed')\n"


class Program(Pool):
    """A pool that is started by `python` with these arguments."""

    def words(self, command: str, app: str, *args: str) -> list[str]:
        return [sys.executable, app, *args]


def imports(folder: Path) -> list[str]:
    return (folder / "imports").read_text().splitlines()


def test_the_program_becomes_the_supervisor(start: Callable[..., Pool], tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "shop.py").write_text(MAIN)
    pool = start("scripts/shop.py", kind=Program, cwd=tmp_path, env={"COREPOD_WORKERS": "7"}).ready()
    status = pool.status()
    assert (status["pid"], status["app"], status["name"]) == (pool.process.pid, "shop:app", "shop")
    assert len(status["slots"]) == 1  # the keyword's
    assert pool.get().text == f"shop {tmp_path}"
    pool.signal(signal.SIGHUP)
    pool.until_log("reload: done")
    assert pool.get().text == f"shop {tmp_path}"
    assert pool.stop() == 0
    assert "never printed" not in pool.log
    assert [line.split()[0] for line in imports(tmp_path)].count("__main__") == 1


def test_a_module_of_a_package(start: Callable[..., Pool], tmp_path: Path) -> None:
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "__main__.py").write_text(MAIN)
    pool = start("-m", "web", kind=Program, cwd=tmp_path).ready()
    assert pool.get().text == f"web.__main__ {tmp_path}"


@pytest.mark.parametrize("preload", ["libraries", "application", "nothing"])
def test_without_a_guard_nothing_multiplies(preload: str, start: Callable[..., Pool], tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(SERVES + CALL.replace(")", f", preload='{preload}')"))
    pool = start("shop.py", kind=Program, cwd=tmp_path)
    assert pool.wait(4 * DEADLINE) == EXIT_BOOT  # three interpreters start one after the other
    assert 'call it below if __name__ == "__main__":' in pool.log
    tries = [line.split()[0] for line in imports(tmp_path)]
    assert tries.count("__main__") == 1
    assert 1 <= tries.count("shop") <= 4  # of an import that raises: three, and one that was under way
    until(lambda: not any(alive(int(line.split()[1])) for line in imports(tmp_path)), "the end of all of them")


def test_faults_start_nothing(start: Callable[..., Pool], tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(MAIN.replace("workers=1", "workers=0, backlog=0"))
    pool = start("shop.py", kind=Program, cwd=tmp_path)
    assert pool.wait() == 1
    assert re.search(r"ValueError: workers: '0' is not .*\nbacklog: '0' is not ", pool.log)
    assert len(imports(tmp_path)) == 1


def test_on_a_terminal_it_draws_the_table_and_exits_with_the_code(tmp_path: Path) -> None:
    program = tmp_path / "shop.py"
    program.write_text(MAIN.replace('"imports"', repr(str(tmp_path / "imports"))))  # not in the terminal's folder
    shown = Terminal(command=[sys.executable, str(program)])
    try:
        shown.shows(r"│ +0 │ +(\d+|-) │ +\d+ │ ready")
        shown.process.send_signal(signal.SIGINT)
        assert shown.process.wait(DEADLINE) == 0
        assert "never printed" not in shown.text
    finally:
        shown.close()


# The page


def test_the_example_of_the_page(start: Callable[..., Pool], tmp_path: Path) -> None:
    pytest.importorskip("fastapi")
    shown = re.search(r"<!-- main.py -->\n\n```python\n((?s:.*?))```\n\n    python (.*)\n", PAGE)
    assert shown is not None
    (tmp_path / "main.py").write_text(shown[1].replace(":8000", ":0"))  # others may have that address
    environment = {"COREPOD_PIN": "never", "COREPOD_STANDBY": "none", "COREPOD_ADMIN": "127.0.0.1:0"}
    pool = start(shown[2], kind=Program, cwd=tmp_path, env=environment).ready()
    assert len(pool.status()["slots"]) == 2
    assert CLIENT.get(f"http://127.0.0.1:{pool.port}/").json() == "hello"


def test_the_module_is_the_command_line(start: Callable[..., Pool]) -> None:
    pool = start("-m", "corepod", "--version", kind=Program, cwd=Path(os.sep))
    assert pool.wait() == 0
    assert pool.log.startswith("corepod ")
