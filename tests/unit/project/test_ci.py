"""What .ci/run does in which order, and what becomes of a failure: run as it is, with stand-ins for what takes long."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.procfs import alive
from tests.waiting import DEADLINE

SCRIPT = Path(__file__).parents[3] / ".ci" / "run"
pytestmark = pytest.mark.skipif(not SCRIPT.exists(), reason="a distribution of the sources has no .ci/run")

MAKE = r"""#!/bin/bash
echo "make $*" >>"$STAGE/calls"
[[ -z $LEAVES || "$*" != e2e ]] || echo "?? left" >"$STAGE/status"
case "$*" in *bin/actionlint*) mkdir -p .venv/bin && touch .venv/bin/actionlint .venv/bin/oci-registry ;; esac
[[ -z $FAIL || "$*" != $FAIL ]]
"""
CLUSTER = r"""#!/bin/bash
echo "cluster $*" >>"$STAGE/calls"
case "$1" in exec) shift; exec "$@" ;; python) shift 2; exec "$@" ;; esac
"""
# Its process is there for a while before the session is.
SETSID = r"""#!/bin/sh
echo $$ >"$STAGE/session"
sleep 1
exec %s "$@"
"""
GIT = r"""#!/bin/sh
case "$1" in rev-list) echo 0 ;; status) cat "$STAGE/status" ;; esac
"""


class Stage:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        programs, checkout, self.temporary = folder / "bin", folder / "checkout", folder / "tmp"
        for made in (programs, checkout / ".ci", folder / "shared/cluster", folder / "cache/bin", self.temporary):
            made.mkdir(parents=True)
        self.script = Path(shutil.copy(SCRIPT, checkout / ".ci" / "run"))
        stands = {programs / "make": MAKE, folder / "shared/cluster/cluster": CLUSTER, programs / "kubectl": ""}
        stands |= {
            programs / "git": GIT,
            programs / "kind": "#!/bin/sh\n",
            folder / "cache/bin/helm": "",
            folder / "status": "",
        }
        for path, text in stands.items():
            path.write_text(text)
            path.chmod(0o755)
        for server in ("nginx", "redis-server", "haproxy"):
            shutil.copy(shutil.which("true") or "", programs / server)

    def run(self, fail: str = "", leaves: str = "") -> subprocess.CompletedProcess[str]:
        told = {"STAGE": str(self.folder), "FAIL": fail, "LEAVES": leaves, "TMPDIR": str(self.temporary)}
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


def test_everything_runs_once(stage: Stage) -> None:
    done = stage.run()
    assert done.returncode == 0, done.stdout + done.stderr
    targets = [call.split()[1] for call in stage.calls() if call.startswith("make ")]
    assert {"lint", "test", "kind-up", "e2e"} <= set(targets)
    assert len(targets) == len(set(targets)) + (targets.count("test-unit") - 1)
    assert targets.count("test-unit") in (1, 2)


@pytest.mark.parametrize("target", ["lint", "image *", "test FULL=1*", "test-unit *", "kind-up", "e2e"])
def test_what_fails_ends_the_run(stage: Stage, target: str) -> None:
    assert stage.run(fail=target).returncode != 0
    # Those on other Pythons run beside the tests on the cluster.
    assert ("make e2e" in stage.calls()) == (target in ("test-unit *", "e2e"))


def test_what_runs_beside_others_ends_with_the_run_however_early_that_is(stage: Stage) -> None:
    setsid = stage.folder / "bin/setsid"
    setsid.write_text(SETSID % shutil.which("setsid"))
    setsid.chmod(0o755)
    assert stage.run(fail="e2e").returncode != 0
    assert not alive(int((stage.folder / "session").read_text()))


def test_files_that_tests_leave_in_the_checkout_fail_the_run(stage: Stage) -> None:
    done = stage.run(leaves="yes")
    assert done.returncode != 0
    assert done.stderr == "the tests have changed files of the checkout:\n?? left\n"
