"""What hooks are told, by the names of `corepod.hooks`."""

from __future__ import annotations

from corepod.contract.escaping import line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from corepod.supervisor.pool.exits import ExitReport
    from corepod.supervisor.pool.state import Process, Slot


def ready(worker: Process, seconds: float) -> dict[str, Any]:
    return {"event": "ready", **_who(worker), "seconds": round(seconds, 3)}


def ended(worker: Process, report: ExitReport, *, planned: bool) -> dict[str, Any]:
    failure = worker.failure.message.partition("\n")[0] if worker.failure is not None else ""
    return {
        "event": "exit",
        **_who(worker),
        "planned": planned,
        "kind": _kind(worker, report, planned),
        "reason": line(failure or report.description),
        "seconds": round(report.seconds, 3),
        "in_flight": report.lost,
        "requests": [line(name) for name in report.requests],
        "restarts": worker.slot.restarts if worker.slot is not None else 0,
    }


def reloaded(failure: str, seconds: float) -> dict[str, Any]:
    outcome = "aborted" if failure else "done"
    return {"event": "reload", "outcome": outcome, "reason": line(failure), "seconds": round(seconds, 3)}


def gave_up(slot: Slot | None, why: str, code: int | None) -> dict[str, Any]:
    number = slot.number if slot is not None else None
    return {"event": "give_up", "slot": number, "reason": line(why), "exit_code": code}


def _who(worker: Process) -> dict[str, Any]:
    slot = worker.slot.number if worker.slot is not None else None
    return {"slot": slot, "worker": worker.number, "pid": worker.pid}


def _kind(worker: Process, report: ExitReport, planned: bool) -> str:
    if worker.failure is not None:
        return "boot"
    if report.reason in ("oom", "stuck", "busy"):
        return report.reason
    if report.reason.startswith("signal "):
        return "signal"
    if report.reason.startswith("exit code "):
        return "stopped" if planned and not report.status else "exit"
    return "killed"
