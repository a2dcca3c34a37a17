"""Metrics of dead processes, in files that prometheus_client itself has written."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from corepod.supervisor.launch.prometheus import MetricFiles

if TYPE_CHECKING:
    from pathlib import Path

WRITE = """
import os
from prometheus_client import Counter, Gauge
Counter("hits", "h").inc()
for mode in Gauge._MULTIPROC_MODES:
    Gauge(f"gauge_{mode}", "g", multiprocess_mode=mode).set(1)
print(os.getpid())
"""


def written(folder: Path) -> int:
    """The pid of a process that has metrics of every kind, and has ended."""
    env = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(folder)}
    return int(subprocess.check_output([sys.executable, "-c", WRITE], env=env))


def live(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.name.startswith("gauge_live")}


def files(folder: Path, name: str = "PROMETHEUS_MULTIPROC_DIR") -> MetricFiles:
    return MetricFiles({name: folder.name}, str(folder.parent))


def test_those_of_a_dead_process_go_and_everything_else_stays(tmp_path: Path) -> None:
    dead, other = written(tmp_path), written(tmp_path)
    before = {path.name for path in tmp_path.iterdir()}
    assert sum(name.endswith(f"_{dead}.db") for name in live(tmp_path)) == 5
    files(tmp_path).forget(dead)
    gone = before - {path.name for path in tmp_path.iterdir()}
    assert gone == {name for name in before if name.startswith("gauge_live") and name.endswith(f"_{dead}.db")}
    assert any(name.endswith(f"_{other}.db") for name in live(tmp_path))


def test_at_the_start_of_a_pool_those_of_living_processes_stay(tmp_path: Path) -> None:
    written(tmp_path)
    me = os.getpid()
    strange = {f"gauge_livesum_{me}.db", f"counter_{me}.db", "gauge_livesum_x.db", "counter_.db", "gauge_live.txt"}
    strange |= {"notes_1234567.db", "counter_1234567.txt"}
    for name in strange:
        (tmp_path / name).touch()
    files(tmp_path, "prometheus_multiproc_dir").begin_anew()
    assert {path.name for path in tmp_path.iterdir()} == strange


def test_a_zombie_is_dead(tmp_path: Path) -> None:
    zombie = subprocess.Popen(["true"])
    os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
    (tmp_path / f"gauge_liveall_{zombie.pid}.db").touch()
    files(tmp_path).begin_anew()
    assert live(tmp_path) == set()
    zombie.wait()


def test_without_the_variable_or_the_folder_nothing_is_done(tmp_path: Path) -> None:
    for one in (MetricFiles({}, str(tmp_path)), files(tmp_path / "missing")):
        one.begin_anew()
        one.forget(1)
