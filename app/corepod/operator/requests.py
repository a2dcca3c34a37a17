"""The requests and limits of a pod, added up as the scheduler adds them."""

from __future__ import annotations

from sys import intern
from typing import TYPE_CHECKING, Any

from corepod.operator.quantity import amount
from corepod.operator.share import same

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from corepod.operator.facts import Amounts

Json = dict[str, Any]


def amounts(quantities: Mapping[str, object] | None) -> Amounts:
    """A resource list as the API has it."""
    return _frozen({name: amount(name, text) for name, text in (quantities or {}).items()})


def requests(spec: Json, statuses: Iterable[Json] = (), *, infeasible: bool = False) -> Amounts:
    """A pod's requests, and one pod.

    `statuses` are those of its containers: while one is resized in place, the greater of what it has and what it is
    to have counts. `infeasible`: the node can't resize it, so what it has counts.
    """
    has = {status.get("name", ""): _has(status) for status in statuses}

    def of(container: Json) -> dict[str, int]:
        asked, actual = _asked(container, "requests"), has.get(container.get("name", ""), {})
        return actual if actual and infeasible else _greater(asked, actual)

    total = _level(spec, "requests", _together(spec, of))
    _add(total, dict(amounts(spec.get("overhead"))))
    return _frozen(total | {"pods": 1})


def limits(spec: Json) -> Amounts:
    """A pod's limits. What has none gets none from the sandbox's overhead either."""
    total = _level(spec, "limits", _together(spec, lambda container: _asked(container, "limits")))
    overhead = dict(amounts(spec.get("overhead")))
    return _frozen({name: much + overhead.get(name, 0) for name, much in total.items()})


def _together(spec: Json, of: Any) -> dict[str, int]:
    """All containers at once, or what the pod needs while its init containers run, one after the other."""
    total: dict[str, int] = {}
    for container in spec.get("containers") or ():
        _add(total, of(container))
    sidecars: dict[str, int] = {}  # init containers that stay
    starting: dict[str, int] = {}
    for container in spec.get("initContainers") or ():
        mine = of(container)
        if container.get("restartPolicy") == "Always":
            _add(total, mine)
            needs = _add(sidecars, mine)
        else:
            needs = _add(dict(sidecars), mine)
        starting = _greater(starting, needs)
    return _greater(total, starting)


def _level(spec: Json, side: str, total: dict[str, int]) -> dict[str, int]:
    """What the pod asks for as a whole (spec.resources) stands for the sum of its containers."""
    resources = spec.get("resources") or {}
    whole = dict(amounts(resources.get(side)))
    if side == "requests":  # the API server completes pods in this way, but no templates
        unsaid = {name: much for name, much in amounts(resources.get("limits")) if name not in total}
        whole = unsaid | whole
    return total | whole


def _asked(container: Json, side: str) -> dict[str, int]:
    resources = container.get("resources") or {}
    asked = dict(amounts(resources.get("limits")))
    # Pods get the requests they don't name from their limits. A template doesn't show it yet.
    return asked if side == "limits" else asked | dict(amounts(resources.get("requests")))


def _has(status: Json) -> dict[str, int]:
    actual = (status.get("resources") or {}).get("requests")
    return _greater(dict(amounts(actual)), dict(amounts(status.get("allocatedResources"))))


def _add(total: dict[str, int], more: Mapping[str, int]) -> dict[str, int]:
    for name, much in more.items():
        total[name] = total.get(name, 0) + much
    return total


def _greater(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {name: max(one.get(name, 0), other.get(name, 0)) for name in {*one, *other}}


def _frozen(total: Mapping[str, int]) -> Amounts:
    return same(tuple(sorted((intern(name), much) for name, much in total.items())))
