"""The operator's requests to the API server. Objects stay the JSON that the server sends, without its bulk."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, NamedTuple

from corepod.operator.api.errors import InvalidResponse, refused
from corepod.operator.api.responses import parsed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from corepod.operator.api.responses import JSON
    from corepod.operator.api.transport import Transport

PAGE = 500  # objects per page of a list
PAGE_TIMEOUT = 30.0  # seconds for one page
MERGE = "application/merge-patch+json"
OPERATIONS = "application/json-patch+json"

# Lists that make up most of an object and that no decision reads. They are dropped while the response is parsed: with
# them a page of nodes takes four times the memory. Only lists, because a label may be called `env`, too.
_BULK = frozenset(
    ("images", "volumesInUse", "volumesAttached", "volumes", "volumeMounts", "env", "envFrom", "args", "command")
)
_FIELDS = "managedFields"  # who set which field: only needed of workloads


class Kind(NamedTuple):
    """A kind of object, as the API's paths name it."""

    version: str
    plural: str
    kind: str
    namespaced: bool = True
    fields: bool = False  # whether managedFields are kept

    def path(self, namespace: str = "", name: str = "", part: str = "") -> str:
        """The path of all objects, of those in a namespace, of one object, or of its subresource."""
        root = f"/apis/{self.version}" if "/" in self.version else f"/api/{self.version}"
        space = f"/namespaces/{namespace}" if namespace and self.namespaced else ""
        return f"{root}{space}/{self.plural}" + "".join(f"/{step}" for step in (name, part) if step)


NODES = Kind("v1", "nodes", "Node", namespaced=False)
PODS = Kind("v1", "pods", "Pod")
QUOTAS = Kind("v1", "resourcequotas", "ResourceQuota")
EVENTS = Kind("v1", "events", "Event")
DEPLOYMENTS = Kind("apps/v1", "deployments", "Deployment", fields=True)
STATEFULSETS = Kind("apps/v1", "statefulsets", "StatefulSet", fields=True)
HORIZONTAL_AUTOSCALERS = Kind("autoscaling/v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler")
LEASES = Kind("coordination.k8s.io/v1", "leases", "Lease")


class Page(NamedTuple):
    """Some of the objects of a list, and the resource version of the whole list."""

    items: list[JSON]
    version: str


class WatchEvent(NamedTuple):
    """ADDED, MODIFIED, DELETED or BOOKMARK, with the object (a bookmark has only a resource version)."""

    type: str
    object: JSON


class Cluster:
    """One API server. Every method raises ClusterError; none retries.

    `within` is the time limit for reading or writing one object, in seconds.
    """

    def __init__(self, transport: Transport, within: float = 5.0) -> None:
        self._transport, self._within = transport, within
        self._reading = threading.Lock()

    # Reading

    def list_pages(self, kind: Kind, namespace: str = "", **query: str) -> Iterator[Page]:
        """All objects of a kind, page by page, so that they are never in memory all at once."""
        token = ""
        while True:
            step: dict[str, str | int] = {**query, "limit": PAGE}
            if token:
                step["continue"] = token
            body = self._transport.fetch(kind.path(namespace), step, within=PAGE_TIMEOUT)
            # One page at a time, whatever the kind: parsed, it takes megabytes until its objects have become facts.
            with self._reading:
                page, token = _page(kind, body)
                del body
                yield page
                del page
            if not token:
                return

    def watch(
        self, kind: Kind, version: str, namespace: str = "", *, seconds: float, silence: float, **query: str
    ) -> Iterator[WatchEvent]:
        """Changes after `version`. The server ends the watch after `seconds`; for `silence` see Transport.lines."""
        parameters = {**query, "watch": "1", "allowWatchBookmarks": "true", "resourceVersion": version}
        parameters["timeoutSeconds"] = str(max(1, int(seconds)))
        for line in self._transport.lines(kind.path(namespace), parameters, silence):
            if line.strip():
                yield _event(line, _hook(kind))

    def get(self, kind: Kind, namespace: str, name: str) -> JSON:
        """One object."""
        return self._transport.request("GET", kind.path(namespace, name), hook=_hook(kind), within=self._within)

    # Writing

    def scale(self, kind: Kind, namespace: str, name: str, *, old: int, new: int) -> None:
        """Set the number of replicas if it still is `old`. Raises Changed if not, so that no writer undoes another."""
        operations = [
            {"op": "test", "path": "/spec/replicas", "value": old},
            {"op": "replace", "path": "/spec/replicas", "value": new},
        ]
        path = kind.path(namespace, name, "scale")
        self._transport.request("PATCH", path, body=operations, kind=OPERATIONS, within=self._within)

    def set_hpa_limits(self, kind: Kind, namespace: str, name: str, *, old: int, new: tuple[int, int]) -> None:
        """Set minReplicas and maxReplicas of a HorizontalPodAutoscaler, if maxReplicas still is `old`."""
        operations: list[JSON] = [{"op": "test", "path": "/spec/maxReplicas", "value": old}]
        for field, value in zip(("minReplicas", "maxReplicas"), new, strict=True):
            operations.append({"op": "add", "path": f"/spec/{field}", "value": value})
        path = kind.path(namespace, name)
        self._transport.request("PATCH", path, body=operations, kind=OPERATIONS, within=self._within)

    def patch(self, kind: Kind, namespace: str, name: str, body: JSON) -> JSON:
        """Change some fields of an object; the value None removes a field."""
        return self._transport.request(
            "PATCH", kind.path(namespace, name), body=body, kind=MERGE, within=self._within, hook=_hook(kind)
        )

    def create(self, kind: Kind, namespace: str, body: JSON, within: float | None = None) -> JSON:
        """Create an object. Raises Conflict if one of this name exists."""
        whole = {"apiVersion": kind.version, "kind": kind.kind, **body}
        return self._transport.request("POST", kind.path(namespace), body=whole, within=within or self._within)

    def replace(self, kind: Kind, namespace: str, name: str, body: JSON, within: float | None = None) -> JSON:
        """Replace an object. Raises Conflict if its resourceVersion isn't the one in `body` any more."""
        whole = {"apiVersion": kind.version, "kind": kind.kind, **body}
        return self._transport.request("PUT", kind.path(namespace, name), body=whole, within=within or self._within)


def _page(kind: Kind, body: bytearray) -> tuple[Page, str]:
    """A page of a list, and the token of the next one."""
    found = parsed(body, _hook(kind))
    meta, items = found.get("metadata"), found.get("items")
    if not isinstance(meta, dict) or not meta.get("resourceVersion"):
        raise InvalidResponse(f"the list of {kind.plural} has no resourceVersion")
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


def _event(line: bytes, hook: Callable[[JSON], JSON]) -> WatchEvent:
    try:
        event = json.loads(line, object_hook=hook)
        kind, found = event["type"], event["object"]
        found["metadata"] if kind != "ERROR" else found["code"]
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidResponse(f"a line of the watch isn't an event: {line[:60]!r}") from error
    if kind == "ERROR":
        raise refused(int(found["code"]), str(found.get("reason", "")), str(found.get("message", "")))
    return WatchEvent(kind, found)
