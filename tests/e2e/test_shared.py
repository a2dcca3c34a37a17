"""Shared state in a real Valkey in the cluster: the suite that holds every backend, through its Service."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from typing import Any

import pytest

from tests.e2e.conftest import HARD_LIMIT
from tests.e2e.kube import DEADLINE, ROOT, apply, get, kubectl, load_image, node_address, until

IMAGE = "valkey:8"
PORT = 6379
SUITE = 400.0  # seconds


def pod() -> dict[str, Any]:
    """As small as a namespace under "restricted" lets it be."""
    closed = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "runAsNonRoot": True}
    container = {
        "name": "valkey",
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["valkey-server", "--save", "", "--appendonly", "no", "--protected-mode", "no", "--dir", "/tmp"],
        "ports": [{"containerPort": PORT}],
        "readinessProbe": {"exec": {"command": ["valkey-cli", "ping"]}, "periodSeconds": 1},
        "resources": {"requests": {"cpu": "50m", "memory": "32Mi"}, "limits": {"memory": "128Mi"}},
        "securityContext": {**closed, "runAsUser": 999, "seccompProfile": {"type": "RuntimeDefault"}},
    }
    metadata = {"name": "valkey", "labels": {"app": "valkey"}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container]}}


@pytest.fixture(scope="module")
def address(namespace: str) -> str:
    load_image(IMAGE)
    # An address of a Service itself can be reached from inside of the cluster only.
    service = {"type": "NodePort", "selector": {"app": "valkey"}, "ports": [{"port": PORT}]}
    apply(namespace, pod(), {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "valkey"}, "spec": service})
    kubectl("wait", "-n", namespace, "pod/valkey", "--for=condition=Ready", f"--timeout={DEADLINE:g}s")
    host, port = node_address(), get("service", "valkey", "-n", namespace)["spec"]["ports"][0]["nodePort"]
    until(lambda: listens(host, port), f"Valkey at {host}:{port}")
    return f"redis://{host}:{port}/0"


def listens(host: str, port: int) -> bool:
    """Whether the Service leads to the pod: kube-proxy follows a ready one within a second or so."""
    try:
        with socket.create_connection((host, port), timeout=5):
            return True
    except OSError:
        return False


@pytest.mark.timeout(HARD_LIMIT + SUITE, method="signal")
def test_the_suite_on_a_real_valkey(address: str) -> None:
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "redis", "tests/process/shared"]
    words += [f"--ignore=tests/process/shared/test_{name}.py" for name in ("redis_faults", "unavailable")]
    environment = {**os.environ, "COREPOD_TEST_REDIS": address}
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=SUITE, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
