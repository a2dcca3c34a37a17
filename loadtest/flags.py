"""The flags that the load test adds to Locust's own. Each is also a variable: --chaos-every, LOADTEST_CHAOS_EVERY."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from loadtest.chaos.action import ACTIONS
from loadtest.plans import RAMP, SHAPES
from loadtest.verdict import Thresholds

FLAGS: dict[str, dict[str, Any]] = {
    "shape": {"choices": [*SHAPES, RAMP], "default": "steady", "help": "how the number of users changes over time"},
    "rate": {
        "type": float,
        "default": 1.0,
        "help": "requests a second of each user that sends on a schedule (Arrivals, KeptArrivals)",
    },
    "step-time": {"type": float, "default": 10.0, "help": "length of each step of a ramp, in seconds"},
    "arrival-path": {"default": "/generate-report?size=2000", "help": "path that scheduled users request"},
    "report-size": {
        "type": int,
        "default": 10000,
        "help": "number of orders in the reports that the other users request",
    },
    "timeout": {
        "type": float,
        "default": 10.0,
        "help": "how long a response may take before it counts as timed out, in seconds",
    },
    "admin": {
        "default": "",
        "help": "admin address of the pool, such as http://127.0.0.1:9000; the victim of each fault is chosen there",
    },
    "chaos": {
        "default": "",
        "help": f"faults to inject in turn while the load runs, separated by commas: {', '.join(ACTIONS)}",
    },
    "chaos-after": {"type": float, "default": 5.0, "help": "time before the first fault, in seconds"},
    "chaos-every": {"type": float, "default": 10.0, "help": "time from one fault to the next, in seconds"},
    "chaos-lasts": {
        "type": float,
        "default": 3.0,
        "help": "how long block lasts, and the pool's stuck_timeout, which ends hang and sigstop; in seconds",
    },
    "chaos-deadline": {
        "type": float,
        "default": 20.0,
        "help": "how long the pool may take to recover from a fault, in seconds; after that it counts as not recovered",
    },
    "result-dir": {
        "default": "",
        "help": "directory for report.html and run.json, which are written at the end; nothing is written by default",
    },
    "compare": {"default": "", "help": "run.json of an earlier run, to compare with in the report"},
}
LIMITS = {limit.name: limit for limit in fields(Thresholds)}


def add_flags(parser: Any) -> None:
    group = parser.add_argument_group("corepod's load test")
    for name, option in FLAGS.items():
        group.add_argument(f"--{name}", env_var=_variable(name), **option)
    for name, option in limit_flags().items():
        group.add_argument(f"--{name}", env_var=_variable(name), **option)


def limit_flags(**defaults: float) -> dict[str, dict[str, Any]]:
    """The flag --limit-NAME of each threshold, with these defaults instead of the usual ones."""
    return {
        f"limit-{name}": {
            "type": float,
            "default": defaults.get(name, limit.default),
            "help": f"{limit.metadata['help']}; a value below 0 switches this check off",
        }
        for name, limit in LIMITS.items()
    }


def limits_of(options: Any) -> Thresholds:
    return Thresholds(**{name: getattr(options, f"limit_{name}") for name in LIMITS})


def chaos_of(options: Any) -> list[str]:
    """Raises ValueError for a name that no action has."""
    names = [name.strip() for name in options.chaos.split(",") if name.strip()]
    if unknown := [name for name in names if name not in ACTIONS]:
        raise ValueError(f"--chaos: there is no action {', '.join(unknown)}; there are {', '.join(ACTIONS)}")
    return names


def _variable(flag: str) -> str:
    return "LOADTEST_" + flag.upper().replace("-", "_")
