"""The annotations by which the owner of a workload says how it is to be sized."""

from __future__ import annotations

from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Literal, TypeVar

from corepod.operator.model.names import DOMAIN
from corepod.operator.model.quantity import milli
from corepod.operator.sizing.autoscaled import AutoscaledNodes, autoscaled_nodes
from corepod.operator.sizing.proportional import MOST, Ladder, Linear, ladder, linear

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")
Mode = Literal["fit", "linear", "ladder", "hpa-bounds"]
MODES: tuple[Mode, ...] = ("fit", "linear", "ladder", "hpa-bounds")
WEIGHTS = 1_000_000
AUTOSCALED_BY_DEFAULT = AutoscaledNodes()

MEANINGS = {
    "mode": "`fit` (as many pods as the nodes have room for), `linear` or `ladder` (in proportion to the cluster), or "
    "`hpa-bounds` (sets the limits of a HorizontalPodAutoscaler instead of replicas); `fit` by default",
    "min": "minimum number of pods; 1 by default",
    "max": "maximum number of pods; no limit by default",
    "headroom": "number of pods that must still fit, so that a rollout can start new pods first; 1 by default",
    "full": "`true`: use all the room, as with a headroom of 0",
    "reserve-cores-per-node": "CPU to leave free on each node, such as `500m`",
    "weight": "weight in sharing free room with other workloads; 1 by default",
    "paused": "`true`: leave the number of pods as it is",
    "autoscaled-nodes": "which nodes belong to a node autoscaler, so that they don't count (`hpa-bounds` counts them, "
    "and assumes that a further one comes when pods are pending): `auto` (those that show it), `never` (none), or "
    "labels of such nodes, `LABEL` or `LABEL=VALUE`, separated by commas, `auto` among them; `auto` by default",
    "linear": "parameters of the mode `linear`, as JSON",
    "ladder": "parameters of the mode `ladder`, as JSON",
}
# Labels and annotations that corepod itself or its chart writes.
OTHERS = ("sized", "autoscaled", "replicas-by", "worker-restarts", "last-worker-restart")


@dataclass(frozen=True, slots=True)
class Rules:
    """How one workload is to be sized. The defaults apply to a workload without annotations."""

    mode: Mode = "fit"
    least: int = 1
    most: int | None = None
    headroom: int = 1
    reserve: int = 0  # thousandths of a core on each node
    weight: int = 1
    paused: bool = False
    autoscaled: AutoscaledNodes = AUTOSCALED_BY_DEFAULT
    linear: Linear | None = None
    ladder: Ladder | None = None

    @property
    def counts_autoscaled(self) -> bool:
        """Whether an autoscaler's nodes count. By default not: pods that fill such a node would keep it for ever."""
        return self.mode == "hpa-bounds"


@dataclass(frozen=True, slots=True)
class ParsedRules:
    """Rules, and what is wrong with the annotations.

    With a fault the workload must be left alone, because its owner's intention isn't known. `unknown` describes
    annotations that don't exist, which don't prevent sizing.
    """

    rules: Rules
    faults: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


def rules(annotations: Mapping[str, str]) -> ParsedRules:
    """Parse the annotations under corepod.dev/, ignoring all others."""
    given = {name.removeprefix(DOMAIN): text for name, text in annotations.items() if name.startswith(DOMAIN)}
    faults: list[str] = []

    def read(name: str, parse: Callable[[str], T], default: T) -> T:
        if name not in given:
            return default
        try:
            return parse(given[name].strip())
        except ValueError as error:
            faults.append(f"{DOMAIN}{name}: {error}")
            return default

    found = Rules(
        mode=read("mode", _mode, "fit"),
        least=max(1, read("min", _whole, 1)),
        most=read("max", _most, None),
        headroom=read("headroom", _whole, 1),
        reserve=read("reserve-cores-per-node", _cores, 0),
        weight=read("weight", _weight, 1),
        paused=read("paused", _flag, False),
        autoscaled=read("autoscaled-nodes", autoscaled_nodes, AUTOSCALED_BY_DEFAULT),
        linear=read("linear", linear, None),
        ladder=read("ladder", ladder, None),
    )
    full = read("full", _flag, False)
    faults += _contradictions(found, given, full)
    if full:
        found = replace(found, headroom=0)
    return ParsedRules(found, tuple(faults), tuple(_unknown(given)))


def _contradictions(rules: Rules, given: Mapping[str, str], full: bool) -> list[str]:
    """Faults in combinations of annotations."""
    faults = []
    if rules.most is not None and rules.most < rules.least:
        faults.append(f"{DOMAIN}min: {rules.least} is above {DOMAIN}max, {rules.most}")
    if full and "headroom" in given and rules.headroom:
        faults.append(f"{DOMAIN}headroom: {rules.headroom}, but {DOMAIN}full means a headroom of 0")
    if rules.mode in ("linear", "ladder") and rules.mode not in given:
        faults.append(f"{DOMAIN}mode: {rules.mode} needs parameters in the annotation {DOMAIN}{rules.mode}")
    return faults


def _unknown(given: Mapping[str, str]) -> list[str]:
    found = []
    for name in sorted(given.keys() - MEANINGS.keys() - set(OTHERS)):
        near = get_close_matches(name, MEANINGS, n=1)
        found.append(f"{DOMAIN}{name}: unknown annotation" + (f"; did you mean {DOMAIN}{near[0]}?" if near else ""))
    return found


def _mode(text: str) -> Mode:
    if text not in MODES:
        raise ValueError(f"{text!r} isn't one of {', '.join(MODES)}")
    return text


def _flag(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError(f"{text!r} is neither true nor false")
    return text == "true"


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(MOST)) and int(text) <= MOST):
        raise ValueError(f"{text!r} isn't a whole number from 0 to {MOST}")
    return int(text)


def _most(text: str) -> int:
    if not (most := _whole(text)):
        raise ValueError("0 would stop the application; to do that, scale it to 0 by hand")
    return most


def _weight(text: str) -> int:
    if not 1 <= (weight := _whole(text)) <= WEIGHTS:
        raise ValueError(f"{text!r} isn't a whole number from 1 to {WEIGHTS}")
    return weight


def _cores(text: str) -> int:
    if (cores := milli(text)) < 0:
        raise ValueError(f"{text!r} is below 0")
    return cores
