"""Control groups for tests, of version 1 or 2, as far as this machine lets them be made."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path("/sys/fs/cgroup")


@contextlib.contextmanager
def control_group(controller: str, version1: dict[str, str], version2: dict[str, str]) -> Iterator[Path]:
    """A group with these files written; skips the test where there is none to be had."""
    old = (ROOT / controller / "cgroup.procs").exists()
    parent, files = (ROOT / controller, version1) if old else (ROOT, version2)
    if os.geteuid() != 0:
        pytest.skip("making a control group needs root")
    group = parent / f"corepod-test-{os.getpid()}"
    try:
        group.mkdir()
        for name, text in files.items():
            (group / name).write_text(text)
    except OSError as error:
        with contextlib.suppress(OSError):
            group.rmdir()
        pytest.skip(f"no control group for {controller} can be made here: {error}")
    try:
        yield group
    finally:
        until(lambda: _removed(group, parent), "an empty group")


def _removed(group: Path, parent: Path) -> bool:
    """Whether the group is gone now. What is left in it is moved; what is just ending may keep it for a moment, also
    where it isn't listed any more."""
    for pid in (group / "cgroup.procs").read_text().split():
        with contextlib.suppress(OSError):
            (parent / "cgroup.procs").write_text(pid)
    try:
        group.rmdir()
    except OSError:
        return False
    return True


def inside(group: Path) -> tuple[str, ...]:
    """In front of a command: it runs in the group."""
    join = f"import os, sys; open({str(group / 'cgroup.procs')!r}, 'w').write(str(os.getpid())); "
    return (sys.executable, "-c", join + "os.execv(sys.argv[1], sys.argv[1:])")
