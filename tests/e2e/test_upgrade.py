"""An upgrade of everything: from the chart and the images of the version before the last change, under load."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.conftest import IMAGE
from tests.e2e.fleet import OPERATOR_IMAGE
from tests.e2e.kube import CHART, DEADLINE, ROOT, helm, items, load_image, run, until, until_everywhere
from tests.e2e.load import Load
from tests.e2e.recovery import until_steady
from tests.e2e.release import Pod, Release
from tests.e2e.watched import course, watched

if TYPE_CHECKING:
    from pathlib import Path

CHANGED = ("app", "deploy/helm")
RATE, ANSWERS = 100.0, 100
BEFORE = "before"  # the tag of its images
CODE = "/before"  # the folder of its code, which goes before what is installed
PODS = 2


def before() -> str:
    """The commit before the last one that changed what is installed. Skips where there is no history."""
    try:
        found = run("git", "rev-list", "--first-parent", "--max-count=1", "HEAD", "--", *CHANGED).strip()
        return run("git", "rev-parse", "--verify", "--quiet", f"{found}^").strip()
    except (AssertionError, OSError):
        pytest.skip("the commit before the last change isn't here: this checkout has no history, or not all of it")


def checkout(commit: str, folder: Path) -> None:
    with subprocess.Popen(["git", "archive", commit, *CHANGED], cwd=ROOT, stdout=subprocess.PIPE) as archive:
        subprocess.run(["tar", "-x", "-C", str(folder)], stdin=archive.stdout, check=True, timeout=DEADLINE)
    assert archive.returncode == 0


@pytest.fixture(scope="module")
def old_chart(cluster: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The chart, with its images on the nodes: today's, with the code of then."""
    folder = tmp_path_factory.mktemp("before")
    checkout(before(), folder)
    olds = {f"{image.partition(':')[0]}:{BEFORE}": image for image in (IMAGE, OPERATOR_IMAGE)}
    for old, image in olds.items():
        (folder / "Dockerfile").write_text(f"FROM {image}\nCOPY app {CODE}\nENV PYTHONPATH={CODE}\n")
        run("docker", "build", "--tag", old, str(folder))
    load_image(*olds)
    return folder / "deploy/helm/corepod"


def values(tag: str | None) -> dict[str, Any]:
    image = {} if tag is None else {"tag": tag}
    return {
        "cpu": {"preset": "shared", "request": "50m"},
        "image": image,
        "operator": {"image": image, "sizing": {"max": PODS}},
        "service": {"type": "NodePort"},
        "settings": {"lame_duck": 5},
    }


def upgrade(release: Release, chart: Path, tag: str | None) -> None:
    helm("upgrade", "--install", release.name, str(chart), "-n", release.namespace, values=values(tag))


def images(pods: list[Pod]) -> set[str]:
    return {container["image"] for pod in pods for container in pod.document["spec"]["containers"]}


def operators(release: Release) -> list[Pod]:
    selector = release.selector.replace("component=worker", "component=operator")
    return [Pod(document) for document in items("pods", "-n", release.namespace, "-l", selector)]


def test_no_request_fails_in_an_upgrade_from_the_version_before(release: Release, old_chart: Path) -> None:
    until_everywhere(OPERATOR_IMAGE)
    upgrade(release, old_chart, BEFORE)
    pods = release.ready(PODS)
    assert images(pods) == {f"corepod:{BEFORE}"}
    assert CODE in pods[0].sh("python -c 'import corepod; print(corepod.__file__)'")
    until_steady(release.url)
    with watched(release.namespace, release.full_name) as replicas, Load(release.url, RATE) as load:
        load.until_answered(ANSWERS)
        upgrade(release, CHART, None)

        def complete() -> bool:
            new = release.pods()
            return len(new) == PODS and images(new) == {IMAGE} and all(pod.ready for pod in new)

        until(complete, f"{PODS} ready pods of {IMAGE}")
        load.until_answered(ANSWERS)
        outcome = load.stop()
    assert not outcome.failures, outcome
    assert outcome.answered == outcome.sent
    assert course(replicas) == [PODS], "the upgrade changed the number of pods"
    key = f'kind="Deployment",namespace="{release.namespace}",name="{release.full_name}"'
    sized = f'corepod_operator_workload_outcome{{{key},outcome="sized"}} 1'

    def decides() -> bool:
        found = operators(release)
        return len(found) == 1 and images(found) == {OPERATOR_IMAGE} and sized in found[0].admin("/metrics")

    until(decides, "a decision of the new operator")
