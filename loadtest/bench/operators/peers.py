"""The operators, and how each is started."""

from __future__ import annotations

import contextlib
import os
import ssl
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from loadtest.bench import host
from loadtest.bench.peers import ROOT
from tools.fakeapi import FakeApi
from tools.fakeapi.objects import deployment, node

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

HERE = Path(__file__).parent
OURS = ["-m", "corepod", "operator", "--admin", "none", "--notify"]
PEERS = {
    "corepod operator": [*OURS, "127.0.0.1:0"],
    "kopf, by hand": ["-m", "kopf", "run", "--standalone", "--all-namespaces", "--quiet", str(HERE / "kopf_peer.py")],
    "kubernetes, typed lists": [str(HERE / "typed_peer.py")],
}
# Beside these where its binary is given: it is in no package registry, and finds its API server as a pod does.
CPA = "cluster-proportional-autoscaler"
CPA_FLAGS = ["--namespace=default", "--configmap=cpa", "--target=deployment/web", "--logtostderr"]
ACCOUNT = "/run/secrets/kubernetes.io/serviceaccount"
# A pod's file system, as far as it goes: a private /run with token and authority in it.
AS_POD = 'mount -t tmpfs none /run && mkdir -p "$0" && cp "$1"/* "$0" && shift && exec "$@"'
START = 120.0  # seconds until the first decision


class Running:
    """One operator on the server's core."""

    def __init__(self, name: str, api: FakeApi, folder: Path, arguments: list[str], **more: str) -> None:
        self.name, self._api, self.began = name, api, time.monotonic()
        self.log = folder / f"{name.partition(',')[0].replace(' ', '-')}.log"
        environment = {**os.environ, "KUBECONFIG": str(api.kubeconfig(folder)), "PYTHONPATH": str(ROOT), **more}
        with self.log.open("ab") as log, host.pinned(host.SERVER):
            self.process = subprocess.Popen(arguments, stdout=log, stderr=log, env=environment)

    def until_writes(self, count: int, deadline: float = START) -> float:
        """Seconds since its start until it has written so many numbers."""
        end = time.monotonic() + deadline
        while len(found := self._api.writes(part="scale")) < count:
            self._check(end, f"{count} writes")
            time.sleep(0.001)
        return found[count - 1].at - self.began

    def until_ready(self) -> float:
        """Seconds since its start until it says that it has everything."""
        end = time.monotonic() + START
        while "ready" not in self.log.read_text(errors="replace").split():
            self._check(end, "word that it is ready")
            time.sleep(0.02)
        return time.monotonic() - self.began

    def peak(self) -> int:
        """Greatest resident memory so far, bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) << 10

    def cpu(self) -> float:
        return host.cpu(self.process.pid)

    def _check(self, end: float, what: str) -> None:
        if self.process.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"{self.name}: no {what}; {self.log.read_text(errors='replace')[-500:]}")


@contextlib.contextmanager
def running(name: str, api: FakeApi, folder: Path) -> Iterator[Running]:
    """One of PEERS for the length of a with block."""
    with _ended(Running(name, api, folder, [sys.executable, *PEERS[name]])) as operator:
        yield operator


def small_cluster(api: FakeApi, nodes: Iterable[str]) -> None:
    """Nodes of four cores, and the Deployment `web`."""
    for name in nodes:
        api.store.put("nodes", node(name))
    api.store.put("deployments", deployment("web", full="true"))


@contextlib.contextmanager
def running_cpa(binary: Path, nodes: Iterable[str]) -> Iterator[tuple[FakeApi, Running]]:
    """cluster-proportional-autoscaler and an API server that it trusts."""
    with tempfile.TemporaryDirectory() as folder:
        account = Path(folder) / "account"
        with FakeApi(_certified(account)) as api:
            small_cluster(api, nodes)
            meta = {"name": "cpa", "namespace": "default"}
            api.store.put("configmaps", {"metadata": meta, "data": {"linear": '{"coresPerReplica": 1}'}})
            arguments = ["unshare", "--mount", "--map-root-user", "sh", "-c", AS_POD, ACCOUNT, str(account)]
            arguments += [str(binary.resolve()), *CPA_FLAGS]
            found = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(api.port)}
            with _ended(Running(CPA, api, Path(folder), arguments, **found)) as operator:
                yield api, operator


def _certified(account: Path) -> ssl.SSLContext:
    """A certificate of 127.0.0.1; what a client needs is in `account`."""
    account.mkdir()
    key = account.parent / "key.pem"
    arguments = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=api"
    arguments += f" -addext subjectAltName=IP:127.0.0.1 -keyout {key} -out {account / 'ca.crt'}"
    subprocess.run(arguments.split(), check=True, capture_output=True)
    (account / "token").write_text("not checked")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(account / "ca.crt", key)
    return context


@contextlib.contextmanager
def _ended(operator: Running) -> Iterator[Running]:
    try:
        yield operator
    finally:
        operator.process.kill()
        operator.process.wait()
