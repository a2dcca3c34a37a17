"""The one door to Kubernetes: what the operator asks of the API server, in its own words, as raw JSON made lean."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, NamedTuple

from corepod.operator.answers import parsed
from corepod.operator.errors import Nonsense, refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from corepod.operator.answers import JSON
    from corepod.operator.transport import Transport

PAGE = 500  # objects a page of a list
PATIENCE = 30.0  # seconds for a page
MERGE = "application/merge-patch+json"
OPERATIONS = "application/json-patch+json"
GONE = 410

# Lists that make up most of an object and that no decision reads. They go while the answer is parsed: whole, a page of
# nodes takes four times its size. Only lists: a label may be called `env`, too.
_BULK = frozenset(
    ("images", "volumesInUse", "volumesAttached", "volumes", "volumeMounts", "env", "envFrom", "args", "command")
)
_FIELDS = "managedFields"  # who set what: only of workloads is that a question


class Kind(NamedTuple):
    """A kind of object, as the paths of the API name it."""

    version: str
    plural: str
    kind: str
    namespaced: bool = True
    fields: bool = False  # whether who set its fields matters

    def path(self, namespace: str = "", name: str = "", part: str = "") -> str:
        """The path of all, of a namespace's, of one, or of one's subresource."""
        root = f"/apis/{self.version}" if "/" in self.version else f"/api/{self.version}"
        space = f"/namespaces/{namespace}" if namespace and self.namespaced else ""
        return f"{root}{space}/{self.plural}" + "".join(f"/{step}" for step in (name, part) if step)


NODES = Kind("v1", "nodes", "Node", namespaced=False)
PODS = Kind("v1", "pods", "Pod")
QUOTAS = Kind("v1", "resourcequotas", "ResourceQuota")
EVENTS = Kind("v1", "events", "Event")
DEPLOYMENTS = Kind("apps/v1", "deployments", "Deployment", fields=True)
STATEFULSETS = Kind("apps/v1", "statefulsets", "StatefulSet", fields=True)
AUTOSCALERS = Kind("autoscaling/v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler")
LEASES = Kind("coordination.k8s.io/v1", "leases", "Lease")


class Page(NamedTuple):
    """Some objects of a list, and the version of the whole list."""

    items: list[JSON]
    version: str


class Change(NamedTuple):
    """ADDED, MODIFIED, DELETED or BOOKMARK, with the object (of a bookmark only the version)."""

    type: str
    object: JSON


class Cluster:
    """One API server. Every method raises ClusterError; none tries again.

    `within` is what reading or writing one object may take, in seconds.
    """

    def __init__(self, transport: Transport, within: float = 5.0) -> None:
        self._transport, self._within = transport, within
        self._reading = threading.Lock()

    # Reading

    def pages(self, kind: Kind, namespace: str = "", **query: str) -> Iterator[Page]:
        """All objects of a kind, PAGE at a time: they never are in memory together."""
        token = ""
        while True:
            step: dict[str, str | int] = {**query, "limit": PAGE}
            if token:
                step["continue"] = token
            body = self._transport.fetch(kind.path(namespace), step, within=PATIENCE)
            # One at a time, of all kinds: parsed, a page takes megabytes until its objects are facts.
            with self._reading:
                page, token = _page(kind, body)
                del body
                yield page
                del page
            if not token:
                return

    def changes(
        self, kind: Kind, version: str, namespace: str = "", *, seconds: float, silence: float, **query: str
    ) -> Iterator[Change]:
        """What happens after `version`. The server ends it after `seconds`; `silence` is Transport.lines'."""
        watch = {**query, "watch": "1", "allowWatchBookmarks": "true", "resourceVersion": version}
        watch["timeoutSeconds"] = str(max(1, int(seconds)))
        for line in self._transport.lines(kind.path(namespace), watch, silence):
            if line.strip():
                yield _change(line, _hook(kind))

    def get(self, kind: Kind, namespace: str, name: str) -> JSON:
        """One object."""
        return self._transport.request("GET", kind.path(namespace, name), hook=_hook(kind), within=self._within)

    # Writing

    def scale(self, kind: Kind, namespace: str, name: str, *, old: int, new: int) -> None:
        """Set the number of pods if it still is `old`. Raises Changed where it isn't: no writer undoes another."""
        operations = [
            {"op": "test", "path": "/spec/replicas", "value": old},
            {"op": "replace", "path": "/spec/replicas", "value": new},
        ]
        path = kind.path(namespace, name, "scale")
        self._transport.request("PATCH", path, body=operations, kind=OPERATIONS, within=self._within)

    def limit(self, kind: Kind, namespace: str, name: str, *, old: int, new: tuple[int, int]) -> None:
        """Set least and greatest number of a HorizontalPodAutoscaler, if the greatest still is `old`."""
        operations: list[JSON] = [{"op": "test", "path": "/spec/maxReplicas", "value": old}]
        for field, value in zip(("minReplicas", "maxReplicas"), new, strict=True):
            operations.append({"op": "add", "path": f"/spec/{field}", "value": value})
        path = kind.path(namespace, name)
        self._transport.request("PATCH", path, body=operations, kind=OPERATIONS, within=self._within)

    def patch(self, kind: Kind, namespace: str, name: str, body: JSON) -> JSON:
        """Change some fields of an object; None removes one."""
        return self._transport.request(
            "PATCH", kind.path(namespace, name), body=body, kind=MERGE, within=self._within, hook=_hook(kind)
        )

    def create(self, kind: Kind, namespace: str, body: JSON, within: float | None = None) -> JSON:
        """A new object. Raises Conflict if there is one of this name."""
        whole = {"apiVersion": kind.version, "kind": kind.kind, **body}
        return self._transport.request("POST", kind.path(namespace), body=whole, within=within or self._within)

    def replace(self, kind: Kind, namespace: str, name: str, body: JSON, within: float | None = None) -> JSON:
        """The object anew. Raises Conflict if it isn't the one whose resourceVersion `body` has."""
        whole = {"apiVersion": kind.version, "kind": kind.kind, **body}
        return self._transport.request("PUT", kind.path(namespace, name), body=whole, within=within or self._within)


def _page(kind: Kind, body: bytearray) -> tuple[Page, str]:
    """A page of a list, and the token of the next one."""
    found = parsed(body, _hook(kind))
    meta, items = found.get("metadata"), found.get("items")
    if not isinstance(meta, dict) or not meta.get("resourceVersion"):
        raise Nonsense(f"the list of {kind.plural} has no resourceVersion")
    return Page(items or [], str(meta["resourceVersion"])), str(meta.get("continue") or "")


def _lean(found: JSON) -> JSON:
    for key in _BULK.intersection(found):
        if isinstance(found[key], list):
            del found[key]
    return found


def _leanest(found: JSON) -> JSON:
    if isinstance(found.get(_FIELDS), list):
        del found[_FIELDS]
    return _lean(found)


def _hook(kind: Kind) -> Callable[[JSON], JSON]:
    return _lean if kind.fields else _leanest


def _change(line: bytes, hook: Callable[[JSON], JSON]) -> Change:
    try:
        event = json.loads(line, object_hook=hook)
        kind, found = event["type"], event["object"]
        found["metadata"] if kind != "ERROR" else found["code"]
    except (ValueError, KeyError, TypeError) as error:
        raise Nonsense(f"a line of a watch that is no event: {line[:60]!r}") from error
    if kind == "ERROR":
        raise refused(int(found["code"]), str(found.get("reason", "")), str(found.get("message", "")))
    return Change(kind, found)
