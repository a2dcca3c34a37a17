"""`corepod logs` finds the log of a pool that has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from corepod.cli import main
from corepod.contract.exits import EXIT_FAILED, EXIT_NO_POOL, EXIT_OK
from corepod.local import logfiles
from corepod.local.commands import logs
from corepod.local.pools import CommandError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The only one with logs, of a user whose pools have all ended: on this machine others may have some."""
    monkeypatch.setattr(logfiles, "folders", lambda environ, uid: [str(tmp_path)])
    find_none(monkeypatch, EXIT_NO_POOL)
    return tmp_path


def find_none(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def find(pool: str | None) -> None:
        raise CommandError("no pool runs here", code)

    monkeypatch.setattr(logs, "find", find)


def test_the_only_log_needs_no_name(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "shop.log").write_text("the last words\n")
    for words in ([], ["shop"], ["shop/0", "-n", "0"]):
        assert main(["logs", *words]) == EXIT_OK
    assert capsys.readouterr().out == "the last words\n" * 2


def test_of_several_a_name_chooses(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("shop", "blog"):
        (folder / f"{name}.log").write_text(f"of {name}\n")
    assert main(["logs"]) == EXIT_NO_POOL
    assert "no pool runs here; there are logs of blog, shop" in capsys.readouterr().err
    assert main(["logs", "blog"]) == EXIT_OK
    assert capsys.readouterr().out == "of blog\n"


def test_without_any_log_it_is_said_what_was_looked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["logs"]) == EXIT_NO_POOL
    assert capsys.readouterr().err.strip() == "corepod: no pool runs here"


def test_another_failure_is_not_hidden_by_logs_that_are_left(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("shop", "blog"):
        (folder / f"{name}.log").touch()
    find_none(monkeypatch, EXIT_FAILED)
    assert main(["logs"]) == EXIT_FAILED
    assert "there are logs of" not in capsys.readouterr().err


def test_a_log_that_rotates_just_now(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """There is no present file for a moment."""
    path = folder / "shop.log"
    monkeypatch.setattr(logs, "find", lambda pool: None)
    monkeypatch.setattr(logs, "get", lambda *asked: {"log": {"to": "file", "path": str(path)}})
    assert main(["logs"]) == EXIT_FAILED
    (folder / "shop.log.1").write_text("the last words\n")
    assert main(["logs"]) == EXIT_OK
    assert capsys.readouterr().out == "the last words\n"
