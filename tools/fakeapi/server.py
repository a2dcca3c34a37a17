"""HTTP around the store."""

from __future__ import annotations

import base64
import contextlib
import http.server
import json
import socket
import sys
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import yaml

from tools.fakeapi import discovery, execution, protobuf
from tools.fakeapi.faults import Do, Fault
from tools.fakeapi.store import JSON, Store, merged, operated
from tools.fakeapi.watching import Stream

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from pathlib import Path

WRITES = ("POST", "PUT", "PATCH", "DELETE")
CONFLICT = "Conflict"
_NOTHING = execution.Ended(refusal="the container has no such program")


@dataclass(frozen=True)
class Call:
    """One request. `plural` is nodes, pods, deployments …; `part` a subresource."""

    at: float
    method: str
    path: str
    query: dict[str, str]
    plural: str
    namespace: str
    name: str
    part: str
    body: Any
    token: str  # its Authorization

    @property
    def watch(self) -> bool:
        return self.query.get("watch") in ("1", "true")

    @property
    def list(self) -> bool:
        """The first page of a list."""
        return self.method == "GET" and not self.name and not self.watch and "continue" not in self.query

    @property
    def write(self) -> bool:
        return self.method in WRITES


class FakeApi:
    """One API server on loopback. Also a context manager."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        """With `tls` it speaks nothing else."""
        self.store = Store()
        self.calls: list[Call] = []
        self.faults: list[Fault] = []
        self.streams: list[Stream] = []
        self.errors: list[BaseException | None] = []  # of its own
        self.closing = threading.Event()
        self.bookmarks = 1.0  # seconds between two bookmarks of a watch
        self.longest = float("inf")  # seconds of a watch, whatever the client asks for
        # What exec and the proxy reach: a pod's name, the container and the command; a pod's name and the path.
        self.container: Callable[[str, str, list[str]], execution.Ended] = lambda pod, container, command: _NOTHING
        self.pages: Callable[[str, str], bytes | None] = lambda pod, path: None
        self.gone_as_status = False  # 410: as the answer's status, or as an event in a stream
        self._lists: dict[str, tuple[int, list[bytes]]] = {}
        self._server = _Server(("127.0.0.1", 0), Handler)
        self._server.api = self
        if tls is not None:
            # Hands are shaken by the connection's own thread.
            wrapped = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
            self._server.socket = wrapped
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def __enter__(self) -> FakeApi:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.closing.set()
        with self.store.changed:
            self.store.changed.notify_all()
        self._server.shutdown()
        self._thread.join()
        self._server.end_connections()
        self._server.server_close()
        assert not self.errors, self.errors

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def kubeconfig(self, folder: Path, token: str = "", namespace: str = "") -> Path:
        """A kubeconfig for this server, its context called fake, perhaps with a namespace."""
        path = folder / f"kubeconfig-{self.port}"
        context = {"cluster": "fake", "user": "fake", **({"namespace": namespace} if namespace else {})}
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "fake", "cluster": {"server": f"http://127.0.0.1:{self.port}"}}],
            "users": [{"name": "fake", "user": {"token": token} if token else {}}],
            "contexts": [{"name": "fake", "context": context}],
            "current-context": "fake",
        }
        path.write_text(yaml.safe_dump(content))
        return path

    # Faults

    def fail(self, do: Do, *, times: float = 1, match: Callable[[Call], bool] = lambda call: True) -> Fault:
        """Have the next requests that match go wrong."""
        fault = Fault(do, match, times)
        self.faults.append(fault)
        return fault

    def heal(self) -> None:
        """No faults any more."""
        self.faults.clear()

    def freeze(self, plural: str = "") -> None:
        """The open watches say nothing any more, and don't end: half-open connections."""
        with self.store.changed:
            for stream in self.streams:
                if plural in ("", stream.call.plural):
                    stream.frozen = True

    def inject(self, plural: str, data: bytes, *, end: bool = False) -> None:
        """Write this into the open watches of a kind, and end them."""
        with self.store.changed:
            for stream in self.streams:
                if stream.call.plural == plural:
                    stream.inserted.append(data)
                    stream.ended = stream.ended or end
            self.store.changed.notify_all()

    # What has happened

    def lists(self, plural: str) -> list[Call]:
        return [call for call in self.calls if call.list and call.plural == plural]

    def watches(self, plural: str) -> list[Call]:
        return [call for call in self.calls if call.watch and call.plural == plural]

    def writes(self, plural: str = "", part: str | None = None) -> list[Call]:
        return [c for c in self.calls if c.write and plural in ("", c.plural) and part in (None, c.part)]

    def page(self, call: Call) -> JSON | bytes | None:
        """A page of a list as JSON text; None if its beginning is forgotten."""
        start, token = 0, call.query.get("continue")
        if token:
            id_, _, begin = base64.b64decode(token).decode().partition(":")
            if id_ not in self._lists or self._lists[id_][0] < self.store.oldest:
                return None
            start = int(begin)
        else:
            with self.store.changed:
                id_ = str(len(self._lists))
                self._lists[id_] = (self.store.version, self.store.listed(call.plural, call.namespace, call.query))
        version, items = self._lists[id_]
        limit = int(call.query.get("limit", 0)) or len(items) or 1
        meta: JSON = {"resourceVersion": str(version)}
        if start + limit < len(items):
            meta["continue"] = base64.b64encode(f"{id_}:{start + limit}".encode()).decode()
        else:
            self._lists[id_] = (version, [])
        kind, group = discovery.kind(call.plural)
        head = f'{{"kind":"{kind}List","apiVersion":"{group}","metadata":{json.dumps(meta)},"items":['.encode()
        return head + b",".join(items[start : start + limit]) + b"]}"


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    api: FakeApi

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._open: set[socket.socket] = set()

    def get_request(self) -> tuple[socket.socket, Any]:
        request, address = super().get_request()
        request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._open.add(request)
        return request, address

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def end_connections(self) -> None:
        for request in list(self._open):
            with contextlib.suppress(OSError):
                request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exception()
        # A client that has gone and a fault that closed its connection are no error.
        if not isinstance(error, OSError | ValueError):
            self.api.errors.append(error)


class Handler(http.server.BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: _Server

    @property
    def api(self) -> FakeApi:
        return self.server.api

    def do_GET(self) -> None:
        self._serve()

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

    def log_message(self, *_: object) -> None:
        pass

    def answer(self, code: int, body: JSON | bytes, headers: dict[str, str] | None = None) -> None:
        self.raw(code, body if isinstance(body, bytes) else json.dumps(body).encode(), "application/json", headers)

    def raw(self, code: int, body: bytes, kind: str, headers: dict[str, str] | None = None) -> None:
        self.send_response(code)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def refuse(self, code: int, reason: str, message: str) -> None:
        status = {"kind": "Status", "status": "Failure", "reason": reason, "message": message, "code": code}
        self.answer(code, status)

    def _serve(self) -> None:
        if self.command == "GET" and (found := discovery.answer(urlsplit(self.path).path)) is not None:
            self.answer(200, found)
            return
        call = self._call()
        self.api.calls.append(call)
        for fault in list(self.api.faults):
            if fault.times > 0 and fault.match(call):
                fault.times -= 1
                fault.seen.append(call)
                if fault.do(self):
                    return
        if call.part == "exec":
            execution.serve(self, call.name)
        elif call.part == "proxy":
            self._pass_on(call)
        elif call.watch:
            Stream(self, call).run()
        elif call.method == "GET":
            self._read(call)
        else:
            self._write(call)

    def _call(self) -> Call:
        url = urlsplit(self.path)
        steps = url.path.strip("/").split("/")
        steps = steps[2:] if steps[0] == "api" else steps[3:]
        namespace = ""
        if steps[0] == "namespaces" and len(steps) > 2:
            namespace, steps = steps[1], steps[2:]
        steps += [""] * (3 - len(steps))
        length = int(self.headers.get("Content-Length") or 0)
        body = self._decoded(self.rfile.read(length)) if length else None
        query, token = dict(parse_qsl(url.query)), self.headers.get("Authorization", "")
        return Call(
            time.monotonic(), self.command, url.path, query, steps[0], namespace, steps[1], steps[2], body, token
        )

    def _decoded(self, body: bytes) -> Any:
        return protobuf.scale(body) if "protobuf" in self.headers.get("Content-Type", "") else json.loads(body)

    def _read(self, call: Call) -> None:
        if not call.name:
            page = self.api.page(call)
            if page is None:
                self.refuse(410, "Expired", "the continue parameter is too old")
            else:
                self.answer(200, page)
            return
        found = self.api.store.get(call.plural, call.namespace, call.name)
        if found is None:
            self.refuse(404, "NotFound", f"{call.plural} {call.name!r} not found")
        else:
            self.answer(200, _scale(found) if call.part == "scale" else found)

    def _pass_on(self, call: Call) -> None:
        """As the API server does for a pod's port."""
        page = self.api.pages(call.name.partition(":")[0], call.path.partition("/proxy")[2])
        if page is None:
            self.refuse(503, "ServiceUnavailable", "error trying to reach service: connection refused")
        else:
            self.raw(200, page, "text/plain")

    def _write(self, call: Call) -> None:
        with self.api.store.changed:
            old = self.api.store.get(call.plural, call.namespace, call.name) if call.name else None
            if call.method == "POST":
                self._create(call)
            elif old is None:
                self.refuse(404, "NotFound", f"{call.plural} {call.name!r} not found")
            elif call.method == "DELETE":
                self.api.store.delete(call.plural, call.namespace, call.name)
                self.answer(200, {"kind": "Status", "status": "Success"})
            elif call.part == "scale":
                self._rescale(call, old)
            else:
                self._replace(call, old)

    def _create(self, call: Call) -> None:
        body = call.body
        meta = body.setdefault("metadata", {})
        meta.setdefault("namespace", call.namespace)
        if "generateName" in meta:
            meta.setdefault("name", f"{meta['generateName']}{self.api.store.version}")
        if self.api.store.get(call.plural, call.namespace, meta["name"]) is not None:
            self.refuse(409, "AlreadyExists", f"{meta['name']!r} already exists")
            return
        self.answer(201, self.api.store.put(call.plural, body))

    def _replace(self, call: Call, old: JSON) -> None:
        if isinstance(call.body, list):
            self._operate(call, old)
            return
        new = call.body if call.method == "PUT" else merged(old, call.body)
        meta = new.get("metadata") or {}
        for precondition in ("uid", "resourceVersion"):
            if meta.get(precondition) not in (None, "", old["metadata"][precondition]):
                self.refuse(409, CONFLICT, f"the object has been modified: another {precondition}")
                return
        self.answer(200, self.api.store.put(call.plural, new))

    def _rescale(self, call: Call, old: JSON) -> None:
        new = dict(old, spec={"replicas": 1, **old["spec"]})
        if isinstance(call.body, list):
            self._operate(call, new)
            return
        new["spec"]["replicas"] = call.body["spec"]["replicas"]
        self.answer(200, _scale(self.api.store.put(call.plural, new)))

    def _operate(self, call: Call, old: JSON) -> None:
        new = operated(old, call.body)
        if new is None:
            self.refuse(422, "Invalid", "the test operation has failed")
            return
        stored = self.api.store.put(call.plural, new)
        self.answer(200, _scale(stored) if call.part == "scale" else stored)


def _scale(object_: JSON) -> JSON:
    meta = {name: object_["metadata"][name] for name in ("name", "namespace", "resourceVersion", "uid")}
    spec = {"replicas": object_["spec"].get("replicas", 1)}
    return {"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": meta, "spec": spec}
