"""A Deployment (StatefulSet, Pod): all but its pods' containers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from corepod.migrate.formats.kubernetes import container, pod
from corepod.migrate.formats.taking import Taking
from corepod.migrate.model import Fate

if TYPE_CHECKING:
    from corepod.migrate.formats.kubernetes.read import Web
    from corepod.migrate.formats.kubernetes.values import Chart

_DEFAULTS = ("revisionHistoryLimit", "progressDeadlineSeconds", "podManagementPolicy", "paused")
_TOOLS = ("kubectl.kubernetes.io/", "deployment.kubernetes.io/", "meta.helm.sh/")
_OWN_LABELS = ("app.kubernetes.io/", "helm.sh/", "pod-template-hash", "corepod.dev/")


def take_all(chart: Chart, web: Web) -> None:
    kind = str(web.workload.get("kind"))
    top = Taking(chart.program, web.workload)
    metadata = Taking(chart.program, top.take("metadata") or {}, "metadata.")
    for key in ("kind", "apiVersion", "status"):
        top.take(key)
    if kind not in ("Deployment", "ReplicaSet", "Pod"):
        chart.program.ask("kind", kind, "the chart makes a Deployment")
    _metadata(chart, metadata)
    spec = top.take("spec") or {}
    if kind == "Pod":
        inner = {"metadata": {}, "spec": spec}
    else:
        taking = Taking(chart.program, spec, "spec.")
        inner = taking.take("template") or {}
        _spec(chart, taking)
    _pod_metadata(chart, Taking(chart.program, inner.get("metadata") or {}, "template.metadata."))
    resources = Taking(chart.program, inner.get("spec") or {}, "pod.")
    resources.take("containers")
    container.take_all(chart, web)
    pod.take_all(chart, resources, web)
    top.rest()


def _metadata(chart: Chart, taking: Taking) -> None:
    taking.drop("the chart names its objects after the release", "name", "generateName")
    taking.drop("helm install --namespace", "namespace")
    taking.drop("the chart has labels of its own; those of pods are in podLabels", "labels")
    annotations = taking.get("annotations") or {}
    mine = {key: value for key, value in annotations.items() if not key.startswith(_TOOLS)}
    if mine:
        chart.take(taking, "annotations", "deploymentAnnotations", {key: str(value) for key, value in mine.items()})
    taking.drop("of kubectl and of the cluster", "annotations")
    taking.drop("of the cluster", "uid", "resourceVersion", "generation", "creationTimestamp", "managedFields")
    taking.rest()


def _spec(chart: Chart, taking: Taking) -> None:
    if "replicas" in taking:
        chart.take(taking, "replicas", "replicas")
    taking.drop("the chart selects its pods by labels of its own", "selector")
    strategy = taking.get("strategy") or taking.get("updateStrategy") or {}
    key = "strategy" if "strategy" in taking else "updateStrategy"
    rolling = strategy.get("rollingUpdate") or {}
    if strategy.get("type") == "Recreate":
        chart.take(taking, key, "strategy", {"type": "Recreate"}, "all pods stop before the next ones come", check=True)
    elif strategy.get("type", "RollingUpdate") != "RollingUpdate":
        taking.ask("a Deployment replaces its pods by itself", key)
    elif str(rolling.get("maxSurge", "")) in ("0", "0%"):
        chart.take(taking, key, "full", True, "a pod goes before its successor comes")
    taking.drop("the chart adds up to a quarter of the pods first; strategy takes other numbers", key)
    if "minReadySeconds" in taking:
        chart.take(taking, "minReadySeconds", "minReadySeconds")
    taking.drop("the default of the cluster is kept", *_DEFAULTS)
    taking.ask("the chart makes no volumes; name a claim that exists in extraVolumes", "volumeClaimTemplates")
    taking.ask("pods of a Deployment have no names of their own", "serviceName")
    taking.rest()


def _pod_metadata(chart: Chart, taking: Taking) -> None:
    taking.drop("pods are named after the release", "name", "namespace", "creationTimestamp")
    labels = taking.get("labels") or {}
    mine = {key: str(value) for key, value in labels.items() if not key.startswith(_OWN_LABELS)}
    if mine:
        note = "Services and policies that select the old pods by these labels find the new ones, too"
        chart.take(taking, "labels", "podLabels", mine, note, check=True)
    taking.drop("the chart has labels of its own", "labels")
    _annotations(chart, taking)
    taking.rest()


def _annotations(chart: Chart, taking: Taking) -> None:
    given: dict[str, Any] = taking.take("annotations") or {}
    inner = Taking(chart.program, given, "annotation ")
    kept: dict[str, str] = {}
    for key, value in given.items():
        kept[key] = str(value).lower() if isinstance(value, bool) else str(value)
        if key in ("prometheus.io/port", "prometheus.io/path") and str(value) != ("9000", "/metrics")["path" in key]:
            kept[key] = "9000" if key.endswith("port") else "/metrics"
            why = "corepod's metrics are scraped; those of the application itself need a second scrape of port 8000"
            inner.note(Fate.CHECK, key, f"{key}: {kept[key]}", why)
        else:
            inner.note(Fate.MAPPED, key, "podAnnotations")
    if given.get("prometheus.io/scrape") and "prometheus.io/port" not in given:
        kept["prometheus.io/port"] = "9000"
    if kept:
        chart.put("podAnnotations", kept)
