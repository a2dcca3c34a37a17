"""Turns the API server's JSON into facts. Every function raises Malformed for an object without the expected form."""

from __future__ import annotations

import re
from functools import wraps
from sys import intern
from typing import TYPE_CHECKING, Any, TypeVar, cast

from corepod.operator.api.demand import Json, demand, destination
from corepod.operator.api.requests import amounts, requests
from corepod.operator.model import autoscalers
from corepod.operator.model.facts import HorizontalAutoscaler, Key, Match, Node, Pod, Quota, Taint, Workload
from corepod.operator.model.interning import interned
from corepod.operator.model.names import DOMAIN, SIZED
from corepod.operator.model.quantity import milli, whole

if TYPE_CHECKING:
    from collections.abc import Callable

LONGEST = 500  # characters of a refusal: a webhook may write as many as it likes
RANDOM_NAME = re.compile(r'(?<=^pods )"[^"]*" ')  # in a refusal by the API server
F = TypeVar("F", bound="Callable[..., Any]")


class Malformed(ValueError):
    """An API object without the expected form. The text names the object and what is wrong with it."""


def _decodes(kind: str) -> Callable[[F], F]:
    def wrap(build: F) -> F:
        @wraps(build)
        def decoder(obj: Any, *args: Any) -> Any:
            try:
                return build(obj, *args)
            except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError) as error:
                raise Malformed(f"{kind} {_name_of(obj)}: {type(error).__name__}: {error}") from error

        return cast("F", decoder)

    return wrap


def _name_of(obj: Any) -> str:
    try:
        return "/".join(str(obj["metadata"][part]) for part in ("namespace", "name") if part in obj["metadata"])
    except (TypeError, KeyError):
        return "without a name"


@_decodes("Node")
def node(obj: Json) -> Node:
    meta, spec, status = obj["metadata"], obj.get("spec") or {}, obj.get("status") or {}
    taints = tuple(Taint(each["key"], each.get("value") or "", each["effect"]) for each in spec.get("taints") or ())
    ready = any(each["type"] == "Ready" and each["status"] == "True" for each in status.get("conditions") or ())
    labels = {intern(key): intern(value) for key, value in (meta.get("labels") or {}).items()}
    return Node(
        name=intern(meta["name"]),
        allocatable=amounts(status.get("allocatable")),
        labels=labels,
        taints=interned(taints),
        ready=ready,
        unschedulable=bool(spec.get("unschedulable")),
        autoscaler=intern(autoscalers.mark(meta["name"], labels, (taint.key for taint in taints))),
    )


@_decodes("Pod")
def pod(obj: Json) -> Pod:
    meta, spec, status = obj["metadata"], obj["spec"], obj.get("status") or {}
    labels, conditions = meta.get("labels") or {}, _conditions(status)
    running = (*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ()))
    infeasible = (conditions.get("PodResizePending") or {}).get("reason") == "Infeasible"
    requested = requests(spec, running, infeasible=infeasible)
    workload = _owner(meta, labels)
    reason, message = _failure(status, conditions)
    return Pod(
        namespace=intern(meta["namespace"]),
        name=meta["name"],
        uid=meta["uid"],
        node=intern(spec.get("nodeName") or ("" if workload else destination(spec))),
        phase=intern(status.get("phase") or "Pending"),
        deleting="deletionTimestamp" in meta,
        created=intern(meta.get("creationTimestamp") or ""),
        requests=requested,
        workload=workload,
        demand=demand(spec, labels, requested) if workload and not _changed(meta) else None,
        reason=reason,
        message=message,
        ready=(conditions.get("Ready") or {}).get("status") == "True",
        ip=status.get("podIP") or "" if workload else "",
        other_ips=tuple(each["ip"] for each in (status.get("podIPs") or ())[1:]) if workload else (),
    )


def _changed(meta: Json) -> bool:
    """Whether a pod's spec isn't the one it was created with: it was resized in place, which its successors aren't."""
    return int(meta.get("generation") or 1) > 1


def _conditions(status: Json) -> dict[str, Json]:
    return {each["type"]: each for each in status.get("conditions") or ()}


def _failure(status: Json, conditions: dict[str, Json]) -> tuple[str, str]:
    if status.get("phase") == "Failed":
        return intern(status.get("reason") or ""), intern(status.get("message") or "")
    scheduled = conditions.get("PodScheduled") or {}
    if scheduled.get("status") == "False":
        return intern(scheduled.get("reason") or ""), intern(scheduled.get("message") or "")
    return "", ""


def _owner(meta: Json, labels: Json) -> Key | None:
    """The Deployment or StatefulSet that owns a pod. A ReplicaSet has its Deployment's name, followed by the hash."""
    owner = next((each for each in meta.get("ownerReferences") or () if each.get("controller")), None)
    if owner is None or not str(owner.get("apiVersion")).startswith("apps/"):
        return None
    if owner["kind"] == "StatefulSet":
        return _key("StatefulSet", meta, owner["name"])
    tail = f"-{labels.get('pod-template-hash')}"
    if owner["kind"] == "ReplicaSet" and owner["name"].endswith(tail):
        return _key("Deployment", meta, owner["name"].removesuffix(tail))
    return None


def _key(kind: str, meta: Json, name: str) -> Key:
    return interned(Key(intern(kind), intern(meta["namespace"]), intern(name)))


@_decodes("Workload")
def workload(obj: Json, kind: str) -> Workload:
    """A Deployment or StatefulSet. The caller passes `kind`, because the items of a list don't carry it."""
    meta, spec, status = obj["metadata"], obj["spec"], obj.get("status") or {}
    template = spec["template"]
    own = {key: intern(text) for key, text in (meta.get("annotations") or {}).items() if key.startswith(DOMAIN)}
    return Workload(
        key=_key(kind, meta, meta["name"]),
        uid=meta["uid"],
        generation=int(meta.get("generation") or 0),
        replicas=int(spec.get("replicas", 1)),
        sized=(meta.get("labels") or {}).get(SIZED) == "true",
        deleting="deletionTimestamp" in meta,
        annotations=own,
        demand=demand(template["spec"], (template.get("metadata") or {}).get("labels") or {}),
        replicas_by=_manager(meta),
        refusal=_refusal(status),
        missing=_missing(spec, status) if kind == "StatefulSet" else 0,
    )


def _refusal(status: Json) -> str:
    """Why a Deployment's ReplicaSet can't create pods. The name of the pod, which is another one each time, goes."""
    failure = _conditions(status).get("ReplicaFailure") or {}
    if failure.get("status") != "True":
        return ""
    return RANDOM_NAME.sub("", failure.get("message") or "its controller doesn't say why")[:LONGEST]


def _missing(spec: Json, status: Json) -> int:
    created = int(status.get("replicas") or 0)
    waits = created != int(status.get("availableReplicas") or 0)  # for a pod before it creates the next one
    return 0 if waits or "observedGeneration" not in status else max(0, int(spec.get("replicas", 1)) - created)


def _manager(meta: Json) -> str:
    """The field manager that the API server recorded as the last writer of spec.replicas."""
    writers = [
        (each.get("time") or "", each.get("manager") or "")
        for each in meta.get("managedFields") or ()
        if "f:replicas" in ((each.get("fieldsV1") or {}).get("f:spec") or {})
    ]
    return max(writers, default=("", ""))[1]


@_decodes("HorizontalPodAutoscaler")
def horizontal_autoscaler(obj: Json) -> HorizontalAutoscaler:
    meta, spec = obj["metadata"], obj["spec"]
    target, owners = spec["scaleTargetRef"], meta.get("ownerReferences") or ()
    return HorizontalAutoscaler(
        namespace=meta["namespace"],
        name=meta["name"],
        uid=meta["uid"],
        target=_key(target["kind"], meta, target["name"]),
        least=int(spec.get("minReplicas") or 1),
        most=int(spec["maxReplicas"]),
        owner=next((f"{each['kind']} {each['name']}" for each in owners if each.get("controller")), ""),
    )


@_decodes("ResourceQuota")
def quota(obj: Json) -> Quota:
    meta, spec, status = obj["metadata"], obj.get("spec") or {}, obj.get("status") or {}
    scopes = [Match(scope, "Exists", ()) for scope in spec.get("scopes") or ()]
    for each in (spec.get("scopeSelector") or {}).get("matchExpressions") or ():
        scopes.append(Match(each["scopeName"], each["operator"], tuple(each.get("values") or ())))
    return Quota(
        namespace=meta["namespace"],
        name=meta["name"],
        hard=_quota_amounts(spec.get("hard")),
        used=_quota_amounts(status.get("used")),
        scopes=tuple(scopes),
    )


def _quota_amounts(quantities: Json | None) -> tuple[tuple[str, int], ...]:
    """The amounts of a quota. CPU has several names there, each in thousandths of a core."""
    cpu = ("cpu", "requests.cpu", "limits.cpu")
    units = {name: milli if name in cpu else whole for name in quantities or {}}
    return tuple(sorted((name, units[name](text)) for name, text in (quantities or {}).items()))
