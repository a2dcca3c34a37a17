"""Two pods of one Deployment, which are real pools, behind an API server that passes exec and the proxy on to them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.process.harness import CLIENT, DEADLINE, Pool, running
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


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Not below tmp_path: the address of a Unix socket has 107 bytes at most."""
    folder = Path(tempfile.mkdtemp(prefix="rt-"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    yield
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def shop(runtime: None, tmp_path: Path) -> Iterator[Shop]:
    with ExitStack() as stack:
        api = stack.enter_context(FakeApi())
        for name in ("a", "b"):
            api.store.put("nodes", node(name, "2"))
        web = deployment("web", 2, namespace="shop")
        web["status"] = {"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2}
        api.store.put("deployments", web)
        pools = {}
        for name, where in zip(NAMES, ("a", "b"), strict=True):
            made = pod(name, where, owner="web", namespace="shop")
            made["metadata"]["labels"]["app.kubernetes.io/component"] = "worker"
            made["spec"]["containers"][0]["ports"] = [{"name": "admin", "containerPort": 9000}]
            api.store.put("pods", made)
            pools[name] = stack.enter_context(running("ok:app", *QUICK, "--name", name, log=tmp_path / f"{name}.log"))
        for pool in pools.values():
            pool.ready()
        yield Shop(api, pools, tmp_path)
