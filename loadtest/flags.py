"""The flags that the load test adds to Locust's own. Each is also a variable: --chaos-every, LOADTEST_CHAOS_EVERY."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from loadtest.chaos.action import ACTIONS
from loadtest.plans import RAMP, SHAPES
from loadtest.verdict import Thresholds

FLAGS: dict[str, dict[str, Any]] = {
    "shape": {"choices": [*SHAPES, RAMP], "default": "steady", "help": "how the number of users changes over time"},
    "rate": {"type": float, "default": 1.0, "help": "arrivals a second of each user whose requests come on a schedule"},
    "step-time": {"type": float, "default": 10.0, "help": "seconds of each step of a ramp"},
    "arrival-path": {"default": "/generate-report?size=2000", "help": "what arrivals ask for"},
    "report-size": {"type": int, "default": 10000, "help": "orders in the reports that other users ask for"},
    "timeout": {"type": float, "default": 10.0, "help": "seconds an answer may take"},
    "admin": {
        "default": "",
        "help": "admin port of the pool, such as http://127.0.0.1:9000; chaos asks it whom to strike",
    },
    "chaos": {
        "default": "",
        "help": f"what to do to the workers meanwhile, in turn, with commas: {', '.join(ACTIONS)}",
    },
    "chaos-after": {"type": float, "default": 5.0, "help": "seconds before the first strike"},
    "chaos-every": {"type": float, "default": 10.0, "help": "seconds from one strike to the next"},
    "chaos-lasts": {"type": float, "default": 3.0, "help": "seconds of a blocked loop; the pool's stuck_timeout"},
    "chaos-deadline": {
        "type": float,
        "default": 20.0,
        "help": "seconds until a strike's damage counts as not repaired",
    },
    "result-dir": {"default": "", "help": "where to write report.html and run.json at the end; nowhere by default"},
    "compare": {"default": "", "help": "run.json of an earlier run, for the report"},
}
LIMITS = {limit.name: limit for limit in fields(Thresholds)}


def add_flags(parser: Any) -> None:
    group = parser.add_argument_group("corepod's load test")
    for name, words in FLAGS.items():
        group.add_argument(f"--{name}", env_var=_variable(name), **words)
    for name, words in limit_flags().items():
        group.add_argument(f"--{name}", env_var=_variable(name), **words)


def limit_flags(**defaults: float) -> dict[str, dict[str, Any]]:
    """--limit-NAME for each threshold, with these defaults instead of the usual ones."""
    return {
        f"limit-{name}": {
            "type": float,
            "default": defaults.get(name, limit.default),
            "help": f"{limit.metadata['help']}; below 0: not asked for",
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
