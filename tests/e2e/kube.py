"""kubectl and helm as tests use them: JSON out, a deadline on everything, and the whole story when something fails."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from tests import waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")
ROOT = Path(__file__).parent.parent.parent
CHART = ROOT / "deploy/helm/corepod"
DEADLINE = 90.0  # seconds any wait for the cluster may take on a busy machine
PAUSE = 0.2  # seconds between two looks: each is a process, on cores that the pods need
TEMPORARY = "corepod.dev/test"  # the label of namespaces that tests make
# Switches nodes off and on, where there is such a thing; kind itself has none.
TOOL = os.environ.get("COREPOD_E2E_CLUSTER", "")


class Refused(AssertionError):
    """A command ended with another exit code than 0; `text` is all it said."""

    def __init__(self, command: tuple[str, ...], code: int, text: str) -> None:
        super().__init__(f"{' '.join(command)} ended with {code}:\n{text}")
        self.text = text


def until(condition: Callable[[], T], what: str | Callable[[], str], deadline: float = DEADLINE) -> T:
    """`waiting.until` with a cluster's deadline, and pauses that leave it the cores.

    A look that the cluster refuses has seen nothing yet, and another one follows: on a busy machine the API server, or
    what it asks in turn (a container, a pod's port, the metrics API), may not answer in time.
    """
    refused = ""

    def look() -> T | None:
        nonlocal refused
        try:
            refused = ""
            return condition()
        except Refused as error:
            refused = f"; {error}"
            return None

    found = waiting.until(look, lambda: _said(what) + refused, deadline, PAUSE)
    assert found is not None
    return found


def _said(what: str | Callable[[], str]) -> str:
    try:
        return what if isinstance(what, str) else what()
    except Refused as error:
        return str(error)


def run(*command: str, stdin: str = "", deadline: float = DEADLINE) -> str:
    """Its standard output. Raises Refused."""
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=deadline, cwd=ROOT, check=False)
    if done.returncode:
        raise Refused(command, done.returncode, done.stdout + done.stderr)
    return done.stdout


def kubectl(*args: str, stdin: str = "", deadline: float = DEADLINE) -> str:
    return run("kubectl", *args, stdin=stdin, deadline=deadline)


def get(*args: str) -> dict[str, Any]:
    """`kubectl get ARGS` as a document."""
    document: dict[str, Any] = json.loads(kubectl("get", *args, "-o", "json"))
    return document


def items(*args: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = get(*args)["items"]
    return found


def apply(namespace: str, *objects: dict[str, Any]) -> None:
    for document in objects:
        kubectl("apply", "-n", namespace, "-f", "-", stdin=json.dumps(document))


@contextlib.contextmanager
def temporary_namespace(name: str, **labels: str) -> Iterator[None]:
    """Being deleted after the block: whoever needs the cores waits for the pods."""
    meta = {"name": name, "labels": {TEMPORARY: "", **labels}}
    kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": meta}))
    # A controller makes it a moment later, and until then the API server refuses every pod that names no other one.
    until(lambda: kubectl("get", "serviceaccount", "default", "--namespace", name), f"the namespace {name} takes pods")
    try:
        yield
    finally:
        kubectl("delete", "namespace", name, "--wait=false")


def no_temporary_namespaces() -> None:
    """Wait until all that has begun to leave is gone. Fronts may take 40 s."""
    options = ("-l", TEMPORARY, "--wait", f"--timeout={2 * DEADLINE:g}s")
    kubectl("delete", "namespace", *options, deadline=2 * DEADLINE + 10)


def helm(*args: str, values: dict[str, Any] | None = None, deadline: float = DEADLINE) -> str:
    more = ("--values", "-") if values is not None else ()
    return run("helm", *args, *more, stdin=json.dumps(values or {}), deadline=deadline)


def load_image(*images: str) -> None:
    """From this machine to every node."""
    cluster = kubectl("config", "current-context").strip().removeprefix("kind-")
    for image in images:
        run("kind", "load", "docker-image", image, "--name", cluster, deadline=4 * DEADLINE)
    for image in images:
        until_everywhere(image)


def until_everywhere(image: str) -> None:
    """Wait until every node has the image."""
    until(lambda: all(_has(node, image) for node in items("nodes")), f"{image} on every node: run make kind-up again")


def _has(node: dict[str, Any], image: str) -> bool:
    # The kubelet tells every few seconds; an image whose tag another one has taken has no names.
    names = [name for found in node["status"].get("images", ()) for name in found["names"] or ()]
    return any(name.endswith(f"/{image}") for name in names)


def node_address() -> str:
    """An address of the first node: node ports answer there."""
    addresses = items("nodes")[0]["status"]["addresses"]
    return str(next(a["address"] for a in addresses if a["type"] == "InternalIP"))
