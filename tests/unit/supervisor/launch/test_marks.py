"""What a pid file or a ready file never takes the place of."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from corepod.supervisor.launch.marks import MarkError, PidFile, ReadyFile

if TYPE_CHECKING:
    from pathlib import Path


def make(kind: str, path: Path) -> PidFile | ReadyFile:
    return PidFile(str(path)) if kind == "pid" else ReadyFile(str(path), lambda: True)


@pytest.mark.parametrize("kind", ["pid", "ready"])
@pytest.mark.parametrize("what", ["FIFO", "device", "folder", "document", "link to nothing"])
def test_what_is_something_else_stays_as_it_is(kind: str, what: str, tmp_path: Path) -> None:
    path = tmp_path / "there"
    if what == "FIFO":
        os.mkfifo(path)
    elif what == "device":
        path.symlink_to(os.devnull)
    elif what == "folder":
        path.mkdir()
    elif what == "document":
        path.write_text("1\n" * 1000)
    else:
        path.symlink_to(tmp_path / "nowhere")
    before = path.lstat()
    with pytest.raises(MarkError, match=f"no {kind} file"):
        make(kind, path)
    assert path.lstat() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("kind", ["pid", "ready"])
def test_an_end_without_its_folder(kind: str, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    mark = make(kind, folder / "mark")
    if isinstance(mark, ReadyFile):
        mark.look(0.0)
    assert (folder / "mark").exists()
    (folder / "mark").unlink()
    folder.rmdir()
    mark.remove()
