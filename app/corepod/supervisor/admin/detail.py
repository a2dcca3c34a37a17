"""What a client that describes a slot is told beside the status: its processes, what they serve now, its last exits."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from corepod.supervisor.pool.ports import Scoreboard
    from corepod.supervisor.pool.state import Process, Slot


def of_slot(slot: Slot, scoreboard: Scoreboard, now: float) -> dict[str, Any]:
    """Ages and times to come are in seconds; `serving` are requests whose response isn't complete, oldest first."""
    return {
        "slot": slot.number,
        "processes": [_process(slot, process, scoreboard, now) for process in slot.processes],
        "waits": round(max(0.0, now - slot.waits_since), 3) if slot.waits_for else None,
        "retry_in": round(max(0.0, slot.retry_at - now), 3) if slot.retry_at is not None else None,
        "boot_failures": slot.boot_failures,
        "deaths_counted": len(slot.deaths),
        "unpinned": slot.unpinned,
        "exits": list(slot.exits),
    }


def _process(slot: Slot, process: Process, scoreboard: Scoreboard, now: float) -> dict[str, Any]:
    role = "worker" if process is slot.worker else "incoming" if process is slot.incoming else "retiring"
    return {
        "role": role,
        "worker": process.number,
        "pid": process.pid,
        "stage": process.stage.value,
        "for": round(max(0.0, now - process.since), 3),
        "generation": process.generation,
        "killed_in": round(max(0.0, process.kill_at - now), 3) if process.kill_at is not None else None,
        "serving": [
            {"request": request, "for": round(max(0.0, now - start), 3)}
            for start, request in scoreboard.serving(process.record)
        ],
    }
