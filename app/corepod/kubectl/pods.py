"""The pods that run corepod, as the API server describes them."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, NamedTuple

from corepod.contract.env import ADMIN_PORT
from corepod.contract.escaping import line
from corepod.contract.exits import EXIT_NO_POOL
from corepod.local.pools import CommandError
from corepod.operator.api.cluster import PODS
from corepod.operator.model.names import LAST_RESTART
from corepod.operator.restarts.counts import record

if TYPE_CHECKING:
    from collections.abc import Iterable

    from corepod.kubectl.access import Access

    JSON = dict[str, Any]

WORKERS = "app.kubernetes.io/component=worker"  # a label of every pod of the chart and of the kustomizations
CONTAINER, ADMIN = "worker", "admin"  # what chart and kustomizations call the container, and its port
LONGEST = 500  # characters of an annotation: anybody who may change the pod may have written it
DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"


class Stop(NamedTuple):
    """The last end of the container itself, the supervisor's."""

    at: str
    code: int
    reason: str


class Pod(NamedTuple):
    """`state` is what keeps it from serving, empty for one that runs; `deaths` is what the operator has published."""

    uid: str
    namespace: str
    name: str
    node: str
    container: str
    port: int
    state: str
    ready: bool
    deaths: int
    last_death: str
    container_restarts: int
    last_stop: Stop | None

    @property
    def runs(self) -> bool:
        return not self.state


def find_all(access: Access) -> list[Pod]:
    """Every pod of corepod that was asked for, by namespace and name. Raises ClusterError."""
    selector = access.selector or WORKERS
    pages = access.cluster.list_pages(PODS, access.namespace, labelSelector=selector)
    found = [decode(item) for page in pages for item in page.items if access.selector or _has_admin_port(item)]
    return sorted(found, key=lambda pod: (pod.namespace, pod.name))


def none(access: Access) -> CommandError:
    """That there are no pods, and what may be the reason."""
    selector = f" with the labels {access.selector}" if access.selector else ""
    hint = "-l LABELS" if not access.selector else "other labels"
    others = "" if not access.namespace else " -n NAMESPACE or -A for other namespaces,"
    return CommandError(
        f"no pod of corepod{selector} is in {access.where}: use{others} or {hint} for pods that have been deployed "
        "without the chart",
        EXIT_NO_POOL,
    )


def find_one(access: Access, name: str) -> Pod:
    """The pod NAME or pod/NAME, whatever its labels are. Raises CommandError or ClusterError."""
    kind, slash, rest = name.partition("/")
    if slash and kind not in ("pod", "pods", "po"):
        raise CommandError(f"{name} is no pod: write POD or pod/POD", EXIT_NO_POOL)
    wanted = rest or name
    pages = access.cluster.list_pages(PODS, access.namespace, fieldSelector=f"metadata.name={wanted}")
    found = [decode(item) for page in pages for item in page.items]
    if not found:
        raise CommandError(
            f"there is no pod {wanted} in {access.where}{suggestion(wanted, [p.name for p in find_all(access)])}",
            EXIT_NO_POOL,
        )
    if len(found) > 1:
        spaces = ", ".join(pod.namespace for pod in found)
        raise CommandError(f"several namespaces have a pod {wanted} ({spaces}): choose one with -n", EXIT_NO_POOL)
    return found[0]


def suggestion(name: str, known: Iterable[str]) -> str:
    """What may have been meant."""
    names = sorted(set(known))
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if close:
        return f"; did you mean {close[0]}?"
    return f"; there are {', '.join(names[:5])}{' …' if len(names) > 5 else ''}" if names else ""


def decode(item: JSON) -> Pod:
    """A pod of the API. What is missing in it is empty."""
    meta, spec, status = item["metadata"], item.get("spec") or {}, item.get("status") or {}
    container = _container(meta, spec)
    name = str(container.get("name") or "")
    own: JSON = next((s for s in status.get("containerStatuses") or () if s.get("name") == name), {})
    notes = meta.get("annotations") or {}
    conditions = {c.get("type"): c.get("status") for c in status.get("conditions") or ()}
    return Pod(
        uid=str(meta.get("uid") or f"{meta.get('namespace')}/{meta['name']}"),
        namespace=str(meta.get("namespace") or ""),
        name=str(meta["name"]),
        node=str(spec.get("nodeName") or ""),
        container=name,
        port=_port(container),
        state=_state(meta, status, own),
        ready=conditions.get("Ready") == "True" and not meta.get("deletionTimestamp"),
        deaths=record(notes).total,
        last_death=line(str(notes.get(LAST_RESTART) or "")[-LONGEST:]),
        container_restarts=int(own.get("restartCount") or 0),
        last_stop=_last_stop(own),
    )


def _has_admin_port(item: JSON) -> bool:
    return any(_admin(container) for container in (item.get("spec") or {}).get("containers") or ())


def _admin(container: JSON) -> JSON | None:
    return next((port for port in container.get("ports") or () if port.get("name") == ADMIN), None)


def _container(meta: JSON, spec: JSON) -> JSON:
    """The one with corepod in it: called worker, or with a port called admin, or the one that kubectl takes."""
    containers: list[JSON] = spec.get("containers") or [{}]
    default = (meta.get("annotations") or {}).get(DEFAULT_CONTAINER)
    named = [c for c in containers if c.get("name") == CONTAINER]
    return [*named, *filter(_admin, containers), *(c for c in containers if c.get("name") == default), containers[0]][0]


def _port(container: JSON) -> int:
    found = _admin(container)
    return int(found["containerPort"]) if found else ADMIN_PORT


def _state(meta: JSON, status: JSON, own: JSON) -> str:
    """What `kubectl get pods` shows for a pod that doesn't run."""
    if meta.get("deletionTimestamp"):
        return "Terminating"
    state = own.get("state") or {}
    for kind in ("waiting", "terminated"):
        if kind in state:
            return line(str((state[kind] or {}).get("reason") or kind.title()))
    phase = str(status.get("phase") or "Unknown")
    return "" if phase == "Running" else phase


def _last_stop(own: JSON) -> Stop | None:
    ended = (own.get("lastState") or {}).get("terminated")
    if not ended:
        return None
    reason = line(str(ended.get("reason") or ""))
    return Stop(str(ended.get("finishedAt") or ""), int(ended.get("exitCode") or 0), reason)
