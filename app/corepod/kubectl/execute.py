"""Runs a command in a container through the API server, over a websocket as kubectl exec does.

The frames are those of the subprotocol v4.channel.k8s.io: a byte for the channel, then data. What ended the command
comes as a Status object on a channel of its own.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlencode, urlsplit

import websocket

from corepod.operator.api.cluster import PODS
from corepod.operator.api.errors import ClusterError, InvalidResponse, Unreachable, refused

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from corepod.kubectl.pods import Pod
    from corepod.operator.api.transport import Endpoint, Transport

PROTOCOL = "v4.channel.k8s.io"
STDOUT, STDERR, STATUS = 1, 2, 3
CONNECT = 10.0  # seconds until the API server has passed the request on to the container
LARGEST = 16 << 20  # bytes of output: a pod is somebody else's, and must not fill this machine's memory


class NotStarted(ClusterError):
    """The container exists, and the command could not be started in it."""


class Ended(NamedTuple):
    """What a command has written, and its exit code."""

    code: int
    out: str
    err: str


def execute(transport: Transport, pod: Pod, command: Sequence[str], *, within: float) -> Ended:
    """Run the command in the pod's worker container. Raises ClusterError; Unreachable after `within` seconds."""
    deadline = time.monotonic() + within
    connection = _connect(transport.endpoint(), _path(pod, command), min(CONNECT, within))
    try:
        return _read(connection, deadline, within)
    except (websocket.WebSocketException, OSError) as error:
        raise Unreachable(f"exec in pod {pod.name}: {str(error) or type(error).__name__}") from error
    finally:
        _close(connection)


def _path(pod: Pod, command: Sequence[str]) -> str:
    query = [("container", pod.container), ("stdout", "true"), ("stderr", "true")]
    return f"{PODS.path(pod.namespace, pod.name, 'exec')}?{urlencode([*query, *(('command', c) for c in command)])}"


def _connect(endpoint: Endpoint, path: str, within: float) -> websocket.WebSocket:
    options: dict[str, Any] = {}
    if endpoint.tls is not None:
        tls = endpoint.tls
        options = {"context": tls, "cert_reqs": tls.verify_mode, "check_hostname": tls.check_hostname}
        options["server_hostname"] = endpoint.server_name
    proxy = urlsplit(endpoint.proxy or "")
    connection = websocket.WebSocket(sslopt=options, enable_multithread=False)
    connection.settimeout(within)
    connect: Callable[..., None] = connection.connect  # it has no types
    try:
        connect(
            f"ws{endpoint.host.removeprefix('http')}{path}",
            header=endpoint.headers,
            subprotocols=[PROTOCOL],
            http_proxy_host=proxy.hostname,
            http_proxy_port=proxy.port or 80,
            http_proxy_auth=(proxy.username, proxy.password) if proxy.username else None,
            http_no_proxy=(endpoint.no_proxy or "").split(",") if endpoint.no_proxy else None,
            redirect_limit=0,
        )
    except websocket.WebSocketBadStatusException as error:
        raise _refusal(error) from error
    except (websocket.WebSocketException, OSError) as error:
        raise Unreachable(f"exec: {str(error) or type(error).__name__}") from error
    return connection


def _close(connection: websocket.WebSocket) -> None:
    close: Callable[[], None] = connection.shutdown
    close()


def _refusal(error: websocket.WebSocketBadStatusException) -> ClusterError:
    """The API server's own words, which are in the body."""
    try:
        status = json.loads(error.resp_body or b"")
        reason, message = str(status.get("reason") or ""), str(status.get("message") or "")
    except (ValueError, AttributeError):
        reason, message = error.status_message or "", (error.resp_body or b"")[:200].decode(errors="replace")
    return refused(error.status_code, reason, message)


def _read(connection: websocket.WebSocket, deadline: float, within: float) -> Ended:
    output = {STDOUT: bytearray(), STDERR: bytearray(), STATUS: bytearray()}
    while not output[STATUS]:
        left = deadline - time.monotonic()
        if left <= 0:
            raise Unreachable(f"no result within {within:g} s")
        connection.settimeout(left)
        try:
            frame = connection.recv()
        except websocket.WebSocketTimeoutException:
            continue
        data = frame.encode() if isinstance(frame, str) else frame
        if not data:
            break
        if data[0] in output:
            output[data[0]] += data[1:]
        if sum(map(len, output.values())) > LARGEST:
            raise InvalidResponse(f"the command has written more than {LARGEST} bytes")
    return Ended(
        exit_code(bytes(output[STATUS])),
        output[STDOUT].decode(errors="replace"),
        output[STDERR].decode(errors="replace"),
    )


def exit_code(status: bytes) -> int:
    """The exit code in the Status object that ends a command. Raises NotStarted with the container runtime's words."""
    try:
        document = json.loads(status)
        if document.get("status") == "Success":
            return 0
        causes = (document.get("details") or {}).get("causes") or []
        codes = [cause.get("message") for cause in causes if cause.get("reason") == "ExitCode"]
        if codes:
            return int(codes[0])
    except (ValueError, AttributeError, TypeError) as error:
        raise InvalidResponse("the connection ended without the exit code of the command") from error
    raise NotStarted(str(document.get("message") or "the command could not be started"))
