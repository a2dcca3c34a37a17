"""Renders the chart and the kustomizations with the real helm and kubectl; nothing here needs a cluster."""

from __future__ import annotations

import copy
import functools
import re
import subprocess
from pathlib import Path
from typing import Any

import yaml

from tests.plugins.needs import program

try:  # some ten times as fast; a PyYAML that was built without libyaml doesn't have it
    from yaml import CSafeLoader as _Loader
except ImportError:
    from yaml import SafeLoader as _Loader  # type: ignore[assignment]

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy" / "helm" / "corepod"
K8S = ROOT / "deploy" / "k8s"
KUBERNETES = "1.34.0"  # what helm takes for the cluster's version where there is no cluster

Object = dict[str, Any]


class Loader(_Loader):
    """Reads what helm and kubectl print."""


def run(*command: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60, check=False)


_once = functools.cache(run)  # many tests look at the same rendering


def helm_template(
    values: Object | None, *args: str, release: str = "corepod", folder: Path = CHART
) -> subprocess.CompletedProcess[str]:
    arguments = ("template", release, str(folder), "--kube-version", KUBERNETES, "--values", "-", *args)
    return _once(program("helm"), *arguments, stdin=yaml.safe_dump(values or {}))


def chart(values: Object | None = None, *args: str, **options: Any) -> list[Object]:
    """The objects the chart makes with these values."""
    result = helm_template(values, *args, **options)
    assert result.returncode == 0, result.stderr
    return parsed(result.stdout)


def refused(values: Object | None, *args: str) -> str:
    """What helm says about values that it has to refuse."""
    result = helm_template(values, *args)
    assert result.returncode != 0, "helm takes these values"
    return result.stderr


def kustomize(folder: str) -> list[Object]:
    """The objects of a folder below deploy/k8s."""
    result = run(program("kubectl"), "kustomize", str(K8S / folder))
    assert result.returncode == 0, result.stderr
    return parsed(result.stdout)


def parsed(text: str, loader: type[Loader] = Loader) -> list[Object]:
    """The documents in a text of YAML that aren't empty."""
    return [document for document in yaml.load_all(text, loader) if document]


def find(objects: list[Object], kind: str, name: str | None = None) -> Object:
    """The object of this kind and name; without a name, the only one that is neither the operator's nor the front's."""
    found = [o for o in objects if o["kind"] == kind and name in (None, o["metadata"]["name"])]
    if name is None:
        others = ("operator", "front")
        found = [o for o in found if o["metadata"].get("labels", {}).get("app.kubernetes.io/component") not in others]
    assert len(found) == 1, f"{len(found)} of {kind} {name or ''} in {sorted(kinds(objects))}"
    return found[0]


def kinds(objects: list[Object]) -> set[str]:
    return {o["kind"] for o in objects}


def pod_specs(objects: list[Object]) -> list[Object]:
    """The specification of every pod that the objects are, or make."""
    pods = [o["spec"] for o in objects if o["kind"] == "Pod"]
    return pods + [o["spec"]["template"]["spec"] for o in objects if "template" in o.get("spec", {})]


def containers(spec: Object) -> list[Object]:
    return [*spec.get("initContainers", []), *spec["containers"]]


def worker(objects: list[Object]) -> Object:
    """The worker's container."""
    spec = find(objects, "Deployment")["spec"]["template"]["spec"]
    found: list[Object] = [c for c in spec["containers"] if c["name"] == "worker"]
    assert len(found) == 1
    return found[0]


def environment(container: Object) -> dict[str, Any]:
    """Name and value of each variable; what comes from elsewhere as it is written."""
    names = [variable["name"] for variable in container["env"]]
    assert len(names) == len(set(names)), f"a variable twice: {names}"
    return {v["name"]: v["value"] if "value" in v else v["valueFrom"] for v in container["env"]}


def resolved(template: Object) -> Object:
    """A pod's template as the kubelet reads it: variables that come from its own annotations filled in wherever $(NAME)
    names them. They and those annotations are left out."""
    template = copy.deepcopy(template)
    annotations = template["metadata"].pop("annotations", {})
    for container in containers(template["spec"]):
        known: dict[str, str] = {}
        for variable in list(container.get("env", [])):
            path = variable.get("valueFrom", {}).get("fieldRef", {}).get("fieldPath", "")
            if named := re.fullmatch(r"metadata\.annotations\['(.+)'\]", path):
                known[variable["name"]] = annotations.pop(named[1])
                container["env"].remove(variable)
        if "args" in container:
            container["args"] = [_expanded(argument, known) for argument in container["args"]]
        for variable in container.get("env", []):
            if "value" in variable:
                variable["value"] = _expanded(variable["value"], known)
    if annotations:
        template["metadata"]["annotations"] = annotations
    return template


def _expanded(text: str, known: dict[str, str]) -> str:
    return re.sub(r"\$\((\w+)\)", lambda found: known.get(found[1], found[0]), text)
