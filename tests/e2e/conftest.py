"""Fixtures of the tests on a cluster. They run against the kind cluster of `make kind-up` and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from corepod import __version__

from tests.e2e.kube import (
    Refused,
    items,
    kubectl,
    no_temporary_namespaces,
    temporary_namespace,
    until_everywhere,
)
from tests.e2e.release import Release

if TYPE_CHECKING:
    from collections.abc import Iterator

IMAGE = f"corepod:{__version__}"
HERE = Path(__file__).parent
HARD_LIMIT = 420  # seconds for one test, whatever it waits for


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.e2e)
            # By signal: the test ends with an exception, and what it made is cleaned away.
            item.add_marker(pytest.mark.timeout(HARD_LIMIT, method="signal"))
    items.sort(key=lambda item: item.path.name == "test_nodes.py")  # if that one fails, a node may be missing


@pytest.fixture(scope="session")
def cluster() -> Iterator[None]:
    """There is a kind cluster with two free nodes, and the image is on them."""
    try:
        context = kubectl("config", "current-context").strip()
        nodes = items("nodes")
    except (Refused, OSError) as error:
        pytest.fail(f"no cluster: run make kind-up first ({error})")
    if not context.startswith("kind-"):
        pytest.fail(f"the current context is {context}: these tests only touch a kind cluster (make kind-up)")
    if len(nodes) < 2:
        pytest.fail(f"{len(nodes)} node: the cluster of make kind-up has two")
    until_everywhere(IMAGE)
    others = items("pods", "-A", "-l", "app.kubernetes.io/name=corepod")
    if others:
        where = sorted({f"{p['metadata']['namespace']}/{p['metadata']['name']}" for p in others})
        pytest.fail(f"the cores are taken: uninstall what runs in the cluster first ({', '.join(where)})")
    yield
    no_temporary_namespaces()


@pytest.fixture(scope="module")
def namespace(cluster: None, request: pytest.FixtureRequest) -> Iterator[str]:
    """One for each module, under Pod Security "restricted"; removed with all that is in it."""
    name = "e2e-" + request.module.__name__.rpartition("test_")[2].replace("_", "-")
    with temporary_namespace(
        name, **{f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
    ):
        yield name


@pytest.fixture
def release(namespace: str) -> Iterator[Release]:
    """Installed by the test; uninstalled after it."""
    release = Release(namespace)
    yield release
    release.uninstall()
