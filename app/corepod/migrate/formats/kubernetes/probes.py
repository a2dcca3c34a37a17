"""Probes: they change port and path, and the application's own path becomes what a worker is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from corepod.migrate.formats.documents import shown
from corepod.migrate.formats.taking import Taking
from corepod.migrate.model import Fate

if TYPE_CHECKING:
    from corepod.migrate.formats.kubernetes.values import Chart

_PLACES = {"startupProbe": "/startupz", "readinessProbe": "/readyz", "livenessProbe": "/livez"}
_HOW = ("httpGet", "tcpSocket", "exec", "grpc")
_TIMES = ("periodSeconds", "timeoutSeconds", "failureThreshold")
STARTUP = 120  # seconds that the chart gives a pod to start


def take_all(chart: Chart, container: Taking) -> None:
    for name, place in _PLACES.items():
        given = container.take(name)
        if not isinstance(given, dict):
            continue
        probe = Taking(chart.program, given, f"{name}.")
        _target(chart, probe, name, place)
        if name == "startupProbe":
            _startup(chart, probe)
        elif name == "readinessProbe":
            _times(chart, probe, "readiness")
        else:
            _slow_start(chart, probe)
            probe.drop("the supervisor answers at once, so the chart's own times fit", *_TIMES)
        probe.drop("the startup probe of the chart waits for the first worker", "initialDelaySeconds")
        probe.drop("it is about the probe of the application", "successThreshold")
        probe.ask("the chart has no value for it", *list(probe.left))


def _target(chart: Chart, probe: Taking, name: str, place: str) -> None:
    how = next((key for key in _HOW if key in probe), "")
    if not how:
        return
    ours = f"{place} of port 9000"
    path = _path(probe.get("httpGet"))
    if name == "livenessProbe":
        why = "the supervisor answers, and replaces workers that hang by itself: a busy application is no longer killed"
        own = path and path != chart.program.settings.get("ready_path", path)
        if own:
            why += f"; {path} isn't asked any more"
        probe.note(Fate.CHECK if own or how in ("exec", "grpc") else Fate.MAPPED, how, ours, why)
    elif how in ("exec", "grpc"):
        probe.ask(f"the supervisor answers {ours}; give the application a path for it (ready_path)", how)
    elif path and name == "readinessProbe":
        probe.use(how, "ready_path", path, f"the worker asks the application itself, and {ours} says so")
    else:
        probe.note(Fate.MAPPED, how, ours)


def _path(get: Any) -> str:
    path = str(get.get("path") or "/") if isinstance(get, dict) else ""
    return path if not path or path.startswith("/") else f"/{path}"


def _times(chart: Chart, probe: Taking, name: str) -> None:
    for key in _TIMES:
        if key in probe:
            _time(chart, probe, key, f"probes.{name}.{key}")


def _time(chart: Chart, probe: Taking, key: str, path: str) -> None:
    value = probe.get(key)
    if isinstance(value, int) and value >= 1:
        chart.take(probe, key, path)
    else:
        probe.ask(f"{shown(value)} is no number of seconds", key)


def _startup(chart: Chart, probe: Taking) -> None:
    period, failures = probe.get("periodSeconds", 10), probe.get("failureThreshold", 3)
    total = period * failures if isinstance(period, int) and isinstance(failures, int) else 0
    _allow(chart, total + _delay(probe))
    allowed = chart.values.get("probes", {}).get("startup", {}).get("failureThreshold", STARTUP)
    for key in ("periodSeconds", "failureThreshold"):
        if key in probe:
            probe.note(Fate.MAPPED, key, f"probes.startup: {allowed} probes, one each second", "the time for a start")
    if "timeoutSeconds" in probe:
        _time(chart, probe, "timeoutSeconds", "probes.startup.timeoutSeconds")


def _slow_start(chart: Chart, probe: Taking) -> None:
    _allow(chart, _delay(probe))


def _delay(probe: Taking) -> int:
    delay = probe.get("initialDelaySeconds", 0)
    return delay if isinstance(delay, int) else 0


def _allow(chart: Chart, seconds: int) -> None:
    """A start may take this long, if that is more than the chart's own time."""
    startup = chart.values.get("probes", {}).get("startup", {})
    if seconds > startup.get("failureThreshold", STARTUP):
        chart.put("probes.startup.failureThreshold", seconds)
