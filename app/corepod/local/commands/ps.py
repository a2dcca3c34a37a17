"""`corepod ps`: the pools of this user."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from corepod.contract.exits import EXIT_OK
from corepod.contract.units import duration, size
from corepod.local import output
from corepod.local.survey import survey

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from typing import Any

    from corepod.local.survey import Found

HEAD = ("name", "state", "workers", "restarts", "cpu", "memory", "up", "pid", "addresses")
RIGHT = ("workers", "restarts", "cpu", "memory", "pid")


def configure(parser: ArgumentParser) -> None:
    output.add_json(parser, "print a list of JSON objects, one for each pool")
    parser.add_argument("-q", "--quiet", action="store_true", help="print nothing but the names of those that run")


def main(options: Namespace) -> int:
    pools, now = survey(), time.time()
    if options.quiet:
        print("".join(f"{found.client.name}\n" for found in pools if not found.gone), end="")
    elif options.json:
        output.dump([_document(found, now) for found in pools])
    elif not pools:
        output.complain("no pool runs here; corepod start MODULE:ATTRIBUTE starts one")
    else:
        output.table(HEAD, [row(_document(found, now)) for found in pools], RIGHT)
        killed = [found.client.name for found in pools if found.gone]
        if killed:
            output.complain(f"killed: {', '.join(killed)}; corepod stop NAME forgets one, and a new start replaces it")
    return EXIT_OK


def _document(found: Found, now: float) -> dict[str, Any]:
    status, client = found.status, found.client
    if status is None:
        state = "killed" if found.gone else "silent"
        return {"name": client.name, "state": state, "control": client.address, "why": str(found.fault)}
    return {"name": client.name, "control": client.address, **summary(status, now)}


def summary(status: dict[str, Any], now: float) -> dict[str, Any]:
    """A status document in one row. CPU is the share of one core that all of its processes take now; memory counts
    what they share several times."""
    slots = status["slots"]
    resident = [slot["rss_bytes"] or 0 for slot in slots]
    return {
        "state": "reloading" if status["reloading"] and status["state"] == "ready" else status["state"],
        "app": status["app"],
        "pid": status["pid"],
        "ready": sum(slot["ready"] for slot in slots),
        "slots": len(slots),
        "restarts": sum(slot["restarts"] for slot in slots),
        "cpu": round(sum(slot["busy"] for slot in slots), 3),
        "rss_bytes": sum(resident) + (status["supervisor"]["rss_bytes"] or 0),
        "binds": status["binds"],
        "admin": status["admin"],
        "started_at": status["started_at"],
        "uptime_seconds": round(max(0.0, now - status["started_at"]), 1),
        "version": status["version"],
    }


def row(document: dict[str, Any]) -> list[str]:
    """The cells of a pool; those that aren't known are empty."""
    if "slots" not in document:
        return [document["name"], document["state"], *[""] * (len(HEAD) - 3), document["control"]]
    return [
        document["name"],
        document["state"],
        f"{document['ready']}/{document['slots']}",
        str(document["restarts"]),
        f"{document['cpu']:.0%}",
        size(document["rss_bytes"]).replace(" ", ""),
        duration(document["uptime_seconds"]).replace(" ", ""),
        str(document["pid"]),
        ",".join(document["binds"]),
    ]
