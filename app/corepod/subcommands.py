"""The commands of `corepod`, in the groups that its help shows."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class Takes(Enum):
    """What the `main` of a command's module is called with."""

    SETTINGS = "every setting as a flag: main(flags, faults); configure(parser) adds flags of its own"
    OPTIONS = "what configure(parser) adds: main(options)"
    ARGUMENTS = "the words themselves, which it parses: main(arguments)"


@dataclass(frozen=True)
class Command:
    """`module` is imported when the command is chosen; `extra` is the extra with the packages that it needs."""

    group: str
    help: str
    module: str
    takes: Takes = Takes.OPTIONS
    options: dict[str, Any] = field(default_factory=dict)
    extra: str = ""
    flags: tuple[str, ...] = ()  # its own beside the settings, where another server has a flag of this name


RUN, LOOK, STEER, SET_UP, CLUSTER = (
    "Run an application",
    "Look at running pools",
    "Steer a running pool",
    "Set up",
    "Clusters and load",
)
COMMANDS = {
    "run": Command(
        RUN,
        "run an application on every usable core of this machine",
        "corepod.local.launch",
        Takes.SETTINGS,
        {"pod": False},
    ),
    "pid1": Command(
        RUN,
        "run an application as a container's main process: one worker, on all addresses",
        "corepod.local.launch",
        Takes.SETTINGS,
        {"pod": True},
    ),
    "start": Command(
        RUN,
        "run an application in the background; returns when it is ready",
        "corepod.local.commands.start",
        Takes.SETTINGS,
        flags=("--timeout",),
    ),
    "logs": Command(LOOK, "show the log of a pool", "corepod.local.commands.logs"),
    "scale": Command(STEER, "change the number of slots", "corepod.local.commands.scale"),
    "restart": Command(STEER, "give a slot a new worker, before the old one goes", "corepod.local.commands.restart"),
    "config": Command(SET_UP, "show every effective setting and its source", "corepod.config.listing", Takes.SETTINGS),
    "hit": Command(
        CLUSTER,
        "send a few requests to a running application, and show which worker answered",
        "corepod.hit.main",
        Takes.ARGUMENTS,
        extra="loadtest",
    ),
    "operator": Command(
        CLUSTER,
        "keep Deployments in a cluster at the number of pods that its nodes can hold",
        "corepod.operator.main",
        Takes.ARGUMENTS,
        extra="operator",
    ),
}
