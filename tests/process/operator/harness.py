"""Runs the real `corepod operator` beside a fake API server."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import httpx
from corepod.operator.model.quantity import milli

from tests.process.harness import DEADLINE, until
from tools.fakeapi.objects import HASH, pod

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tools.fakeapi import Call, FakeApi

FIRST = re.compile(r"admin [0-9.*]+:(\d+), notify (?:[0-9.*]+:(\d+)|none)")
QUICK = ("--scale-down-wait", "1")


class Operator:
    """One operator; its log is kept in a file."""

    def __init__(self, api: FakeApi, *flags: str, folder: Path, name: str = "operator") -> None:
        self._path = folder / f"{name}.log"
        words = [sys.executable, "-m", "corepod", "operator", "--kubeconfig", str(api.kubeconfig(folder))]
        words += ["--admin", "127.0.0.1:0", "--notify", "127.0.0.1:0", *QUICK, *flags]
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("COREPOD_", "KUBE"))}
        with self._path.open("wb") as file:
            self.process = subprocess.Popen(words, stdout=file, stderr=subprocess.STDOUT, env=clean)

    @property
    def log(self) -> str:
        return self._path.read_text(errors="replace")

    def _ports(self) -> re.Match[str]:
        match = until(lambda: FIRST.search(self.log) or self.process.poll() is not None, f"its first line: {self.log}")
        assert isinstance(match, re.Match), f"it ended with {self.process.poll()}:\n{self.log}"
        return match

    @property
    def admin_port(self) -> int:
        return int(self._ports()[1])

    @property
    def notify_port(self) -> int:
        return int(self._ports()[2])

    def get(self, path: str, **options: Any) -> httpx.Response:
        return httpx.get(f"http://127.0.0.1:{self.admin_port}{path}", timeout=DEADLINE, **options)

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = self.get("/status").json()
        return found

    def metric(self, name: str) -> float:
        """The one sample of a metric without labels."""
        match = re.search(rf"^corepod_operator_{name} (\S+)$", self.get("/metrics").text, re.MULTILINE)
        assert match is not None, name
        return float(match[1])

    def ready(self) -> Operator:
        until(lambda: self.get("/readyz").status_code == 200, f"ready: {self.log}")
        return self

    @property
    def acts(self) -> bool:
        return bool(self.status()["acts"])

    def signal(self, signum: int) -> None:
        self.process.send_signal(signum)

    def stop(self) -> int:
        self.signal(signal.SIGTERM)
        return self.process.wait(DEADLINE)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        print(self.log)  # shown where the test has failed


def once(api: FakeApi, *flags: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """`corepod operator --once`."""
    words = [sys.executable, "-m", "corepod", "operator", "--once", "--kubeconfig", str(api.kubeconfig(folder)), *flags]
    return subprocess.run(words, capture_output=True, text=True, timeout=4 * DEADLINE, check=False)


def replicas(api: FakeApi, name: str, namespace: str = "default") -> int:
    found = api.store.get("deployments", namespace, name)
    assert found is not None
    number: int = found["spec"]["replicas"]
    return number


def until_replicas(api: FakeApi, name: str, number: int) -> None:
    until(lambda: replicas(api, name) == number, f"{number} replicas of {name}")


def scalings(api: FakeApi, name: str = "") -> list[Call]:
    """Writes of numbers."""
    return [call for call in api.writes(part="scale") if name in ("", call.name)]


def events(api: FakeApi, reason: str = "") -> list[dict[str, Any]]:
    return [event for event in api.store.all("events") if reason in ("", event["reason"])]


class Controllers:
    """What a cluster does, in a thread: makes and removes Deployments' pods of one core, and places them."""

    def __init__(self, api: FakeApi) -> None:
        self._api, self._stop, self._count = api, threading.Event(), 0
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(0.01):
            with self._api.store.changed:  # no watch tells of half a round
                for each in self._api.store.all("deployments"):
                    self._replicate(each)
                self._schedule()

    def _replicate(self, owner: dict[str, Any]) -> None:
        name = owner["metadata"]["name"]
        pods = [p for p in self._api.store.all("pods") if p["metadata"]["labels"].get("app") == name]
        wanted = owner["spec"]["replicas"]
        for _ in range(wanted - len(pods)):
            self._count += 1
            self._api.store.put("pods", pod(f"{name}-{HASH}-{self._count}", owner=name))
        # As the ReplicaSet controller: those without a node go first.
        pods.sort(key=lambda p: "nodeName" in p["spec"])
        for p in pods[: max(0, len(pods) - wanted)]:
            self._api.store.delete("pods", "default", p["metadata"]["name"])

    def _schedule(self) -> None:
        nodes = {n["metadata"]["name"]: milli(n["status"]["allocatable"]["cpu"]) // 1000 for n in self._nodes()}
        pods = self._api.store.all("pods")
        for p in pods:
            if (where := p["spec"].get("nodeName")) is None:
                continue
            if self._api.store.get("nodes", "", where) is None:
                self._api.store.delete("pods", "default", p["metadata"]["name"])  # as the pod collector does
            elif where in nodes:
                nodes[where] -= -(-milli(p["spec"]["containers"][0]["resources"]["requests"]["cpu"]) // 1000)
        for p in pods:
            free = next((name for name, left in nodes.items() if left >= 1), None)
            if "nodeName" not in p["spec"] and free is not None:
                meta = p["metadata"]
                self._api.store.put("pods", pod(meta["name"], free, owner=meta["labels"]["app"]))
                nodes[free] -= 1

    def _nodes(self) -> list[dict[str, Any]]:
        return [n for n in self._api.store.all("nodes") if not n["spec"].get("unschedulable")]


@contextlib.contextmanager
def controllers(api: FakeApi) -> Iterator[Controllers]:
    running = Controllers(api)
    try:
        yield running
    finally:
        running.close()
