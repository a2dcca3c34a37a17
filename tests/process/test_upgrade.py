"""Another version of corepod is installed while a pool runs: the supervisor goes on as what it is, commands say what is
the matter, and workers of the other version serve or leave the old ones serving."""

from __future__ import annotations

import os
import shutil
import signal
from typing import TYPE_CHECKING

import corepod
import pytest
from corepod.contract.exits import EXIT_FAILED, EXIT_NO_POOL

from tests.process.background import ONE, Machine, get
from tests.process.harness import CLIENT
from tests.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

STRANGE = "raise ImportError('this is of another version')\n"


class Installation:
    """A copy of the package, which a pool is started from."""

    def __init__(self, folder: Path) -> None:
        self._package = folder / "corepod"
        shutil.copytree(corepod.__path__[0], self._package, ignore=shutil.ignore_patterns("__pycache__"))
        # No bytecode: two versions of one length written in one second would be told apart by nothing.
        self.env = {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}

    def bend(self, name: str, old: str, new: str) -> None:
        """Put `new` in place of `old` in a module."""
        path = self._package / name
        text = path.read_text()
        assert old in text
        self._replace(path, text.replace(old, new))

    def spoil(self, *rooms: str) -> None:
        """No module of these rooms can be imported any more."""
        for room in rooms:
            for path in (self._package / room).rglob("*.py"):
                self._replace(path, STRANGE)

    @staticmethod
    def _replace(path: Path, text: str) -> None:
        path.with_suffix(".new").write_text(text)
        path.with_suffix(".new").rename(path)  # somebody may be importing it


@pytest.fixture
def installed(tmp_path: Path) -> Installation:
    return Installation(tmp_path / "installed")


def test_the_supervisor_needs_nothing_more_of_its_package(user: Machine, installed: Installation) -> None:
    """Also for what it is asked for the first time."""
    started = user.start("ok:app", *ONE, env=installed.env)
    installed.spoil("supervisor", "contract", "cpu")
    client = user.client()
    assert client.get("/slot?slot=0")["processes"]
    page = CLIENT.get(f"http://{started['admin']}/")
    assert page.status_code == 200, page.text
    for command in ("describe", "events", "logs", "dump", "ps"):
        done = user.corepod(command, *([user.name] if command != "ps" else []))
        assert done.returncode == 0, done.stderr
    assert client.post("/scale?to=2")
    until(lambda: sum(slot["ready"] for slot in user.status()["slots"]) == 2, "two workers")
    assert user.status()["pid"] == started["pid"]
    assert "internal error" not in user.log().read_text()


@pytest.mark.parametrize("app", ["ok:app", "wsgi_app:app"])
def test_a_worker_that_dies_is_replaced_by_one_of_the_old_version(
    user: Machine, installed: Installation, app: str
) -> None:
    """Forked, with all that it needs in memory."""
    user.start(app, *ONE, env=installed.env)
    [slot] = user.status()["slots"]
    installed.spoil("worker", "supervisor", "contract", "config", "cpu")
    os.kill(slot["pid"], signal.SIGKILL)
    until(lambda: (now := user.status()["slots"][0])["ready"] and now["worker"] != slot["worker"], "another worker")


OTHERS = {
    "the same but for its version": [],
    "needs a setting more": [("worker/settings.py", "    loop: str\n", "    loop: str\n    quic: bool\n")],
    "has another message": [("contract/messages.py", "    role: str", "    quic: bool\n    role: str")],
}


@pytest.mark.parametrize("bent", OTHERS.values(), ids=OTHERS)
def test_a_reload_into_another_version(
    user: Machine, installed: Installation, bent: list[tuple[str, str, str]]
) -> None:
    """The old workers go on serving; what is to be done is said to whoever asked for the reload."""
    started = user.start("ok:app", *ONE, env=installed.env)
    [before] = user.status()["slots"]
    for one in [("__init__.py", f'"{corepod.__version__}"', '"99.0"'), *bent]:
        installed.bend(*one)
    done = user.corepod("reload", user.name, "--wait")
    assert done.returncode == EXIT_FAILED
    assert "corepod 99.0 is installed by now" in done.stderr
    assert "stop the pool and start it again" in done.stderr
    [after] = user.status()["slots"]
    assert (after["worker"], after["ready"]) == (before["worker"], True)
    assert get(started, "/pid") == before["pid"]


OLDER = f"{{}} runs corepod 0.0.1, and this is corepod {corepod.__version__}: stop and start such a pool to upgrade it"


@pytest.mark.parametrize(
    ("module", "known", "words", "code"),
    [
        ("supervisor/admin/commands.py", '"/slot":', ("describe", "{}/0"), EXIT_NO_POOL),
        ("supervisor/admin/status.py", '"reloads":', ("reload", "{}", "--wait"), EXIT_FAILED),
    ],
)
def test_a_command_and_a_pool_of_an_older_version(
    user: Machine, installed: Installation, module: str, known: str, words: tuple[str, ...], code: int
) -> None:
    """It doesn't know what it is asked for, or it answers in another way."""
    installed.bend("__init__.py", f'"{corepod.__version__}"', '"0.0.1"')
    installed.bend(module, known, '"formerly":')
    user.start("ok:app", *ONE, env=installed.env)
    done = user.corepod(*(word.format(user.name) for word in words))
    assert done.returncode == code, done.stderr
    assert OLDER.format(user.name) in done.stderr
    assert "Traceback" not in done.stderr
