"""Finds the workloads that are web applications of Python, and what belongs to each of them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from corepod.migrate.formats import dockerfile, documents, server
from corepod.migrate.formats.kubernetes import beside, resources, workload
from corepod.migrate.formats.kubernetes.values import Chart
from corepod.migrate.model import Context, MigrateError, Migration, Program

if TYPE_CHECKING:
    from collections.abc import Iterator

    from corepod.migrate.formats.server import Found

Object = dict[str, Any]
WORKLOADS = ("Deployment", "StatefulSet", "ReplicaSet", "Pod", "DaemonSet", "Rollout")
_REFERENCE = re.compile(r"\$\((\w+)\)")
_HELM = "helm install {} corepod --values {} (the chart is deploy/helm/corepod); remove the old workload when it serves"


@dataclass
class Web:
    """A workload with its container that serves; `found` is None where the image decides what starts."""

    workload: Object
    container: Object
    found: Found | None
    others: list[Object] = field(default_factory=list)

    @property
    def name(self) -> str:
        return str(self.workload.get("metadata", {}).get("name", "app"))


def read(content: list[Any], context: Context, name: str) -> Migration:
    """Raises MigrateError where no workload is a web application."""
    objects = list(_objects(content))
    workloads = [one for one in objects if one.get("kind") in WORKLOADS]
    if not workloads:
        kinds = ", ".join(sorted({str(one.get("kind")) for one in objects})) or "nothing"
        raise MigrateError(f"{name}: there is no Deployment, StatefulSet or Pod (there is {kinds})")
    webs = [web for one in workloads if (web := _web(one, context)) is not None]
    if any(web.found for web in webs):
        webs = [web for web in webs if web.found]
    if not webs:
        raise MigrateError(f"{name}: no container starts {server.NAMES}")
    migration = Migration(name, "Kubernetes")
    chosen = [id(web.workload) for web in webs]
    used = set(chosen)
    for web in webs:
        chart = _chart(web)
        used |= beside.take_all(chart, web.workload, objects)
        file = "values.yaml" if len(webs) == 1 else f"values-{web.name}.yaml"
        migration.programs.append(chart.program)
        migration.files[file] = documents.dump(chart.finish())
        migration.notes.append(_HELM.format(web.name, file))
    migration.notes += [_stays(one) for one in objects if id(one) not in used]
    return migration


def _objects(content: list[Any]) -> Iterator[Object]:
    for one in content:
        if isinstance(one, dict) and str(one.get("kind", "")).endswith("List") and isinstance(one.get("items"), list):
            yield from _objects(one["items"])
        elif isinstance(one, dict):
            yield one


def pod_of(one: Object) -> Object:
    """The specification of its pods, and their metadata."""
    spec = one.get("spec") or {}
    template = one if one.get("kind") == "Pod" else spec.get("template") or {}
    return {"metadata": template.get("metadata") or {}, "spec": template.get("spec") or {}}


def _web(one: Object, context: Context) -> Web | None:
    """The container that starts a server; else one that has a port, and starts what its image says."""
    containers = pod_of(one)["spec"].get("containers") or []
    undecided = None
    for container in containers:
        words = [str(word) for word in [*(container.get("command") or []), *(container.get("args") or [])]]
        inner = replace(
            context, environ={**context.environ, **_environment(container)}, cores=resources.whole_cores(container)
        )
        line = [_REFERENCE.sub(r"${\1}", word) for word in words]
        found = server.find(line, inner) if line else None
        if found is not None:
            return Web(one, container, found, [other for other in containers if other is not container])
        if container.get("ports") and not container.get("command"):
            undecided = undecided or container
    if undecided is None or server.kind(str(undecided.get("image", "")).partition(":")[0].rpartition("/")[2]):
        return None
    found = _by_image(undecided, context)
    return Web(one, undecided, found, [other for other in containers if other is not undecided])


def _by_image(container: Object, context: Context) -> Found | None:
    """What the image starts: of several Dockerfiles, that in the folder, or with the ending, of the image's name."""
    name = str(container.get("image", "")).partition("@")[0].rpartition("/")[2].partition(":")[0]
    named = [one for one in context.images if name in (one.resolve().parent.name, one.stem, one.suffix[1:])]
    if not (fitting := named or context.images[: len(context.images) == 1]):
        return None
    inner = replace(context, cores=resources.whole_cores(container))
    return dockerfile.image(
        fitting[0], inner, _environment(container), [str(one) for one in container.get("args") or []]
    )


def _environment(container: Object) -> dict[str, str]:
    return {one["name"]: str(one["value"]) for one in container.get("env") or [] if one.get("value") is not None}


def _chart(web: Web) -> Chart:
    program = web.found.program if web.found else Program(web.name, "image")
    program.name = web.name
    chart = Chart(program)
    workload.take_all(chart, web)
    return chart


def _stays(one: Object) -> str:
    return f"{one.get('kind')} {one.get('metadata', {}).get('name', '')} stays as it is"
