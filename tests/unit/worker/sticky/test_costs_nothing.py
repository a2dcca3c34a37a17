"""Where nobody asks for sticky sessions, no process loads them."""

from __future__ import annotations

import subprocess
import sys

import pytest

LOADED = "import sys, {module}; print([name for name in sys.modules if 'sticky' in name or 'handovers' in name])"


@pytest.mark.parametrize("module", ["corepod.worker.worker", "corepod.supervisor.launch.launcher"])
def test_it_is_not_loaded(module: str) -> None:
    said = subprocess.check_output([sys.executable, "-c", LOADED.format(module=module)], text=True)
    assert said == "[]\n"
