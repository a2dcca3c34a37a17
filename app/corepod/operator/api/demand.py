"""What a pod spec demands: resources, and the nodes on which the pod may run."""

from __future__ import annotations

from sys import intern
from typing import TYPE_CHECKING, Any

from corepod.operator.api.requests import limits, requests
from corepod.operator.model.facts import Demand, Match, Spread, Toleration
from corepod.operator.model.interning import interned

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from corepod.operator.model.facts import Amounts

Json = dict[str, Any]
HOSTNAME = "kubernetes.io/hostname"
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


def demand(spec: Json, labels: Mapping[str, str], requested: Amounts | None = None) -> Demand:
    """The demand of a pod with this spec and these labels. `requested`: its requests, if they are known already."""
    affinity = spec.get("affinity") or {}
    others: list[str] = []
    return interned(
        Demand(
            requests=requested or requests(spec),
            limits=limits(spec),
            selector=tuple(sorted(_selector(spec))),
            terms=_terms((affinity.get("nodeAffinity") or {}).get(REQUIRED)),
            tolerations=tuple(_toleration(each) for each in spec.get("tolerations") or ()),
            apart=tuple(sorted(set(_apart(spec, affinity, labels, others)))),
            spread=tuple(_spread(spec.get("topologySpreadConstraints") or (), labels)),
            priority_class=intern(spec.get("priorityClassName") or ""),
            unclear=tuple(_unclear(spec, affinity, others)),
        )
    )


def destination(spec: Json) -> str:
    """The only node that a pod may go to by its required node affinity, empty if there is none or a choice.

    The DaemonSet controller writes it so. The node has to have room for such a pod, which can't go anywhere else.
    """
    required = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get(REQUIRED) or {}
    named = [_named(term) for term in required.get("nodeSelectorTerms") or ()]
    return named[0] if named and all(name == named[0] for name in named) else ""


def _named(term: Json) -> str:
    fields = [each for each in term.get("matchFields") or () if each["key"] == "metadata.name"]
    names = [each["values"] for each in fields if each["operator"] == "In"]
    return str(names[0][0]) if names and len(names[0]) == 1 else ""


def selects(selector: Json | None, labels: Mapping[str, str]) -> bool:
    """Whether a label selector matches these labels. A missing selector matches nothing, an empty one everything."""
    if selector is None:
        return False
    wanted = (selector.get("matchLabels") or {}).items()
    return all(labels.get(key) == value for key, value in wanted) and all(
        _holds(each, labels) for each in selector.get("matchExpressions") or ()
    )


def _holds(expression: Json, labels: Mapping[str, str]) -> bool:
    value, values = labels.get(expression["key"]), expression.get("values") or ()
    match expression["operator"]:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case _:
            return value is None


def _selector(spec: Json) -> Iterator[tuple[str, str]]:
    yield from ((intern(key), intern(value)) for key, value in (spec.get("nodeSelector") or {}).items())
    # The scheduler ignores it, and a kubelet of another operating system refuses the pod again and again.
    if system := (spec.get("os") or {}).get("name"):
        yield "kubernetes.io/os", intern(system)


def _terms(required: Json | None) -> tuple[tuple[Match, ...], ...] | None:
    if required is None:
        return None
    return tuple(tuple(_matches(term)) for term in required.get("nodeSelectorTerms") or ())


def _matches(term: Json) -> Iterator[Match]:
    for name, field in (("matchExpressions", False), ("matchFields", True)):
        for each in term.get(name) or ():
            yield Match(intern(each["key"]), intern(each["operator"]), tuple(each.get("values") or ()), field)


def _toleration(each: Json) -> Toleration:
    operator = each.get("operator") or "Equal"
    return Toleration(each.get("key") or "", operator, each.get("value") or "", each.get("effect") or "")


def _apart(spec: Json, affinity: Json, labels: Mapping[str, str], others: list[str]) -> Iterator[str]:
    """Topology keys in whose domains only one of these pods may run. Keys of terms about other pods go to `others`."""
    for term in (affinity.get("podAntiAffinity") or {}).get(REQUIRED) or ():
        if selects(term.get("labelSelector"), labels):
            yield intern(term["topologyKey"])
        else:
            others.append(term.get("topologyKey") or "")
    containers = (*(spec.get("containers") or ()), *(spec.get("initContainers") or ()))
    ports = [port for container in containers for port in container.get("ports") or ()]
    if any(port.get("hostPort") or spec.get("hostNetwork") for port in ports):
        yield HOSTNAME


def _spread(constraints: Iterable[Json], labels: Mapping[str, str]) -> Iterator[Spread]:
    for each in constraints:
        # A constraint that counts only other pods is never violated by placing these.
        if each.get("whenUnsatisfiable") == "DoNotSchedule" and selects(each.get("labelSelector"), labels):
            yield Spread(
                key=intern(each["topologyKey"]),
                skew=each["maxSkew"],
                domains=each.get("minDomains") or 0,
                honors_affinity=each.get("nodeAffinityPolicy") != "Ignore",
                honors_taints=each.get("nodeTaintsPolicy") == "Honor",
            )


def _unclear(spec: Json, affinity: Json, others: list[str]) -> Iterator[str]:
    if (affinity.get("podAffinity") or {}).get(REQUIRED):
        yield "a required pod affinity"
    if others:
        yield "a required pod anti-affinity to other pods"
    if spec.get("resourceClaims"):
        yield "resource claims"
