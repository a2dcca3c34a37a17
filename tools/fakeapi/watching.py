"""A watch: chunks of lines, bookmarks, and an end."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from tools.fakeapi import discovery
from tools.fakeapi.store import Event, selected

if TYPE_CHECKING:
    from tools.fakeapi.server import Call, Handler

GONE = {"kind": "Status", "status": "Failure", "reason": "Expired", "code": 410, "message": "too old resource version"}


class Stream:
    """One open watch. Tests freeze it, end it, and write into it."""

    def __init__(self, handler: Handler, call: Call) -> None:
        self.handler, self.call, self.api = handler, call, handler.api
        self.version = int(call.query.get("resourceVersion") or self.api.store.version)
        self.inserted: list[bytes] = []
        self.frozen = self.ended = False

    def run(self) -> None:
        """Until its time is over, the client is gone or the server closes."""
        if self.version < self.api.store.oldest and self.api.gone_as_status:
            self.handler.answer(410, dict(GONE))
            return
        self._head()
        if self.version < self.api.store.oldest:
            self._chunk(json.dumps({"type": "ERROR", "object": GONE}).encode() + b"\n")
            self._chunk(b"")
            return
        with self.api.store.changed:
            self.api.streams.append(self)
        seconds = min(float(self.call.query.get("timeoutSeconds", 1800)), self.api.longest)
        try:
            self._follow(time.monotonic() + seconds)
        finally:
            self._leave()
        if not self.ended:
            self._chunk(b"")
        else:
            self.handler.close_connection = True

    def _leave(self) -> None:
        with self.api.store.changed:
            if self in self.api.streams:
                self.api.streams.remove(self)

    def _head(self) -> None:
        self.handler.send_response(200)
        self.handler.send_header("Content-Type", "application/json")
        self.handler.send_header("Transfer-Encoding", "chunked")
        self.handler.end_headers()

    def _follow(self, end: float) -> None:
        bookmark = time.monotonic() + self.api.bookmarks
        while True:
            with self.api.store.changed:
                lines = [] if self.frozen else self._news()
                over = time.monotonic() >= end or self.ended
                if self.api.closing.is_set() or (over and not self.frozen):
                    # In one with the last look: what tests write into an open watch, or freeze, isn't over yet.
                    self._leave()
                    break
                if not lines:
                    self.api.store.changed.wait(min(0.2, max(0.001, end - time.monotonic())))
            self._chunks(lines)
            if time.monotonic() >= bookmark and not self.frozen:
                bookmark = time.monotonic() + self.api.bookmarks
                self._chunk(self._bookmark())
        self._chunks(lines)

    def _news(self) -> list[bytes]:
        lines, self.inserted = self.inserted, []
        events = self.api.store.since(self.version)
        self.version = self.api.store.version
        return lines + [line for event in events if (line := self._seen(event)) is not None]

    def _seen(self, event: Event) -> bytes | None:
        """The event as this watch has it: an object that no longer matches is deleted for it."""
        plural, namespace, _ = event.key
        if plural != self.call.plural or self.call.namespace not in ("", namespace):
            return None
        before = event.old is not None and selected(event.old, self.call.query)
        now = event.type != "DELETED" and selected(event.object, self.call.query)
        if not before and not now:
            return None
        type_ = "MODIFIED" if before and now else "ADDED" if now else "DELETED"
        return (
            event.line if type_ == event.type else json.dumps({"type": type_, "object": event.object}).encode() + b"\n"
        )

    def _bookmark(self) -> bytes:
        meta = {"resourceVersion": str(self.version), "creationTimestamp": None}
        kind, group = discovery.kind(self.call.plural)
        found = {"kind": kind, "apiVersion": group, "metadata": meta}
        return json.dumps({"type": "BOOKMARK", "object": found}).encode() + b"\n"

    def _chunk(self, data: bytes) -> None:
        self._chunks([data])

    def _chunks(self, lines: list[bytes]) -> None:
        """Together, as a server sends what it knows: written one by one, a busy machine could make any pause of it."""
        if lines:
            self.handler.wfile.write(b"".join(b"%x\r\n%b\r\n" % (len(line), line) for line in lines))
            self.handler.wfile.flush()
