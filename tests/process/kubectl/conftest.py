"""Two pods of one Deployment, which are real pools, behind an API server that passes exec and the proxy on to them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tests.process.harness import CLIENT, DEADLINE, Pool, running, until
from tools.fakeapi import FakeApi
from tools.fakeapi.execution import Ended
from tools.fakeapi.objects import deployment, node, pod

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMES = ("web-5d8f-1", "web-5d8f-2")
QUICK = ("--workers", "1", "--pin", "never", "--lame-duck", "0")
FORWARDED = {"X-Forwarded-Uri": "/metrics", "X-Forwarded-Host": "api", "X-Forwarded-Proto": "https"}


class Done(NamedTuple):
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str


class Shop:
    """The cluster, its pools by the names of their pods, and the commands that were run in the pods."""

    def __init__(self, api: FakeApi, pools: dict[str, Pool], folder: Path) -> None:
        self.api, self.pools, self.ran = api, pools, list[tuple[str, list[str]]]()
        self.kubeconfig = str(api.kubeconfig(folder, namespace="shop"))
        api.container, api.pages = self.execute, self.page

    def page(self, name: str, path: str) -> bytes | None:
        """As the API server asks for it, which says so in headers."""
        answer = CLIENT.get(f"http://127.0.0.1:{self.pools[name].admin_port}{path}", headers=FORWARDED)
        return answer.content if answer.status_code == 200 else None

    def execute(self, name: str, container: str, command: list[str]) -> Ended:
        """A pod has one pool, so no name is needed there; here each test has several."""
        assert (container, command[0]) == ("worker", "corepod")
        self.ran.append((name, command))
        words = [sys.executable, "-m", *command[:2], name, *command[2:]]
        done = subprocess.run(words, capture_output=True, timeout=2 * DEADLINE, check=False)
        return Ended(done.returncode, done.stdout, done.stderr)

    def kubectl(self, *words: str, **environment: str) -> Done:
        """`kubectl corepod WORDS`, which kubectl runs as this program."""
        program = Path(sys.executable).parent / "kubectl-corepod"
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("COREPOD_", "KUBE"))}
        env = {**clean, "KUBECONFIG": self.kubeconfig, **environment}
        done = subprocess.run(
            [program, *words], capture_output=True, text=True, timeout=4 * DEADLINE, env=env, check=False
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def top(self) -> dict[str, Any]:
        """The document of `top --json`, once each pod has answered it twice: the time for that is what people would
        wait for, and a busy machine may be slower."""

        def heard() -> dict[str, Any] | None:
            self.ran.clear()
            done = self.kubectl("top", "--json", "--interval", "0.5")
            assert done.code == 0, done
            document: dict[str, Any] = json.loads(done.out)
            cpu = [worker["cpu"] for on in document["nodes"] for worker in on["workers"]]
            return document if cpu and None not in cpu else None

        return until(heard, "an answer of each pod", 4 * DEADLINE) or {}


@pytest.fixture(scope="module")
def pools(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Pool]]:
    """By name. All tests of a module share them, because each start costs a busy machine many seconds."""
    # Not below tmp_path: the address of a Unix socket has 107 bytes at most.
    folder, logs = Path(tempfile.mkdtemp(prefix="rt-")), tmp_path_factory.mktemp("pools")
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        patch.setenv("XDG_RUNTIME_DIR", str(folder))
        patch.delenv("RUNTIME_DIRECTORY", raising=False)
        started = {}
        for name in NAMES:
            started[name] = stack.enter_context(running("ok:app", *QUICK, "--name", name, log=logs / name))
            started[name].ready()
        yield started


@pytest.fixture
def shop(pools: dict[str, Pool], tmp_path: Path) -> Iterator[Shop]:
    with FakeApi() as api:
        web = deployment("web", 2, namespace="shop")
        web["status"] = {"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2}
        api.store.put("deployments", web)
        for name, where in zip(NAMES, ("a", "b"), strict=True):
            api.store.put("nodes", node(where, "2"))
            made = pod(name, where, owner="web", namespace="shop")
            made["metadata"]["labels"]["app.kubernetes.io/component"] = "worker"
            made["spec"]["containers"][0]["ports"] = [{"name": "admin", "containerPort": 9000}]
            api.store.put("pods", made)
            pools[name].ready()
        yield Shop(api, pools, tmp_path)
