"""`corepod describe`: everything that is known about a pool, or about one slot of it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from corepod.contract.exits import EXIT_OK
from corepod.contract.units import duration, size, timestamp
from corepod.local import output, stacks
from corepod.local.commands import ps
from corepod.local.pools import add_pool, find_slot, get

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from typing import Any

    from corepod.local.client import Client

EVENTS_SHOWN = 10
LINES_SHOWN = 20
SLOTS = ("slot", "core", "pid", "state", "restarts", "requests", "in flight", "cpu", "memory", "up", "last exit")
RIGHT = SLOTS[:3] + SLOTS[4:10]


def configure(parser: ArgumentParser) -> None:
    add_pool(parser, slot=True)
    parser.add_argument("-a", "--all", action="store_true", help="show also the settings that have their default")
    output.add_json(parser, "print all of it as one JSON object")


def main(options: Namespace) -> int:
    client, slot = find_slot(options.pool)
    document = of_slot(client, slot) if slot else of_pool(client)
    if options.json:
        output.dump(document)
    elif slot:
        _show_slot(client, document)
    else:
        _show_pool(client, document, every=options.all)
    return EXIT_OK


# What is known


def of_pool(client: Client) -> dict[str, Any]:
    status = get(client, "/status")
    return {
        "pool": client.name,
        "control": client.address,
        "status": status,
        "settings": get(client, "/settings"),
        "slots": [get(client, f"/slot?slot={number}") for number in range(len(status["slots"]))],
        "events": get(client, "/events")["events"],
        "log": get(client, "/log")["lines"],
    }


def of_slot(client: Client, slot: str) -> dict[str, Any]:
    detail = get(client, f"/slot?slot={slot}")
    return {
        "pool": client.name,
        "control": client.address,
        "status": get(client, "/status")["slots"][int(slot)],
        "slot": detail,
        "stacks": [text for found in stacks.collect(client, slot) for text, _ in stacks.lines(client.name, found)],
        "events": [event for event in get(client, "/events")["events"] if event.get("slot") == int(slot)],
        "log": get(client, f"/log?slot={slot}")["lines"],
    }


# How it is shown


def _show_pool(client: Client, document: dict[str, Any], *, every: bool) -> None:
    status, now = document["status"], time.time()
    _fields(pool_fields(client, status, now))
    _section("Settings" if every else "Settings that were set (--all shows every one)")
    _settings(document["settings"], every=every)
    _section("Slots")
    output.table(SLOTS, [_slot_row(slot, now) for slot in status["slots"]], RIGHT)
    serving = [line for slot in document["slots"] for line in serving_lines(slot)]
    _list("In flight now", serving, "nothing")
    _list("Last exits", exit_lines(document["slots"]), "none")
    _list(f"Last events (corepod events {client.name})", _events(document), "none")
    _list("Last log lines", document["log"][-LINES_SHOWN:], "none")


def _show_slot(client: Client, document: dict[str, Any]) -> None:
    status, slot, now = document["status"], document["slot"], time.time()
    _fields(slot_fields(client, status, slot, now))
    _section("Processes")
    rows = [
        [process["role"], str(process["worker"]), str(process["pid"]), process["stage"], duration(process["for"])]
        for process in slot["processes"]
    ]
    output.table(("role", "worker", "pid", "stage", "for"), rows, ("worker", "pid"))
    _list("In flight now", serving_lines(slot), "nothing")
    if document["stacks"]:
        _list("Stacks", document["stacks"], "")
    _list("Last exits", exit_lines([slot]), "none")
    _list("Last events", _events(document), "none")
    _list("Last log lines", document["log"][-LINES_SHOWN:], "none of this slot are kept")


def pool_fields(client: Client, status: dict[str, Any], now: float) -> list[tuple[str, str]]:
    """Names and values that describe a pool."""
    summary, standby, cores = ps.summary(status, now), status["standby"], status["cores"]
    queue, reloads = status["accept_queue"], status["reloads"]
    return [
        ("Name", client.name),
        ("Application", status["app"]),
        ("State", summary["state"]),
        ("Workers", f"{summary['ready']} ready of {summary['slots']}; {summary['restarts']} restart(s)"),
        ("Started", f"{timestamp(status['started_at'])} ({duration(summary['uptime_seconds'])} ago)"),
        ("Addresses", ", ".join(status["binds"])),
        ("Admin", status["admin"]),
        ("Control", client.address),
        ("Supervisor", f"pid {status['pid']}, corepod {status['version']}, profile {status['profile']}"),
        ("CPU", f"{summary['cpu']:.0%} of a core; usable cores {_numbers(cores['usable'])} (limit: {cores['limit']})"),
        ("Memory", f"{size(summary['rss_bytes'])}, of these {size(status['supervisor']['rss_bytes'])} the supervisor"),
        ("Started by", "fork of a template" if status["mode"] == "fork" else "a new interpreter for each worker"),
        ("Template", status["template"]["state"] + _pid(status["template"]["pid"])),
        ("Standby", f"{standby['mode']}: {standby['count']} of {standby['wanted']} ready"),
        ("Leader", _leader(status)),
        ("Queue", f"{queue['length']} of {queue['limit']}" if queue else ""),
        (
            "Reloads",
            f"{reloads['ended']}" + (f"; the last one failed: {reloads['failure']}" * bool(reloads["failure"])),
        ),
        ("Dropped lines", str(status["log_lines_dropped"] or "")),
        ("Throttled", f"{status['throttled_seconds']:.1f} s" if status["throttled_seconds"] else ""),
    ]


def _leader(status: dict[str, Any]) -> str:
    """Who has taken the lead (corepod.leader()), empty where no worker asks for it."""
    if not (pid := status["leader"]):
        return ""
    slots = [slot["slot"] for slot in status["slots"] if slot["pid"] == pid]
    return f"slot {slots[0]} (pid {pid})" if slots else f"pid {pid}, which is being replaced"


def slot_fields(client: Client, status: dict[str, Any], slot: dict[str, Any], now: float) -> list[tuple[str, str]]:
    """Names and values that describe a slot."""
    core = "" if status["core"] is None else f"{status['core']}" + ("" if status["pinned"] else " (not pinned)")
    ready = status["ready_at"]
    return [
        ("Slot", f"{client.name}/{slot['slot']}"),
        ("State", status["state"] + (f": {status['why']}" if status["why"] else "")),
        ("Turn", "waits for its turn to be replaced (take_turns)" if status.get("waits_for_turn") else ""),
        ("Core", core),
        ("Not pinned", slot["unpinned"]),
        ("Ready", f"{timestamp(ready)} ({duration(now - ready)} ago)" if ready else ""),
        ("Restarts", str(status["restarts"])),
        ("Reasons", ", ".join(f"{why}: {count}" for why, count in status["reasons"].items())),
        ("Next try", f"in {slot['retry_in']:.1f} s" if slot["retry_in"] is not None else ""),
        ("Requests", f"{status['requests']}; {status['in_flight']} in flight, {status['lost']} lost"),
        ("Rejected", str(status["shed"] or "")),
        ("Connections", f"{status['connections']} open, {status['accepted']} accepted"),
        ("CPU", f"{status['busy']:.0%} of a core now, {status['cpu_seconds']:.1f} s in all"),
        ("Memory", size(status["rss_bytes"])),
        ("Loop lag", f"{status['lag_seconds'] * 1000:.1f} ms, at most {status['lag_max_seconds'] * 1000:.1f} ms"),
    ]


def serving_lines(slot: dict[str, Any]) -> list[str]:
    """The requests in flight of a slot, the oldest of each process first."""
    return [
        f"slot {slot['slot']} worker {process['worker']}: {request['request']} ({request['for']:.1f} s)"
        for process in slot["processes"]
        for request in process["serving"]
    ]


def exit_lines(slots: list[dict[str, Any]]) -> list[str]:
    """The last exits of these slots, the latest last."""
    exits = sorted(((end, slot["slot"]) for slot in slots for end in slot["exits"]), key=lambda pair: pair[0]["time"])
    return [
        f"{timestamp(end['time'])}  slot {slot} worker {end['worker']}: "
        f"{'asked to stop: ' if end['asked'] else ''}{end['how']}"
        for end, slot in exits
    ]


def _settings(settings: dict[str, Any], *, every: bool) -> None:
    from corepod.config.kinds import show
    from corepod.config.spec import BY_NAME

    # A pool of another version may have settings that this one doesn't know.
    rows = [
        [name, show(BY_NAME[name], row["value"]) if name in BY_NAME else str(row["value"]), row["from"]]
        for name, row in settings.items()
        if every or row["from"] != "default"
    ]
    output.table(("setting", "value", "from"), rows)


def _slot_row(slot: dict[str, Any], now: float) -> list[str]:
    return [
        str(slot["slot"]),
        "" if slot["core"] is None else str(slot["core"]),
        str(slot["pid"] or ""),
        slot["state"],
        str(slot["restarts"]),
        str(slot["requests"]),
        str(slot["in_flight"]),
        f"{slot['busy']:.0%}",
        size(slot["rss_bytes"]),
        duration(now - slot["ready_at"]) if slot["ready_at"] else "",
        slot["last_exit"] or "",
    ]


def _events(document: dict[str, Any]) -> list[str]:
    return [
        f"{timestamp(event['time'])}  {event['kind']:14}  {event['message'].partition(chr(10))[0]}"
        for event in document["events"][-EVENTS_SHOWN:]
    ]


def _fields(pairs: list[tuple[str, str]]) -> None:
    for name, value in pairs:
        if value:
            output.say(f"{name + ':':15}{value}")


def _list(title: str, lines: list[str], empty: str) -> None:
    _section(title)
    for line in lines or [f"({empty})"]:
        output.say("  " + line.replace("\n", "\n  "))


def _section(title: str) -> None:
    output.say("")
    output.say(title, "bold")


def _numbers(cores: list[int]) -> str:
    from corepod.cpu.cores import format_list

    return format_list(cores)


def _pid(pid: int | None) -> str:
    return f" (pid {pid})" if pid else ""
