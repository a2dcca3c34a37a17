"""Requests and limits of a whole pod, added up as the scheduler does it."""

from __future__ import annotations

from sys import intern
from typing import TYPE_CHECKING, Any

from corepod.operator.model.interning import interned
from corepod.operator.model.quantity import amount

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from corepod.operator.model.facts import Amounts

Json = dict[str, Any]


def amounts(quantities: Mapping[str, object] | None) -> Amounts:
    """A resource list of the API as amounts."""
    return _frozen({name: amount(name, text) for name, text in (quantities or {}).items()})


def requests(spec: Json, statuses: Iterable[Json] = (), *, infeasible: bool = False) -> Amounts:
    """A pod's requests, with `pods` as a resource of which it needs one.

    `statuses` are those of its containers. While a container is resized in place, the greater of its present and its
    new requests counts. `infeasible`: the node can't resize the pod, so the present requests count.
    """
    present = {status.get("name", ""): _present(status) for status in statuses}

    def of(container: Json) -> dict[str, int]:
        requested, actual = _declared(container, "requests"), present.get(container.get("name", ""), {})
        return actual if actual and infeasible else _greater(requested, actual)

    total = _pod_level(spec, "requests", _sum(spec, of))
    _add(total, dict(amounts(spec.get("overhead"))))
    return _frozen(total | {"pods": 1})


def limits(spec: Json) -> Amounts:
    """A pod's limits. The overhead counts only for resources that have a limit."""
    total = _pod_level(spec, "limits", _sum(spec, lambda container: _declared(container, "limits")))
    overhead = dict(amounts(spec.get("overhead")))
    return _frozen({name: much + overhead.get(name, 0) for name, much in total.items()})


def _sum(spec: Json, of: Any) -> dict[str, int]:
    """The sum over all containers, or what the pod needs while its init containers run one after another, if more."""
    total: dict[str, int] = {}
    for container in spec.get("containers") or ():
        _add(total, of(container))
    sidecars: dict[str, int] = {}  # init containers that keep running
    starting: dict[str, int] = {}
    for container in spec.get("initContainers") or ():
        needed = of(container)
        if container.get("restartPolicy") == "Always":
            _add(total, needed)
            needs = _add(sidecars, needed)
        else:
            needs = _add(dict(sidecars), needed)
        starting = _greater(starting, needs)
    return _greater(total, starting)


def _pod_level(spec: Json, side: str, total: dict[str, int]) -> dict[str, int]:
    """Resources of the pod as a whole (spec.resources) replace the sum over its containers."""
    resources = spec.get("resources") or {}
    whole = dict(amounts(resources.get(side)))
    if side == "requests":  # the API server completes pods in this way, but not pod templates
        defaults = {name: much for name, much in amounts(resources.get("limits")) if name not in total}
        whole = defaults | whole
    return total | whole


def _declared(container: Json, side: str) -> dict[str, int]:
    resources = container.get("resources") or {}
    declared = dict(amounts(resources.get("limits")))
    # The API server derives missing requests from the limits. A pod template doesn't show that yet.
    return declared if side == "limits" else declared | dict(amounts(resources.get("requests")))


def _present(status: Json) -> dict[str, int]:
    actual = (status.get("resources") or {}).get("requests")
    return _greater(dict(amounts(actual)), dict(amounts(status.get("allocatedResources"))))


def _add(total: dict[str, int], more: Mapping[str, int]) -> dict[str, int]:
    for name, much in more.items():
        total[name] = total.get(name, 0) + much
    return total


def _greater(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {name: max(one.get(name, 0), other.get(name, 0)) for name in {*one, *other}}


def _frozen(total: Mapping[str, int]) -> Amounts:
    return interned(tuple(sorted((intern(name), much) for name, much in total.items())))
