"""The log file: what is written is there, whole and once, in files of a bounded size."""

from __future__ import annotations

import os
import resource
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from corepod.local.logfiles import Follower
from corepod.supervisor.io import logfile
from corepod.supervisor.io.logfile import LogFile
from hypothesis import given
from hypothesis import strategies as st

from tests import garbage

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log" / "shop.log"


@pytest.fixture
def limit() -> Iterator[int]:
    """A size that no file of this process can pass: the last write is cut short, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    yield 100
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


def make(path: Path, max_size: int = 0, files: int = 5) -> LogFile:
    return LogFile(str(path), max_size=max_size, files=files, streams=False)


def test_a_line_that_does_not_fit_is_not_there_at_all(path: Path, limit: int) -> None:
    file = make(path)
    assert file.append(b"a" * (limit - 11) + b"\n")
    assert not file.append(b"b" * 20 + b"\n")
    assert file.append(b"c" * 9 + b"\n")
    assert path.read_bytes() == b"a" * (limit - 11) + b"\n" + b"c" * 9 + b"\n"


def test_without_taking_it_back_it_would_be_torn(path: Path, limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LogFile, "_cut", lambda self, size: None)
    file = make(path)
    file.append(b"a" * (limit - 11) + b"\n")
    assert not file.append(b"b" * 20 + b"\n")
    assert path.read_bytes().endswith(b"\nbbbbbbbbbb")


def test_what_another_program_has_put_in_its_place_is_not_renamed(path: Path) -> None:
    """It goes on in the file that has the name, and touches no other one."""
    file = make(path, max_size=10)
    file.append(b"first\n")
    path.rename(path.with_name("elsewhere"))
    path.write_bytes(b"new\n")
    assert file.append(b"second\n")
    assert sorted(p.name for p in path.parent.iterdir()) == ["elsewhere", "shop.log"]
    assert path.read_bytes() == b"new\nsecond\n"


def test_a_link_is_not_renamed(path: Path, tmp_path: Path) -> None:
    path.parent.mkdir()
    path.symlink_to(tmp_path / "target")
    file = make(path, max_size=10)
    for _ in range(3):
        assert file.append(b"a line\n")
    assert path.is_symlink()
    assert (tmp_path / "target").read_bytes() == b"a line\n" * 3


def test_descriptors_do_not_add_up(path: Path) -> None:
    file = make(path, max_size=10, files=2)
    with garbage.kept():  # descriptors of other tests that are given back now would be missing
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(50):
            file.append(b"a line\n")
            file.reopen()
        assert len(os.listdir("/proc/self/fd")) == before


def test_it_is_tried_again_but_not_for_each_line(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    file = make(path)
    path.unlink()
    path.parent.rmdir()
    path.parent.touch()
    assert not file.append(b"lost\n")
    path.parent.unlink()
    assert not file.append(b"lost, too\n")
    now += logfile.PAUSE
    assert file.append(b"back\n")
    assert path.read_bytes() == b"back\n"


WORDS = st.one_of(st.integers(1, 40), st.sampled_from(["look", "rename", "truncated", "restart"]))


@given(steps=st.lists(WORDS, max_size=60), max_size=st.integers(20, 200), start=st.integers(0, 10))
def test_a_reader_sees_each_line_once_and_in_order(steps: list[int | str], max_size: int, start: int) -> None:
    """What was there before it began, from the end, and what came later, whatever happened between two looks."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "shop.log")
        file = make(path, max_size=max_size, files=1000)
        written = [b"%d:%s" % (number, b"x" * number) for number in range(start)]
        for line in written:
            file.append(line + b"\n")
        reader = Follower(str(path))
        assert list(reader.before()) == written[::-1]
        expected: list[bytes] = []
        seen: list[bytes] = []
        renamed = 0
        for number, step in enumerate(steps):
            if isinstance(step, int):
                line = b"%d-%s" % (number, b"y" * step)
                expected.append(line)
                assert file.append(line + b"\n")
            elif step == "look":
                seen += reader.lines()
            elif step == "restart":
                file = make(path, max_size=max_size, files=1000)
            elif step == "rename":
                seen += reader.lines()
                renamed += 1
                path.rename(Path(folder, f"elsewhere-{renamed}"))
                file.reopen()
            else:
                seen += reader.lines()
                os.truncate(path, 0)
                seen += reader.lines()
        seen += reader.lines()
        assert seen == expected
        reader.close()


def test_a_reader_begins_while_the_log_rotates(path: Path) -> None:
    """The present file has been renamed, and the next one isn't made yet."""
    file = make(path, max_size=1000, files=10)
    file.append(b"one\n")
    path.rename(f"{path}.1")
    reader = Follower(str(path))
    assert list(reader.before()) == [b"one"]
    assert list(reader.lines()) == []
    file.reopen()
    file.append(b"two\n")
    assert list(reader.lines()) == [b"two"]
    reader.close()
