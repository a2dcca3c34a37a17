"""Each test has a runtime folder of its own, and so never sees the pools of another one."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.process.container import without_private_mounts

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """XDG_RUNTIME_DIR. Not below tmp_path: the address of a Unix socket has 107 bytes at most."""
    folder = Path(tempfile.mkdtemp(prefix="rt-"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def alone() -> tuple[str, ...]:
    """The beginning of a command that sees neither the pools of the system nor abstract sockets."""
    if why := without_private_mounts():
        pytest.skip(why)
    return ("unshare", "--mount", "--net", "sh", "-c", 'mount -t tmpfs none /run && exec "$@"', "sh")
