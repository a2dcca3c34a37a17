"""CPU and memory: which preset of the chart costs the same, and how many workers it has."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from corepod.migrate.formats.documents import shown
from corepod.migrate.formats.taking import Taking
from corepod.migrate.model import Fate

if TYPE_CHECKING:
    from corepod.migrate.formats.kubernetes.read import Web
    from corepod.migrate.formats.kubernetes.values import Chart

_MEMORY = re.compile(r"[1-9][0-9]*(\.[0-9]+)?([kMGT]|[KMGT]i)?")


def cores(value: Any) -> float | None:
    """A quantity of CPU; None where there is none, or one that isn't read."""
    text = str(value if value is not None else "")
    try:
        return float(text[:-1]) / 1000 if text.endswith("m") else float(text)
    except ValueError:
        return None


def whole_cores(container: dict[str, Any]) -> int:
    """Those that its workers may use: one at least."""
    resources = container.get("resources") or {}
    given = (resources.get("limits") or {}).get("cpu", (resources.get("requests") or {}).get("cpu"))
    return max(1, int(cores(given) or 1))


def take_all(chart: Chart, taking: Taking, web: Web) -> None:
    requests = Taking(chart.program, taking.take("requests") or {}, "resources.requests.")
    limits = Taking(chart.program, taking.take("limits") or {}, "resources.limits.")
    exclusive = _exclusive(requests.get("cpu"), limits.get("cpu")) and _fits(web)
    if exclusive:
        _whole(chart, requests, limits)
    else:
        _shared(chart, requests, limits)
    _memory(chart, requests, limits, exclusive)
    for one in (requests, limits, taking):
        one.ask("the chart has no value for it", *list(one.left))


def _exclusive(request: Any, limit: Any) -> bool:
    """Whether the pod has whole cores, and pays for them: as many requested as allowed."""
    most = cores(limit)
    least = cores(request) if request is not None else most
    return most is not None and most >= 1 and most == int(most) and least == most


def _fits(web: Web) -> bool:
    """Exclusive cores need limits of all containers that equal their requests."""
    spec = web.workload.get("spec") or {}
    spec = (spec.get("template") or {}).get("spec") or spec
    for one in [*(spec.get("initContainers") or []), *web.others]:
        resources = one.get("resources") or {}
        limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
        if not {"cpu", "memory"} <= set(limits):
            return False
        if any(str(requests[key]) != str(limits[key]) for key in ("cpu", "memory") if key in requests):
            return False
    return True


def _workers(chart: Chart) -> int | None:
    workers = chart.program.settings.get("workers")
    return workers if isinstance(workers, int) else None


def _whole(chart: Chart, requests: Taking, limits: Taking) -> None:
    most = int(cores(limits.get("cpu")) or 1)
    workers = _workers(chart)
    slots = min(workers, most) if workers is not None else most
    chart.put("cpu", {"preset": "exclusive", "slots": slots})
    if workers is not None and workers > most:
        note = f"{workers} workers shared {most} cores; each has one of its own now"
    elif slots < most:
        note = f"{slots} of {most} cores: each worker uses one"
    else:
        note = ""
    for taking in (limits, requests):
        if "cpu" in taking:
            ours = f"cpu: exclusive, {slots} slots"
            taking.note(Fate.CHECK if note else Fate.MAPPED, "cpu", ours, note)


def _shared(chart: Chart, requests: Taking, limits: Taking) -> None:
    slots = _workers(chart) or 1
    wanted = requests.get("cpu", limits.get("cpu"))
    chart.put("cpu", {"preset": "shared", "slots": slots})
    if wanted is not None and cores(wanted):
        text = str(wanted)
        chart.put("cpu.request", text)
    note = "the same request, and no limit: the pod is never throttled"
    if "cpu" in requests:
        requests.note(Fate.MAPPED, "cpu", f"cpu: shared, request {wanted}", note)
    if "cpu" in limits:
        limits.note(Fate.MAPPED, "cpu", f"cpu: shared, request {wanted}", note)
    if wanted is None:
        chart.program.map(
            "resources.cpu",
            "",
            "cpu: shared, 250m a worker",
            "see what a worker uses",
            check=True,
        )


def _memory(chart: Chart, requests: Taking, limits: Taking, exclusive: bool) -> None:
    request, limit = requests.get("memory"), limits.get("memory")
    given = [value for value in (request, limit) if value is not None]
    if not given:
        request = f"{256 * (_workers(chart) or 1)}Mi"
        note = (
            f"the pods had no limit, and have one now, at which the kernel kills: {request}, which is 256Mi a worker. "
            "See what a pod uses (kubectl top pods), and set memory.request above it"
        )
        chart.put("memory.request", request)
        chart.program.map("resources.memory", "", f"memory.request: {request}", note, check=True)
        return
    if not all(_MEMORY.fullmatch(str(value)) for value in given):
        for taking in (requests, limits):
            taking.ask(f"{shown(taking.get('memory'))} isn't read: set memory.request", "memory")
        return
    least, most = request if request is not None else limit, limit
    if exclusive and most is not None:
        least = most
    chart.put("memory.request", least)
    if not exclusive and most is not None and str(most) != str(least):
        chart.put("memory.limit", most)
    no_limit = most is None
    for taking, ours in ((requests, f"memory.request: {least}"), (limits, f"memory.limit: {most}")):
        if "memory" in taking:
            note = "it is the limit, too, which the manifest doesn't have" if no_limit else ""
            taking.note(Fate.CHECK if no_limit else Fate.MAPPED, "memory", ours, note)
