"""The container that serves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from corepod.migrate.formats.documents import shown
from corepod.migrate.formats.kubernetes import pod, probes, resources
from corepod.migrate.formats.taking import Taking
from corepod.migrate.model import Fate

if TYPE_CHECKING:
    from corepod.migrate.formats.kubernetes.read import Web
    from corepod.migrate.formats.kubernetes.values import Chart

TAKEN = ("POD_NAME", "NODE_NAME", "COREPOD_BIND", "COREPOD_ADMIN", "COREPOD_TERMINATION_LOG", "COREPOD_WORKERS")
_SETTLED = {
    "PORT": "the chart's port is 8000, and corepod would listen where PORT says",
    "WEB_CONCURRENCY": "the number of workers is cpu.slots",
    "GUNICORN_CMD_ARGS": "its settings are in the values",
}
_NOTHING = ("terminationMessagePath", "terminationMessagePolicy", "stdin", "tty", "stdinOnce")


def take_all(chart: Chart, web: Web) -> None:
    taking = Taking(chart.program, web.container, "container.")
    taking.drop("the chart's container is called worker", "name")
    _image(chart, taking)
    _command(chart, taking, web)
    _environment(chart, taking)
    _ports(taking)
    if "workingDir" in taking:
        taking.use("workingDir", "chdir", taking.get("workingDir"))
    probes.take_all(chart, taking)
    _lifecycle(chart, taking)
    resources.take_all(chart, Taking(chart.program, taking.take("resources") or {}, "resources."), web)
    if taking.get("volumeMounts"):
        chart.put("extraVolumeMounts", taking.get("volumeMounts"))
        taking.note(Fate.MAPPED, "volumeMounts", "extraVolumeMounts")
    security = taking.take("securityContext") or {}
    chart.put("readOnlyRootFilesystem", False)
    pod.security(chart, Taking(chart.program, security, "container.securityContext."))
    taking.drop("the chart has its own", *_NOTHING)
    for key in [key for key, value in taking.left.items() if value in (None, [], {}, "")]:
        taking.drop("it is empty", key)
    taking.ask("the chart has no value for it", *list(taking.left))


def _image(chart: Chart, taking: Taking) -> None:
    image = str(taking.get("image", ""))
    name, _, digest = image.partition("@")
    repository, colon, tag = name.rpartition(":")
    if not colon or "/" in tag:
        repository, tag = name, ""
    if repository:
        chart.put("image.repository", repository)
    if tag or (repository and not digest):
        chart.put("image.tag", tag or "latest")
    if digest:
        chart.put("image.digest", digest)
    taking.note(Fate.CHECK, "image", f"image.repository: {repository}", "corepod has to be installed in it")
    if "imagePullPolicy" in taking:
        chart.take(taking, "imagePullPolicy", "image.pullPolicy")


def _command(chart: Chart, taking: Taking, web: Web) -> None:
    if web.found is None:
        chart.put("command", ["corepod", "pid1"])
        note = "the image says what starts: migrate its Dockerfile, too, and name the application in app.module"
        chart.program.ask("container.command", shown(taking.get("args") or ""), note)
        taking.take("args")
        return
    words = [*web.found.command[:-1], "pid1"]
    if web.found.before:
        last = " ".join(words)
        words = ["sh", "-c", " && ".join([*web.found.before, f"exec {last}"])]
    chart.put("command", words)
    for key in ("command", "args"):
        if key in taking:
            taking.note(Fate.MAPPED, key, f"command: {shown(words)}")


def _environment(chart: Chart, taking: Taking) -> None:
    variables: list[dict[str, Any]] = []
    seen: set[str] = set()
    for one in taking.take("env") or []:
        name, value = str(one.get("name")), shown(one.get("value", one.get("valueFrom")))
        if name in _SETTLED:
            chart.program.drop(f"env {name}", value, _SETTLED[name])
        elif name in TAKEN:
            same = name in ("POD_NAME", "NODE_NAME") and "fieldRef" in (one.get("valueFrom") or {})
            if same:
                chart.program.map(f"env {name}", value, "the chart sets it")
            else:
                chart.program.ask(f"env {name}", value, "the chart sets this variable itself")
        elif name in seen:
            chart.program.drop(f"env {name}", value, "it is there twice")
        else:
            variables.append(one)
            chart.program.map(f"env {name}", value, "extraEnv")
        seen.add(name)
    have = {str(one.get("name")) for one in variables}
    for name, text in chart.program.variables.items():
        if name not in have and name not in _SETTLED:
            variables.append({"name": name, "value": text})
    if variables:
        chart.put("extraEnv", variables)
    if taking.get("envFrom"):
        chart.take(taking, "envFrom", "envFrom")


def _ports(taking: Taking) -> None:
    ports = taking.get("ports") or []
    if len(ports) > 1:
        taking.note(Fate.NEEDS_YOU, "ports", "8000 and 9000", "the chart's pods have these two")
    elif ports:
        taking.note(Fate.MAPPED, "ports", "port 8000", "the chart's Service finds it")


def _lifecycle(chart: Chart, taking: Taking) -> None:
    hooks = Taking(chart.program, taking.take("lifecycle") or {}, "lifecycle.")
    stop = hooks.get("preStop") or {}
    sleep = _sleep(stop)
    if sleep is not None:
        why = "on TERM a pod is not ready at once, and still accepts connections for lame_duck seconds"
        if sleep <= 5:
            hooks.drop(f"{why}, 5 by default", "preStop")
        else:
            hooks.use("preStop", "lame_duck", sleep, why)
    hooks.ask("what has to happen when a pod stops goes to the lifespan, or the command to lifecycle", "preStop")
    hooks.ask("a command that has to run when a container starts goes to lifecycle", "postStart")
    hooks.rest()


def _sleep(hook: dict[str, Any]) -> int | None:
    """Seconds that a hook sleeps; None for one that does something else."""
    if "sleep" in hook:
        seconds = (hook["sleep"] or {}).get("seconds")
        return seconds if isinstance(seconds, int) else None
    words = " ".join(str(one) for one in (hook.get("exec") or {}).get("command") or []).split()
    if "sleep" not in words or len(words) > 4:
        return None
    seconds = words[-1].removesuffix("s")
    return int(seconds) if seconds.isdigit() else None
