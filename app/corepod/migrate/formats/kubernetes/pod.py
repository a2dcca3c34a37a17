"""The pod around the container: accounts, volumes, nodes, the time for a stop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from corepod.migrate.formats import server
from corepod.migrate.formats.taking import Taking
from corepod.migrate.model import Fate

if TYPE_CHECKING:
    from corepod.migrate.formats.kubernetes.read import Web
    from corepod.migrate.formats.kubernetes.values import Chart

DRAIN = 20  # seconds, at least, in which requests may end after lame_duck
_DEFAULTS = {
    "restartPolicy": ("Always",),
    "dnsPolicy": ("ClusterFirst",),
    "schedulerName": ("default-scheduler",),
    "automountServiceAccountToken": (False,),
    "enableServiceLinks": (False,),
    "hostNetwork": (False,),
    "shareProcessNamespace": (False,),
}
_SPREAD = ("topologyKey", "maxSkew", "whenUnsatisfiable", "minDomains", "nodeAffinityPolicy", "nodeTaintsPolicy")
_USER = ("runAsUser", "runAsGroup", "fsGroup", "fsGroupChangePolicy", "supplementalGroups", "sysctls")


def take_all(chart: Chart, taking: Taking, web: Web) -> None:
    _grace(chart, taking)
    _account(chart, taking)
    security(chart, Taking(chart.program, taking.take("securityContext") or {}, "pod.securityContext."))
    if web.others:
        chart.put("extraContainers", web.others)
        names = ", ".join(str(one.get("name")) for one in web.others)
        chart.program.map("containers", names, "extraContainers", "beside the worker")
    if taking.get("initContainers"):
        note = "they may start what the old server needed only"
        chart.take(taking, "initContainers", "initContainers", why=note, check=True)
    _volumes(chart, taking)
    for key in ("nodeSelector", "tolerations", "affinity", "priorityClassName"):
        if taking.get(key):
            chart.take(taking, key, key)
    if taking.get("imagePullSecrets"):
        secrets = [str(one.get("name")) for one in taking.get("imagePullSecrets")]
        chart.take(taking, "imagePullSecrets", "image.pullSecrets", secrets)
    if taking.get("topologySpreadConstraints"):
        given = taking.get("topologySpreadConstraints")
        spread = [{key: value for key, value in one.items() if key in _SPREAD} for one in given]
        chart.take(taking, "topologySpreadConstraints", "topologySpread", spread, "the chart adds the selector")
    for key, defaults in _DEFAULTS.items():
        if taking.get(key) in defaults:
            taking.drop("the chart has the same", key)
    for key in [key for key, value in taking.left.items() if value in (None, [], {}, "")]:
        taking.drop("it is empty", key)
    taking.ask("the chart has no value for it", *list(taking.left))


def _grace(chart: Chart, taking: Taking) -> None:
    """The time for a stop, and Kubernetes' time, which has to be longer."""
    program, key = chart.program, "terminationGracePeriodSeconds"
    grace = taking.get(key)
    lame_duck = int(program.settings.get("lame_duck", 0))
    unset = "stop_timeout" not in program.settings
    longer = unset and isinstance(grace, int) and grace - server.SPARE >= lame_duck + DRAIN
    if lame_duck and not longer and server.stop_timeout(program) < lame_duck + DRAIN:
        program.use("stop_timeout", "", "stop_timeout", lame_duck + DRAIN, f"lame_duck and {DRAIN} s for requests")
    if not isinstance(grace, int):
        return
    stop = server.stop_timeout(program)
    least = stop + server.SPARE
    if "stop_timeout" not in program.settings and grace > least:
        taking.use(key, "stop_timeout", grace - int(server.SPARE), f"the chart gives a pod {server.SPARE:g} s more")
    elif grace < least:
        note = f"raised: a pod would be killed after {grace} s, while it finishes requests (stop_timeout, {stop:g} s)"
        taking.note(Fate.MAPPED, key, f"{key}: {least:g} (the chart's default)", note)
    else:
        chart.take(taking, key, key)


def _account(chart: Chart, taking: Taking) -> None:
    name = taking.get("serviceAccountName") or taking.get("serviceAccount")
    if not name:
        return
    chart.put("serviceAccount", {"create": False, "name": name})
    token = taking.get("automountServiceAccountToken") is not False
    note = "the chart's pods get no token: nothing in them may call the API of Kubernetes" if token else ""
    for key in ("serviceAccountName", "serviceAccount"):
        if key in taking:
            taking.note(Fate.CHECK if token else Fate.MAPPED, key, f"serviceAccount.name: {name}", note)


def security(chart: Chart, taking: Taking) -> None:
    """Of the pod or of the container; the chart has one for both."""
    for key in _USER:
        if key not in taking:
            continue
        if key == "runAsUser" and not taking.get(key):
            taking.ask("the chart's pods don't run as root", key)
        else:
            chart.take(taking, key, f"podSecurityContext.{key}")
    if "readOnlyRootFilesystem" in taking:
        chart.take(taking, "readOnlyRootFilesystem", "readOnlyRootFilesystem")
    same = {
        "runAsNonRoot": True,
        "allowPrivilegeEscalation": False,
        "privileged": False,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    for key, value in same.items():
        if key in taking and taking.get(key) == value:
            taking.note(Fate.MAPPED, key, "the chart's own")
    capabilities = taking.get("capabilities")
    if isinstance(capabilities, dict) and not capabilities.get("add"):
        taking.note(Fate.MAPPED, "capabilities", "the chart drops all")
    taking.ask("the chart's pods follow Pod Security's level restricted", *list(taking.left))


def _volumes(chart: Chart, taking: Taking) -> None:
    """The chart has a volume `tmp` at /tmp; what is mounted there already is that one."""
    mounts: list[dict[str, Any]] = list(chart.values.pop("extraVolumeMounts", []))
    at_tmp = {one.get("name") for one in mounts if str(one.get("mountPath", "")).rstrip("/") == "/tmp"}
    others = {one.get("name") for one in mounts if one.get("name") not in at_tmp}
    volumes = []
    for one in taking.get("volumes") or []:
        empty = one.get("emptyDir")
        if one.get("name") in at_tmp - others and empty is not None:
            if empty and empty.get("sizeLimit"):
                chart.put("tmpSize", empty["sizeLimit"])
        else:
            volumes.append({**one, "name": _renamed(one.get("name"))})
    kept = {one["name"] for one in volumes}
    mounts = [{**one, "name": _renamed(one.get("name"))} for one in mounts]
    mounts = [one for one in mounts if one["name"] in kept]
    if volumes:
        chart.put("extraVolumes", volumes)
    if mounts:
        chart.put("extraVolumeMounts", mounts)
    if "volumes" in taking:
        taking.note(Fate.MAPPED, "volumes", "extraVolumes" if volumes else "the chart's own /tmp")


def _renamed(name: Any) -> str:
    return "tmp-volume" if name == "tmp" else str(name)
