"""What belongs to a workload beside it: HorizontalPodAutoscaler, Service, Ingress, PodDisruptionBudget."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from corepod.migrate.formats.documents import shown
from corepod.migrate.formats.taking import Taking
from corepod.migrate.model import Fate

if TYPE_CHECKING:
    from corepod.migrate.formats.kubernetes.values import Chart

Object = dict[str, Any]
_HEALTH = ("healthcheck", "health-check", "backend-config", "healthchecks")
_STICKY = ("affinity", "sticky", "stickiness", "session-cookie")


def take_all(chart: Chart, workload: Object, objects: list[Object]) -> set[int]:
    """Takes what is the workload's; returns the ids of these objects."""
    used: set[int] = set()
    name = _name(workload)
    pods = workload if workload.get("kind") == "Pod" else (workload.get("spec") or {}).get("template") or {}
    labels = (pods.get("metadata") or {}).get("labels") or {}
    services: set[str] = set()
    for one in objects:
        spec = one.get("spec") or {}
        selector = spec.get("selector") or {}
        selector = selector.get("matchLabels", selector) if isinstance(selector, dict) else {}
        mine = bool(selector) and all(labels.get(key) == value for key, value in selector.items())
        if one.get("kind") == "HorizontalPodAutoscaler" and (spec.get("scaleTargetRef") or {}).get("name") == name:
            _autoscaler(chart, Taking(chart.program, spec, "HPA."))
        elif one.get("kind") == "Service" and mine and not services:
            services.add(_name(one))
            _service(chart, one, Taking(chart.program, spec, "Service."))
        elif one.get("kind") == "PodDisruptionBudget" and mine:
            _budget(chart, Taking(chart.program, spec, "PDB."))
        else:
            continue
        used.add(id(one))
    for one in objects:
        if one.get("kind") == "Ingress" and services & _backends(one) and "ingress" not in chart.values:
            _ingress(chart, one, services)
            used.add(id(one))
    return used


def _name(one: Object) -> str:
    return str((one.get("metadata") or {}).get("name", ""))


def _autoscaler(chart: Chart, taking: Taking) -> None:
    chart.put("autoscaling.enabled", True)
    if chart.values.pop("replicas", None) is not None:
        items = chart.program.items
        at = next(at for at, item in enumerate(items) if item.setting == "spec.replicas")
        note = "the autoscaler decides it"
        items[at] = type(items[at])(Fate.DROPPED, "spec.replicas", items[at].value, note=note)
    taking.drop("the chart's own", "scaleTargetRef")
    for key in ("minReplicas", "maxReplicas"):
        if key in taking:
            chart.take(taking, key, f"autoscaling.{key}")
    if "targetCPUUtilizationPercentage" in taking:
        chart.take(taking, "targetCPUUtilizationPercentage", "autoscaling.targetCPU")
    for at, metric in enumerate(taking.take("metrics") or []):
        _metric(chart, metric, f"metrics[{at}]")
    if taking.get("behavior"):
        chart.take(taking, "behavior", "autoscaling.behavior")
    taking.ask("the chart has no value for it", *list(taking.left))


def _metric(chart: Chart, metric: Object, place: str) -> None:
    resource = metric.get("resource") or metric.get("containerResource") or {}
    target = (resource.get("target") or {}).get("averageUtilization", resource.get("targetAverageUtilization"))
    if resource.get("name") == "cpu" and isinstance(target, int) and metric.get("type") == "Resource":
        note = "of the pod's request; with whole cores, of these cores"
        chart.put("autoscaling.targetCPU", target)
        chart.program.map(f"HPA.{place}", shown(metric), f"autoscaling.targetCPU: {target}", note)
        return
    note = "the chart scales on CPU alone"
    if resource.get("name") == "memory":
        note += "; memory doesn't fall when pods are added: max_memory replaces workers that grow"
    chart.program.ask(f"HPA.{place}", shown(metric), note)


def take_annotations(chart: Chart, one: Object, path: str) -> None:
    """Of a Service or an Ingress; checks of a load balancer still ask the application."""
    given = (one.get("metadata") or {}).get("annotations") or {}
    kept: dict[str, str] = {}
    for key, value in given.items():
        setting = f"{one.get('kind')} annotation {key}"
        if key.startswith("kubectl.kubernetes.io/"):
            chart.program.drop(setting, shown(value), "of kubectl")
            continue
        kept[key] = shown(value)
        name = key.rpartition("/")[2]
        if any(word in name for word in _HEALTH):
            note = "the load balancer still asks the application, on port 8000: see that path and port fit"
            chart.program.map(setting, shown(value), f"{path}.annotations", note, check=True)
        elif any(word in name for word in _STICKY):
            note = "clients stay with a pod; inside of a pod, slots share its connections"
            chart.program.map(setting, shown(value), f"{path}.annotations", note, check=True)
        else:
            chart.program.map(setting, shown(value), f"{path}.annotations")
    if kept:
        chart.put(f"{path}.annotations", kept)


def _service(chart: Chart, one: Object, taking: Taking) -> None:
    take_annotations(chart, one, "service")
    taking.drop("the chart's own", "selector")
    if taking.get("type", "ClusterIP") in ("ClusterIP", "NodePort", "LoadBalancer") and "type" in taking:
        chart.take(taking, "type", "service.type")
    ports = taking.get("ports") or []
    if ports:
        _ports(chart, taking, ports)
    if taking.get("sessionAffinity", "None") == "None":
        taking.drop("the chart has the same", "sessionAffinity")
    taking.ask("the chart's Service has no affinity; the Ingress in front may have one (a cookie)", "sessionAffinity")
    for key in ("externalTrafficPolicy", "loadBalancerClass", "loadBalancerSourceRanges", "trafficDistribution"):
        if taking.get(key):
            chart.take(taking, key, f"service.{key}")
    taking.drop("decided by the cluster", "internalTrafficPolicy", "ipFamilies", "ipFamilyPolicy")
    taking.ask("the chart has no value for it", *list(taking.left))


def _ports(chart: Chart, taking: Taking, ports: list[Object]) -> None:
    port = ports[0]
    chart.put("service.port", int(port.get("port", 80)))
    for key in ("nodePort", "appProtocol"):
        if port.get(key):
            chart.put(f"service.{key}", port[key])
    ours = f"service.port: {port.get('port', 80)}"
    if len(ports) > 1:
        taking.note(Fate.NEEDS_YOU, "ports", ours, "the chart's Service has one port; probes and metrics have another")
    else:
        taking.note(Fate.MAPPED, "ports", ours, "its target is the chart's port 8000")


def _budget(chart: Chart, taking: Taking) -> None:
    taking.drop("the chart's own", "selector", "unhealthyPodEvictionPolicy")
    for key in ("minAvailable", "maxUnavailable"):
        if key in taking:
            chart.take(taking, key, f"pdb.{key}", why="the chart refuses what stops drains", check=True)
    taking.ask("the chart has no value for it", *list(taking.left))


def _paths(one: Object) -> list[tuple[str, Object]]:
    rules = (one.get("spec") or {}).get("rules") or []
    return [(str(rule.get("host", "")), path) for rule in rules for path in (rule.get("http") or {}).get("paths") or []]


def _backend(path: Object) -> str:
    backend = path.get("backend") or {}
    return str((backend.get("service") or {}).get("name") or backend.get("serviceName") or "")


def _backends(one: Object) -> set[str]:
    default = {_backend({"backend": (one.get("spec") or {}).get("defaultBackend")})}
    return {_backend(path) for _, path in _paths(one)} | default


def _ingress(chart: Chart, one: Object, services: set[str]) -> None:
    taking = Taking(chart.program, one.get("spec") or {}, "Ingress.")
    chart.put("ingress.enabled", True)
    if "ingressClassName" in taking:
        chart.take(taking, "ingressClassName", "ingress.className")
    hosts: dict[str, list[Object]] = {}
    foreign = []
    for host, path in _paths(one):
        if _backend(path) not in services:
            foreign.append(f"{host}{path.get('path', '/')}")
            continue
        kind = path.get("pathType", "Prefix")
        hosts.setdefault(host, []).append({"path": path.get("path", "/"), "pathType": kind})
    if hosts:
        chart.put("ingress.hosts", [{"host": host, "paths": paths} for host, paths in hosts.items()])
    if foreign:
        taking.note(Fate.NEEDS_YOU, "rules", "ingress.hosts", f"{', '.join(foreign)} lead to other Services")
    elif "rules" in taking:
        taking.note(Fate.MAPPED, "rules", "ingress.hosts")
    if taking.get("tls"):
        chart.take(taking, "tls", "ingress.tls")
    take_annotations(chart, one, "ingress")
    taking.ask("the chart has no value for it", *list(taking.left))
