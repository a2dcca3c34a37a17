"""What a workload's annotations say about its size."""

from __future__ import annotations

from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Literal, TypeVar

from corepod.operator.proportional import MOST, Ladder, Linear, ladder, linear
from corepod.operator.quantity import milli
from corepod.operator.read import DOMAIN

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")
Mode = Literal["fit", "linear", "ladder", "hpa-bounds"]
MODES: tuple[Mode, ...] = ("fit", "linear", "ladder", "hpa-bounds")
WEIGHTS = 1_000_000

MEANINGS = {
    "mode": "fit (what can be placed), linear or ladder (in proportion to the cluster), hpa-bounds (the limits of a "
    "HorizontalPodAutoscaler instead of replicas)",
    "min": "least number of pods",
    "max": "greatest number of pods",
    "headroom": "places left free for rollouts; 1 by default",
    "full": "true: no place is left free",
    "reserve-cores-per-node": "CPU left free on each node, such as 500m",
    "weight": "share of free places beside other workloads; 1 by default",
    "paused": "true: the number of pods stays as it is",
    "autoscaler-nodes": "true: nodes that an autoscaler makes and removes count, too (with hpa-bounds they always do), "
    "and nodes come when pods wait, even if there is none at the moment",
    "linear": "parameters of the mode, JSON",
    "ladder": "parameters of the mode, JSON",
}
# Written by corepod itself, or by its chart.
OTHERS = ("sized", "autoscaled", "replicas-by", "worker-restarts", "last-worker-restart")


@dataclass(frozen=True, slots=True)
class Rules:
    """How one workload is to be sized. The defaults are what a workload without annotations gets."""

    mode: Mode = "fit"
    least: int = 1
    most: int | None = None
    headroom: int = 1
    reserve: int = 0  # thousandths of a core on each node
    weight: int = 1
    paused: bool = False
    autoscaler_nodes: bool = False
    linear: Linear | None = None
    ladder: Ladder | None = None

    @property
    def counts_autoscaled(self) -> bool:
        """Whether nodes of an autoscaler count. Replicas set by them would feed it: pods that fill a node keep it."""
        return self.autoscaler_nodes or self.mode == "hpa-bounds"


@dataclass(frozen=True, slots=True)
class Reading:
    """Rules, and what is wrong with the annotations.

    With a fault nothing is to be done: what the user meant isn't known. `unknown` are names that nothing reads.
    """

    rules: Rules
    faults: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


def rules(annotations: Mapping[str, str]) -> Reading:
    """Read the annotations under corepod.dev/ (and no others)."""
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
        autoscaler_nodes=read("autoscaler-nodes", _flag, False),
        linear=read("linear", linear, None),
        ladder=read("ladder", ladder, None),
    )
    full = read("full", _flag, False)
    faults += _together(found, given, full)
    if full:
        found = replace(found, headroom=0)
    return Reading(found, tuple(faults), tuple(_unknown(given)))


def _together(rules: Rules, given: Mapping[str, str], full: bool) -> list[str]:
    """Faults of annotations that are fine by themselves."""
    faults = []
    if rules.most is not None and rules.most < rules.least:
        faults.append(f"{DOMAIN}min: {rules.least} is above {DOMAIN}max, {rules.most}")
    if full and "headroom" in given and rules.headroom:
        faults.append(f"{DOMAIN}headroom: {rules.headroom}, but {DOMAIN}full says that no place is left free")
    if rules.mode in ("linear", "ladder") and rules.mode not in given:
        faults.append(f"{DOMAIN}mode: {rules.mode} needs its parameters, in {DOMAIN}{rules.mode}")
    return faults


def _unknown(given: Mapping[str, str]) -> list[str]:
    found = []
    for name in sorted(given.keys() - MEANINGS.keys() - set(OTHERS)):
        near = get_close_matches(name, MEANINGS, n=1)
        found.append(f"{DOMAIN}{name}: nothing reads it" + (f"; did you mean {DOMAIN}{near[0]}?" if near else ""))
    return found


def _mode(text: str) -> Mode:
    if text not in MODES:
        raise ValueError(f"{text!r} is none of {', '.join(MODES)}")
    return text


def _flag(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError(f"{text!r} is neither true nor false")
    return text == "true"


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(MOST)) and int(text) <= MOST):
        raise ValueError(f"{text!r} is no whole number from 0 to {MOST}")
    return int(text)


def _most(text: str) -> int:
    if not (most := _whole(text)):
        raise ValueError("0 would stop the application; scale it to 0 by hand, and it stays so")
    return most


def _weight(text: str) -> int:
    if not 1 <= (weight := _whole(text)) <= WEIGHTS:
        raise ValueError(f"{text!r} is no whole number from 1 to {WEIGHTS}")
    return weight


def _cores(text: str) -> int:
    if (cores := milli(text)) < 0:
        raise ValueError(f"{text!r} is below 0")
    return cores
