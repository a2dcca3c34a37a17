"""The objects, their versions, and what has happened to them since."""

from __future__ import annotations

import copy
import json
import threading
import uuid
from collections import deque
from dataclasses import dataclass
from typing import Any

from tools.fakeapi import discovery

JSON = dict[str, Any]
Key = tuple[str, str, str]  # plural, namespace, name


@dataclass(frozen=True)
class Event:
    """One change. `old` is None for a new object."""

    version: int
    type: str
    key: Key
    object: JSON
    old: JSON | None
    line: bytes


class Store:
    """Thread safe. `changed` is notified after each change."""

    def __init__(self, history: int = 100_000) -> None:
        self.changed = threading.Condition()
        self.objects: dict[Key, JSON] = {}
        self._encoded: dict[Key, bytes] = {}
        self.version = 100
        self.oldest = 100  # a watch from before this is gone
        self.events: deque[Event] = deque(maxlen=history)

    def put(self, plural: str, object_: JSON) -> JSON:
        """Create or replace, as the API server stores it: with uid, version and, where the spec changed, generation."""
        with self.changed:
            meta = object_.setdefault("metadata", {})
            key = (plural, meta.get("namespace", ""), meta["name"])
            old = self.objects.get(key)
            self.version += 1
            meta["resourceVersion"] = str(self.version)
            object_["kind"], object_["apiVersion"] = discovery.kind(plural)
            meta.setdefault("uid", old["metadata"]["uid"] if old else str(uuid.uuid4()))
            meta.setdefault("creationTimestamp", "2026-01-01T00:00:00Z")
            generation = old["metadata"].get("generation", 1) if old else 1
            meta["generation"] = generation + bool(old and old.get("spec") != object_.get("spec"))
            self.objects[key] = object_
            self._encoded.pop(key, None)
            self._tell("MODIFIED" if old else "ADDED", key, object_, old)
            return object_

    def delete(self, plural: str, namespace: str, name: str) -> JSON | None:
        with self.changed:
            old = self.objects.pop((plural, namespace, name), None)
            if old is not None:
                self._encoded.pop((plural, namespace, name), None)
                self.version += 1
                gone = copy.deepcopy(old)
                gone["metadata"]["resourceVersion"] = str(self.version)
                self._tell("DELETED", (plural, namespace, name), gone, old)
            return old

    def get(self, plural: str, namespace: str, name: str) -> JSON | None:
        """A copy, to change and put back."""
        with self.changed:
            return copy.deepcopy(self.objects.get((plural, namespace, name)))

    def all(self, plural: str, namespace: str = "") -> list[JSON]:
        """As they are now; read only."""
        with self.changed:
            return [o for (p, n, _), o in self.objects.items() if p == plural and namespace in ("", n)]

    def listed(self, plural: str, namespace: str, query: dict[str, str]) -> list[bytes]:
        """What a list shows, each object as JSON."""
        with self.changed:
            found = []
            for key, object_ in self.objects.items():
                if key[0] == plural and namespace in ("", key[1]) and selected(object_, query):
                    if key not in self._encoded:
                        plain = {name: part for name, part in object_.items() if name not in ("kind", "apiVersion")}
                        self._encoded[key] = json.dumps(plain).encode()
                    found.append(self._encoded[key])
            return found

    def compact(self) -> None:
        """Forget the past: watches that begin before this and the rest of half-read lists are gone. Watches that are
        open go on, as the API server serves them from its cache: they still get what they haven't seen."""
        with self.changed:
            self.version += 1
            self.oldest = self.version

    def since(self, version: int) -> list[Event]:
        """What came after this version. Call with `changed` held."""
        found = []
        for event in reversed(self.events):
            if event.version <= version:
                break
            found.append(event)
        return found[::-1]

    def _tell(self, type_: str, key: Key, object_: JSON, old: JSON | None) -> None:
        line = json.dumps({"type": type_, "object": object_}).encode() + b"\n"
        self.events.append(Event(self.version, type_, key, object_, old, line))
        self.changed.notify_all()


def merged(old: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    result = dict(old) if isinstance(old, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def operated(old: JSON, operations: list[JSON]) -> JSON | None:
    """RFC 6902 with test, add and replace, each of a member; None where a test fails."""
    result = copy.deepcopy(old)
    for step in operations:
        *folders, name = step["path"].strip("/").split("/")
        place = result
        for folder in folders:
            place = place[folder]
        if step["op"] == "test":
            if place.get(name) != step["value"]:
                return None
        elif step["op"] == "add" or name in place:
            place[name] = step["value"]
        else:
            return None
    return result


def selected(object_: JSON, query: dict[str, str]) -> bool:
    """labelSelector with `a=b` and `a`, fieldSelector with metadata.name."""
    meta = object_["metadata"]
    labels = meta.get("labels") or {}
    for term in filter(None, query.get("labelSelector", "").split(",")):
        name, equal, value = term.partition("=")
        if name not in labels or (equal and labels[name] != value):
            return False
    for term in filter(None, query.get("fieldSelector", "").split(",")):
        name, _, value = term.partition("=")
        if name != "metadata.name":
            raise ValueError(f"the fake API server knows no field {name}")
        if meta["name"] != value:
            return False
    return True
