"""The life of a release: test, upgrade, rollback, uninstall; and who owns the number of pods."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e import notes
from tests.e2e.kube import Refused, helm, items, kubectl, until
from tests.e2e.watched import watched

if TYPE_CHECKING:
    from tests.e2e.release import Release

# Made by the cluster in every namespace, or a record of what was.
NOT_OURS = ("event/", "event.events.k8s.io/", "configmap/kube-root-ca.crt", "serviceaccount/default")


def variable(release: Release, name: str) -> str | None:
    """What the pods' template has for it."""
    env = release.deployment()["spec"]["template"]["spec"]["containers"][0]["env"]
    return next((entry["value"] for entry in env if entry["name"] == name), None)


def left_in(namespace: str) -> list[str]:
    """Every object of every kind in a namespace."""
    kinds = kubectl("api-resources", "--namespaced", "--verbs=list", "-o", "name").split()
    found = kubectl("get", ",".join(kinds), "-n", namespace, "-o", "name", "--ignore-not-found").split()
    return [name for name in found if not name.startswith(NOT_OURS)]


def test_test_upgrade_rollback_and_uninstall(release: Release) -> None:
    release.install(settings={"lame_duck": 0.5})
    assert left_in(release.namespace), "what is looked for at the end would be seen"
    said = notes.run_all(release)
    assert "Succeeded" in said[f"helm -n {release.namespace} test {release.name}"]
    [answer] = [text for command, text in said.items() if "curl" in command]
    assert release.pods()[0].name in answer, "the address in the notes is the application's"

    release.install(settings={"lame_duck": 0.5, "keep_alive": 7})
    assert variable(release, "COREPOD_KEEP_ALIVE") == "7"
    release.ready()

    helm("rollback", release.name, "1", "-n", release.namespace, "--wait")
    assert variable(release, "COREPOD_KEEP_ALIVE") is None
    release.ready()
    assert len(helm("history", release.name, "-n", release.namespace, "-o", "json").split('"revision"')) == 1 + 3

    helm("uninstall", release.name, "-n", release.namespace)
    until(lambda: not left_in(release.namespace), "nothing left")


def test_helm_test_fails_where_the_application_does(release: Release) -> None:
    release.install(wait=False, app={"module": "nosuch:app"}, tests={"timeout": 5})
    with pytest.raises(Refused, match=r"(?i)failed"):
        helm("test", release.name, "-n", release.namespace)
    kubectl("delete", "pod", f"{release.full_name}-test", "-n", release.namespace)


def test_an_upgrade_leaves_the_number_of_pods_alone(release: Release) -> None:
    release.install(replicas=None).ready(1)
    kubectl("scale", "deployment", release.full_name, "-n", release.namespace, "--replicas=2")
    release.ready(2)
    with watched(release.namespace, release.full_name) as seen:
        release.install(replicas=None, settings={"keep_alive": 7}).ready(2)
        release.install(replicas=None, settings={"keep_alive": 7}, autoscaling={"enabled": True}).ready(2)
        release.install(replicas=None).ready(2)
    assert set(seen) == {2}
    assert len(seen) > 3, "the upgrades changed something"

    # Also where the values have named it before.
    release.install(replicas=2).ready(2)
    with watched(release.namespace, release.full_name) as seen:
        release.install(replicas=None).ready(2)
    assert set(seen) == {2}
    with watched(release.namespace, release.full_name) as seen:  # the control: an upgrade that names a smaller number
        release.install(replicas=1).ready(1)
    assert set(seen) == {2, 1}
    assert not items("hpa", "-n", release.namespace)
