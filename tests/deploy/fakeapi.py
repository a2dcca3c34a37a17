"""An API server that knows one Deployment, for what the chart looks up in the cluster (`lookup`). It takes nothing."""

from __future__ import annotations

import contextlib
import http.server
import json
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

APPS = {
    "kind": "APIResourceList",
    "groupVersion": "apps/v1",
    "resources": [{"name": "deployments", "namespaced": True, "kind": "Deployment", "verbs": ["get"]}],
}
NOT_FOUND = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}


@contextlib.contextmanager
def serving(deployment: dict[str, Any] | None = None) -> Iterator[Path]:
    """Serve for the length of a with block; yields the path of a kubeconfig."""
    known: dict[str, Any] = {"/apis/apps/v1": APPS}
    if deployment is not None:
        meta = deployment["metadata"]
        known[f"/apis/apps/v1/namespaces/{meta['namespace']}/deployments/{meta['name']}"] = deployment

    class Answers(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = known.get(self.path.partition("?")[0])
            body = json.dumps(NOT_FOUND if answer is None else answer).encode()
            self.send_response(404 if answer is None else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        with tempfile.TemporaryDirectory() as folder:
            yield _kubeconfig(Path(folder), server.server_port)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _kubeconfig(folder: Path, port: int) -> Path:
    path = folder / "kubeconfig"
    name = {"cluster": "fake", "user": "fake"}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "fake", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "fake", "user": {}}],
        "contexts": [{"name": "fake", "context": name}],
        "current-context": "fake",
    }
    path.write_text(yaml.safe_dump(content))
    return path
