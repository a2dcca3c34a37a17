"""What .ci/run does in which order, and what becomes of a failure: run as it is, with stand-ins for what takes long."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.procfs import alive
from tests.waiting import DEADLINE, until

SCRIPT = Path(__file__).parents[3] / ".ci" / "run"
pytestmark = pytest.mark.skipif(not SCRIPT.exists(), reason="a distribution of the sources has no .ci/run")

# Each target is a line in `calls`. The unit tests of other Pythons go on when the tests on the cluster have begun, and
# these end when the others have: so neither waits for the other's end.
MAKE = r"""#!/bin/bash
seen() { for _ in {1..600}; do [ ! -e "$STAGE/$1" ] || return 0; sleep 0.05; done; echo "never seen: $1"; exit 1; }
echo "make $*" >>"$STAGE/calls"
case "$*" in
  *bin/actionlint) mkdir -p .venv/bin && touch .venv/bin/actionlint ;;
  "test-unit "*) echo $$ >"$STAGE/unit.new" && mv "$STAGE/unit.new" "$STAGE/unit"; echo "first of the units"
    [ "$HANG" = "" ] || exec sleep 100
    seen e2e; echo "last of the units" ;;
  kind-up) seen unit ;;
  e2e) touch "$STAGE/e2e"; echo "the tests on the cluster" ;;
esac
[[ -z $FAIL || "$*" != $FAIL ]]
"""
CLUSTER = r"""#!/bin/bash
echo "cluster $*" >>"$STAGE/calls"
case "$1" in exec) shift; exec "$@" ;; python) shift 2; exec "$@" ;; esac
"""


class Stage:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        programs, checkout, self.temporary = folder / "bin", folder / "checkout", folder / "tmp"
        for made in (programs, checkout / ".ci", folder / "shared/cluster", folder / "cache/bin", self.temporary):
            made.mkdir(parents=True)
        self.script = Path(shutil.copy(SCRIPT, checkout / ".ci" / "run"))
        stands = {programs / "make": MAKE, folder / "shared/cluster/cluster": CLUSTER, programs / "kubectl": ""}
        stands |= {programs / "git": "#!/bin/sh\necho 0\n", folder / "cache/bin/helm": ""}
        for path, text in stands.items():
            path.write_text(text)
            path.chmod(0o755)
        shutil.copy(shutil.which("true") or "", programs / "nginx")

    def run(self, fail: str = "", hang: str = "") -> subprocess.CompletedProcess[str]:
        told = {"STAGE": str(self.folder), "FAIL": fail, "HANG": hang, "TMPDIR": str(self.temporary)}
        path = f"{self.folder / 'bin'}:{os.environ['PATH']}"
        environment = {**os.environ, **told, "PATH": path, "CLUSTER_CACHE": str(self.folder / "cache")}
        done = subprocess.run(
            [self.script], env=environment, capture_output=True, text=True, timeout=4 * DEADLINE, check=False
        )
        assert self.calls()[-1] == "cluster down", done.stderr
        assert not list(self.temporary.iterdir())
        return done

    def calls(self) -> list[str]:
        return (self.folder / "calls").read_text().splitlines()


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def test_unit_tests_of_other_pythons_run_beside_those_on_the_cluster(stage: Stage) -> None:
    done = stage.run()
    assert done.returncode == 0, done.stdout + done.stderr
    units = [call for call in stage.calls() if call.startswith("make test-unit FULL=1")]
    assert len(units) in (1, 2)
    assert done.stdout.count("first of the units\nlast of the units\n") == len(units)
    assert done.stdout.index("the tests on the cluster") < done.stdout.index("first of the units")
    assert any(call.startswith("make test FULL=1") for call in stage.calls())


def test_a_failure_beside_them_fails_the_run(stage: Stage) -> None:
    done = stage.run(fail="test-unit *")
    assert done.returncode != 0
    assert "the tests on the cluster\n" in done.stdout
    assert "first of the units\nlast of the units\n== failed" in done.stdout
    assert sum(call.startswith("make test-unit") for call in stage.calls()) == 1, "the first one that fails ends it"


def test_a_failure_on_the_cluster_fails_the_run_and_hides_no_other(stage: Stage) -> None:
    done = stage.run(fail="e2e")
    assert done.returncode != 0
    assert "last of the units\n" in done.stdout


@pytest.mark.parametrize("target", ["lint", "test FULL=1*"])
def test_what_fails_before_ends_the_run(stage: Stage, target: str) -> None:
    assert stage.run(fail=target).returncode != 0
    assert "make e2e" not in stage.calls()


def test_what_runs_beside_ends_with_a_run_that_fails(stage: Stage) -> None:
    assert stage.run(fail="kind-up", hang="1").returncode != 0
    pid = int((stage.folder / "unit").read_text())
    until(lambda: not alive(pid), "the unit tests are ended")
