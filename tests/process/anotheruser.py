"""An interpreter for workers that run as another user: that of the tests may lie in a folder of root's."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.process.harness import APPS


def python_of(uid: int) -> tuple[str, dict[str, str]]:
    """An interpreter that this user may read, and the environment it needs to find the same packages."""
    paths = [p for p in sys.path if p.endswith("site-packages")] + [str(APPS.parents[1] / "app")]
    environment = {"PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1"}
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    for python in (sys.executable, f"/usr/bin/python{version}", f"/usr/local/bin/python{version}"):
        try:
            command = [python, "-c", "import secrets, hypercorn"]
            subprocess.run(command, user=uid, group=uid, env=environment, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            continue
        return python, environment
    pytest.skip(f"no Python {version} here that another user may read")


def executed_by(python: str) -> tuple[str, ...]:
    """In front of a command of this interpreter: another one executes it."""
    return (sys.executable, "-c", f"import os, sys; os.execv({python!r}, [{python!r}, *sys.argv[2:]])")
