"""make balancing, in a short form: every system answers everything, and the file says so."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from loadtest.bench.balancing.measured import compare, stored
from tests.e2e.kube import run

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.e2e
LIMIT = 600.0  # seconds: four releases, one after the other
SHORT = "--rounds 1 --seconds 8 --pods 3 --fronts 1 --services exp --loads 0.5"


@pytest.mark.timeout(LIMIT + 60, method="signal")
def test_all_systems_are_measured(tmp_path: Path) -> None:
    path = tmp_path / "pods.json"
    said = run(sys.executable, "-m", "tests.e2e.balancing", *SHORT.split(), "--json", str(path), deadline=LIMIT)
    assert "front, concurrency 1" in said
    [cell] = stored(path)["cells"]
    assert set(cell["failed"].values()) == {0}, json.dumps(cell)
    assert {one.system for one in compare(stored(path), 3)} == {"least", "queue", "pool"}
