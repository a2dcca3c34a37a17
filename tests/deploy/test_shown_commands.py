"""Every command of helm, kubectl, make and docker that a document shows runs as it stands there: the shell gets it, and
finds programs before the real ones that need neither a cluster nor an hour."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING, NamedTuple

import corepod
import pytest
import yaml

from tests.architecture.test_documents import DOCUMENTS
from tests.deploy import test_dependency
from tests.deploy.render import CHART, KUBERNETES, ROOT
from tests.plugins.needs import program
from tests.waiting import DEADLINE

if TYPE_CHECKING:
    from pathlib import Path

PROGRAMS = ("helm", "kubectl", "make", "docker")
# A line of an indented block, also one in a list, with those that it continues on; a fenced block is read in the same
# way. The plugin (`kubectl corepod`) needs pods: tests/process/kubectl runs what documents show of it.
LINE = re.compile(rf"^(?: {{4,}}|\$ )?((?!kubectl corepod )(?:{'|'.join(PROGRAMS)}) (?:.*\\\n)*.*)$", re.MULTILINE)
# In running text: those that change something. `kubectl drain` alone, for example, only names a command.
INLINE = re.compile(r"`(make [a-z][^`]*|helm\s(?:install|upgrade)\s[^`]+|kubectl\sapply\s-k\s[^`]+)`")
# What needs a cluster gets so far, and no further.
NO_CLUSTER = re.compile(r"connection refused|was refused|cluster unreachable")

HELM = """#!/bin/bash
# Installs and upgrades are rendered; a package in a registry is the chart's folder. Dependencies are built first.
case $1 in install | upgrade) ;; *) exec {helm} "$@" ;; esac
shift
arguments=()
for argument in "$@"; do
  case $argument in
    --install | --reuse-values) continue ;;
    oci://registry.example/charts/corepod) argument={chart} ;;
  esac
  arguments+=("$argument")
done
if grep -qs ^dependencies: "$argument/Chart.yaml"; then {helm} dependency build "$argument" >/dev/null || exit; fi
exec {helm} template --kube-version {kubernetes} "${{arguments[@]}}"
"""
KUBECTL = """#!/bin/bash
# A kustomization is rendered, a Secret is only printed. What another project publishes isn't fetched.
case "$*" in
  "apply -k "*) exec {kubectl} kustomize "$3" ;;
  "create secret "*) exec {kubectl} "$@" --dry-run=client --output yaml ;;
  "apply -f https://github.com/kubernetes-sigs/metrics-server/releases/"*) exit ;;
esac
exec {kubectl} --request-timeout 5s "$@"
"""
MAKE = """#!/bin/bash
unset MAKEFLAGS MFLAGS MAKELEVEL
exec {make} --dry-run --no-print-directory "$@"
"""
DOCKER = """#!/bin/bash
case "$*" in
  "build -t shop:1 .") ;;  # tests/e2e/test_images.py builds it
  "run --rm "*" corepod:{version}") ;;
  *) echo "no test knows docker $*" >&2; exit 1 ;;
esac
"""


class Shown(NamedTuple):
    page: str
    command: str


def prose_and_blocks(text: str) -> tuple[str, str]:
    """What isn't shell, such as YAML and Dockerfiles, is in neither."""
    text = re.sub(r"^```(?!sh|bash|console|\n).*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    blocks = "\n".join(line for line in text.splitlines() if line.startswith("    "))
    fenced = "\n".join(re.findall(r"^```(?:sh|bash|console)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
    return text, f"{blocks}\n{fenced}"


def shown(text: str) -> list[str]:
    prose, blocks = prose_and_blocks(text)
    # A command in running text may be wrapped.
    inline = [" ".join(found.split()) for found in INLINE.findall(prose)]
    return [*dict.fromkeys([*LINE.findall(blocks), *inline])]


SHOWN = [Shown(str(page.relative_to(ROOT)), command) for page in DOCUMENTS for command in shown(page.read_text())]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("programs")
    real = {"helm": program("helm"), "kubectl": program("kubectl"), "make": shutil.which("make")}
    real |= {"chart": str(CHART), "kubernetes": KUBERNETES}
    for name, text in {"helm": HELM, "kubectl": KUBECTL, "make": MAKE, "docker": DOCKER}.items():
        path = folder / name
        path.write_text(text.format(version=corepod.__version__, **real))
        path.chmod(0o755)
    # Nothing listens at port 1 of a loopback address.
    cluster = {"name": "none", "cluster": {"server": "http://127.0.0.1:1"}}
    context = {"name": "none", "context": {"cluster": "none", "user": ""}}
    config = {"apiVersion": "v1", "kind": "Config", "clusters": [cluster], "contexts": [context]}
    (folder / "config").write_text(yaml.safe_dump({**config, "current-context": "none"}))
    own = {"KUBECONFIG": str(folder / "config"), "SESSION_KEYS": "key", "PROGRAMS": str(folder)}
    helm = {f"HELM_{what}_HOME": str(folder / "helm-home" / what.lower()) for what in ("CONFIG", "CACHE", "DATA")}
    return {**os.environ, **own, **helm}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What a user has: this tree, a file of values, and a chart that depends on this one."""
    for path in ROOT.iterdir():
        if not path.name.startswith(".venv"):
            (tmp_path / path.name).symlink_to(path)
    (tmp_path / "values.yaml").write_text("{}\n")
    test_dependency.written(tmp_path)
    return tmp_path


def run(command: str, folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    script = f'PATH="$PROGRAMS:$PATH"; {command}'
    return subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=2 * DEADLINE,
        check=False,
    )


def understood(done: subprocess.CompletedProcess[str]) -> bool:
    return done.returncode == 0 or bool(NO_CLUSTER.search(done.stderr))


@pytest.mark.parametrize("shown", SHOWN, ids=lambda shown: f"{shown.page}: {shown.command[:60]}")
def test_it_runs(shown: Shown, checkout: Path, environment: dict[str, str]) -> None:
    done = run(shown.command, checkout, environment)
    assert understood(done), f"{shown.command}\n{done.stdout[-500:]}{done.stderr}"
    if shown.command.startswith(("helm install", "helm upgrade", "kubectl apply -k")):
        kind = "ValidatingAdmissionPolicy" if "admission-policy" in shown.command else "Deployment"
        assert f"kind: {kind}\n" in done.stdout
        assert done.returncode == 0


@pytest.mark.parametrize(
    "command",
    [
        "helm install shop deploy/helm/corepod --set image.tga=1",
        "helm install shop deploy/helm/nosuch",
        "helm upgrade shop deploy/helm/corepod -f nosuch.yaml",
        "helm tset corepod",
        "kubectl get pods --nosuch",
        "kubectl gte pods",
        "kubectl apply -k deploy/k8s/overlays/nosuch",
        "kubectl create secret generic",
        "make nosuch",
        "docker build -t another:1 .",
        "docker run --rm corepod:0",
    ],
)
def test_one_that_is_wrong_is_found(command: str, checkout: Path, environment: dict[str, str]) -> None:
    """Negative control."""
    assert not understood(run(command, checkout, environment))


def test_commands_are_found_where_documents_show_them() -> None:
    text = "Text with `make image` and `helm\ninstall a b`, and `kubectl drain`.\n\n    kubectl get pods   # all\n\n"
    text += "    kubectl corepod top\n"
    text += "    kubectl patch x \\\n      --type=json\n\n```sh\nhelm test a\n```\n\n```yaml\nmake: no\n```\n"
    expected = ["kubectl get pods   # all", "kubectl patch x \\\n      --type=json", "helm test a", "make image"]
    assert shown(text) == [*expected, "helm install a b"]
    found = {page for page, _ in SHOWN}
    assert found >= {"README.md", "docs/deploy.md", "docs/operations.md", "deploy/helm/corepod/README.md"}
