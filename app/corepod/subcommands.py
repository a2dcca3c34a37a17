"""The commands of `corepod`, in the groups that its help shows."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class Takes(Enum):
    """What the `main` of a command's module is called with."""

    SETTINGS = "every setting as a flag: main(flags, faults); configure(parser) adds flags of its own"
    OPTIONS = "what configure(parser) adds: main(options)"
    PARSER = "what configure(parser) adds, and the parser of every command: main(options, parser)"
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
    "dev": Command(
        RUN,
        "run an application for development: its code is watched, and breakpoint() works",
        "corepod.local.launch",
        Takes.SETTINGS,
        {"pod": False, "dev": True},
    ),
    "ps": Command(LOOK, "list the pools that run, with their state and what they use", "corepod.local.commands.ps"),
    "top": Command(LOOK, "show a pool live: cores, requests, times, events", "corepod.local.commands.top"),
    "describe": Command(
        LOOK, "show everything that is known about a pool, or about one slot", "corepod.local.commands.describe"
    ),
    "dump": Command(
        LOOK, "show the stacks of all threads and tasks of a running or stuck worker", "corepod.local.commands.dump"
    ),
    "logs": Command(LOOK, "show the log of a pool", "corepod.local.commands.logs"),
    "events": Command(LOOK, "show what has happened in a pool, and what happens", "corepod.local.commands.events"),
    "reload": Command(STEER, "load the new code beside the old, and change over", "corepod.local.commands.reload"),
    "scale": Command(STEER, "change the number of slots", "corepod.local.commands.scale"),
    "restart": Command(
        STEER, "give a slot, or each, a new worker before the old one goes", "corepod.local.commands.restart"
    ),
    "stop": Command(STEER, "drain a pool, and wait until it is gone", "corepod.local.commands.stop"),
    "config": Command(SET_UP, "show every effective setting and its source", "corepod.config.listing", Takes.SETTINGS),
    "init": Command(SET_UP, "write a corepod.toml for the application in this folder", "corepod.local.commands.init"),
    "migrate": Command(
        SET_UP,
        "say what a configuration of gunicorn, uvicorn, PM2, systemd or Kubernetes becomes, and write corepod.toml",
        "corepod.local.commands.migrate",
    ),
    "check": Command(
        SET_UP,
        "check whether an application would start, and start nothing",
        "corepod.local.commands.check",
        Takes.SETTINGS,
        flags=("--timeout",),
    ),
    "systemd": Command(
        SET_UP, "print systemd units that run applications", "corepod.local.commands.systemd", Takes.SETTINGS
    ),
    "front": Command(
        SET_UP,
        "print the configuration of a HAProxy that makes one queue of several pools",
        "corepod.local.commands.front",
    ),
    "completion": Command(
        SET_UP, "print the script by which a shell completes", "corepod.local.commands.completion", Takes.PARSER
    ),
    "man": Command(SET_UP, "print the manual page: corepod man | man -l -", "corepod.local.commands.man", Takes.PARSER),
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
