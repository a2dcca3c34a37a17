"""The access log in a file: raw lines, whoever rotates it, and never a reason for a request to fail."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from corepod.contract.exits import EXIT_APP, EXIT_SETTINGS

from tests.process.anotheruser import executed_by, python_of
from tests.process.harness import APPS
from tests.unit.clf import CLF
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.process.harness import Pool

    Start = Callable[..., Pool]

TWO = ("--workers", "2", "--pin", "never", "--lame-duck", "0")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "access.log"


def arrives(pool: Pool, path: Path) -> None:
    """A request that is made now has a line in the file of this name, or one soon after it."""

    def there() -> bool:
        assert pool.get("/").status_code == 200
        return path.exists() and bool(path.read_text())

    until(there, lambda: f"a line in {path}\n{pool.log}")


def test_lines_are_whole_and_raw(start: Start, path: Path) -> None:
    flags = ("--access-log-file", str(path), "--log-prefix", "always")
    pool = start("ok:app", *TWO, *flags, umask=0o022).ready()
    assert path.stat().st_mode & 0o777 == 0o640
    for _ in range(20):
        assert pool.get("/?a=b").status_code == 200
    until(lambda: path.read_text().count("\n") == 20, "a line for each")
    assert all(map(CLF.fullmatch, path.read_text().splitlines()))
    assert "GET /?a=b" not in pool.log


@pytest.mark.parametrize("signum", [None, signal.SIGUSR1, signal.SIGUSR2])
def test_rotated_by_others(start: Start, path: Path, signum: int | None) -> None:
    """A rename, a rename that makes the next one, and a truncation."""
    pool = start("ok:app", *TWO, "--access-log-file", str(path), "--access-log-format", "%(U)s %(p)s").ready()
    dumps = pool.log.count("stacks:")  # of a start that took long
    for create in (False, True):
        arrives(pool, path)
        path.rename(path.with_suffix(f".{create}"))
        if create:
            path.touch()
        if signum is not None:
            pool.signal(signum)
        arrives(pool, path)
    os.truncate(path, 0)
    arrives(pool, path)
    assert b"\0" not in path.read_bytes(), "no hole where the lines before were"
    assert pool.log.count("stacks:") == dumps
    assert "can't" not in pool.log


def test_json_stays_json(start: Start, path: Path) -> None:
    pool = start("ok:app", *TWO, "--access-log-file", str(path), "--log-format", "json").ready()
    arrives(pool, path)
    assert json.loads(path.read_text().splitlines()[0])["status"] == 200


def test_a_folder_that_goes_away_fails_no_request(start: Start, path: Path) -> None:
    folder = path.parent / "logs"
    folder.mkdir()
    pool = start("ok:app", *TWO, "--access-log-file", str(folder / "a"), "--workers", "1").ready()
    arrives(pool, folder / "a")

    def gone() -> bool:
        """A line that comes late makes the file anew."""
        with contextlib.suppress(OSError):
            (folder / "a").unlink(missing_ok=True)
            folder.rmdir()
        return not folder.exists()

    until(gone, "the folder is gone")

    def told() -> bool:
        assert pool.get("/").status_code == 200
        return "can't be opened: No such file or directory" in pool.log

    until(told, "it is said")
    folder.mkdir()
    arrives(pool, folder / "a")
    assert pool.log.count("can't be opened") == 1


def test_a_full_disk_fails_no_request(start: Start) -> None:
    pool = start("ok:app", *TWO, "--access-log-file", "/dev/full", "--workers", "1").ready()
    for _ in range(5):
        assert pool.get("/").status_code == 200
    pool.until_log("the access log /dev/full can't be written: No space left on device")
    assert pool.log.count("can't be written") == 1


def test_a_file_that_cannot_be_written(start: Start, tmp_path: Path) -> None:
    for place, said in ((tmp_path / "none" / "log", "there is no folder"), (tmp_path, "Is a directory")):
        pool = start("ok:app", *TWO, "--access-log-file", str(place))
        assert pool.wait() in (EXIT_SETTINGS, EXIT_APP)
        assert said in pool.log


@pytest.fixture
def of_root() -> Iterator[Path]:
    """A folder in which others may read; those of the tests are closed to them."""
    with tempfile.TemporaryDirectory(prefix="corepod-") as made:
        os.chmod(made, 0o755)
        yield Path(made)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may run workers as another user")
def test_another_user(start: Start, of_root: Path) -> None:
    """It may not make files in the folder, and the file that is made for it is its own."""
    python, environment = python_of(65534)
    path, flags = of_root / "access.log", ("--user", "65534", "--control", "none")
    more = {"prefix": executed_by(python), "env": environment, "cwd": of_root}
    (of_root / "ok.py").write_text((APPS / "ok.py").read_text())
    pool = start("ok:app", *TWO, "--access-log-file", str(path), *flags, **more).ready()
    assert path.stat().st_uid == 65534
    arrives(pool, path)
    path.rename(path.with_suffix(".1"))
    pool.signal(signal.SIGUSR1)
    arrives(pool, path)
    assert path.stat().st_uid == 65534


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may run workers as another user")
def test_a_file_of_somebody_else(start: Start, of_root: Path) -> None:
    """It stays whose it is: a link to it could be the workers' own."""
    python, environment = python_of(65534)
    path = of_root / "access.log"
    path.touch(0o600)
    flags = ("--user", "65534", "--control", "none")
    pool = start("ok:app", *TWO, "--access-log-file", str(path), *flags, prefix=executed_by(python), env=environment)
    assert pool.wait() == EXIT_APP
    assert f"workers can't write to the access log {path} (access_log_file): Permission denied" in pool.log
    assert path.stat().st_uid == 0
