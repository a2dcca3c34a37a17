"""`helm install corepod deploy/helm/corepod`, and nothing else: pinned, supervised, sized by the operator."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.fleet import OPERATOR_IMAGE
from tests.e2e.kube import helm, items, until, until_everywhere
from tests.e2e.release import Pod, Release
from tests.e2e.watched import course, watched

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def plain(namespace: str) -> Iterator[Release]:
    until_everywhere(OPERATOR_IMAGE)
    release = Release(namespace, "corepod")
    release.full_name = "corepod"
    try:
        helm("install", "corepod", "deploy/helm/corepod", "-n", namespace, "--wait")
        yield release
    finally:
        release.uninstall()


def operator(release: Release) -> Pod:
    selector = release.selector.replace("component=worker", "component=operator")
    [document] = items("pods", "-n", release.namespace, "-l", selector)
    return Pod(document)


def test_it_is_pinned_and_sized(plain: Release) -> None:
    """Of two places one is left free for rollouts."""
    key = f'kind="Deployment",namespace="{plain.namespace}",name="corepod"'
    outcome = f'corepod_operator_workload_outcome{{{key},outcome="sized"}} 1'
    until(lambda: outcome in operator(plain).admin("/metrics"), "a decision")
    free = len(items("nodes")) - 1
    for pod in plain.ready(free):
        assert pod.worker().cores.isdecimal()
    # It costs no node its whole core: it went where a part of one was left.
    assert operator(plain).node in {pod.node for pod in plain.pods()}


def test_a_rollout_uses_the_place_that_is_left_free(plain: Release) -> None:
    with watched(plain.namespace, plain.full_name) as seen:
        plain.restart()
    assert len(course(seen)) == 1
