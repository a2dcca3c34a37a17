"""deploy/kind-up with stand-ins for its tools: what it says of them, and how it shares out the cores."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from corepod.cpu.cores import parse_list

SCRIPT = Path(__file__).parents[2] / "deploy/kind-up"
TOOLS = {
    "docker": 'case "$*" in *NCPU*) echo CORES;; *) echo 28.1.0;; esac',
    "kubectl": "echo Client Version: v1.34.2",
    "helm": "echo v3.19.0+g3d8990f",
    # The configuration lives only as long as the script does.
    "kind": 'case "$1 $2" in "create cluster") cp "$6" "$(dirname "$0")/../config";; "get clusters") ;; *) '
    "echo kind v0.33.0 go1.25;; esac",
}


def kind_up(
    folder: Path, tools: dict[str, str | None] | None = None, cores: int = 8
) -> subprocess.CompletedProcess[str]:
    """Run it with these tools in place of TOOLS; None is one that isn't there."""
    (folder / "bin").mkdir()
    for name, script in {**TOOLS, **(tools or {})}.items():
        if script is not None:
            path = folder / "bin" / name
            path.write_text(f"#!/bin/sh\n{script.replace('CORES', str(cores))}\n")
            path.chmod(0o755)
    for name in ("bash", "sh", "sed", "grep", "sort", "head", "mktemp", "rm", "cp", "dirname", "getconf"):
        (folder / "bin" / name).symlink_to(next(p for d in ("/bin", "/usr/bin") if (p := Path(d, name)).exists()))
    environment = {**os.environ, "PATH": str(folder / "bin")}
    return subprocess.run([SCRIPT, "test"], capture_output=True, text=True, timeout=30, env=environment, check=False)


def reserved(config: dict[str, Any]) -> list[set[int]]:
    """What each node keeps for itself."""
    kubelet = yaml.safe_load(config["kubeadmConfigPatches"][0])
    join = yaml.safe_load(config["nodes"][1]["kubeadmConfigPatches"][0])
    assert kubelet["cpuManagerPolicy"] == "static"
    flags = join["nodeRegistration"]["kubeletExtraArgs"]
    return [set(parse_list(kubelet["reservedSystemCPUs"])), set(parse_list(flags["reserved-cpus"]))]


@pytest.mark.parametrize("cores", [2, 3, 8, 64])
def test_every_core_is_given_away_by_one_node(tmp_path: Path, cores: int) -> None:
    done = kind_up(tmp_path, cores=cores)
    assert done.returncode == 0, done.stderr
    first, second = reserved(yaml.safe_load((tmp_path / "config").read_text()))
    assert first | second == set(range(cores))
    assert not first & second


def test_the_file_itself_suits_two_cores() -> None:
    config = yaml.safe_load((SCRIPT.parent / "kind.yaml").read_text())
    assert reserved(config) == [{1}, {0}]
    assert {node["image"].split("@sha256:")[0] for node in config["nodes"]} == {"kindest/node:v1.34.11"}


@pytest.mark.parametrize(
    ("tools", "says"),
    [
        ({"kind": None}, "kind is missing; install 0.33 or newer: https://kind.sigs.k8s.io"),
        ({"helm": "echo v3.2.0"}, "helm 3.2 is too old; install 3.14 or newer"),
        ({"docker": "exit 1"}, "docker is installed, but its daemon doesn't answer"),
        ({"docker": 'case "$*" in *NCPU*) echo 1;; *) echo 28.1.0;; esac'}, "one core is not enough"),
    ],
    ids=["missing", "old", "no daemon", "one core"],
)
def test_it_says_what_is_wrong(tmp_path: Path, tools: dict[str, str | None], says: str) -> None:
    done = kind_up(tmp_path, tools)
    assert done.returncode == 1
    assert says in done.stderr
    assert not (tmp_path / "config").exists()


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    done = kind_up(tmp_path, {"kind": None, "helm": None})
    assert "kind is missing" in done.stderr
    assert "helm is missing" in done.stderr


def test_a_cluster_that_is_up_is_left_alone(tmp_path: Path) -> None:
    kind = 'case "$1" in get) echo test;; create) exit 9;; *) echo kind v0.33.0;; esac'
    done = kind_up(tmp_path, {"kind": kind})
    assert done.returncode == 0
    assert "the cluster test is up" in done.stdout
