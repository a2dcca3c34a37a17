"""HTTP requests to the API server. The kubernetes package does configuration, authentication and TLS. Its typed objects
are not used: they take ten times the memory of the JSON that they are made from."""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode

import urllib3
from kubernetes import client, config
from kubernetes.client.rest import RESTClientObject
from kubernetes.config.incluster_config import SERVICE_HOST_ENV_NAME
from urllib3.util.ssl_ import create_urllib3_context

from corepod.operator.api.errors import ConnectError, Unauthorized, Unreachable
from corepod.operator.api.responses import describe, parsed, read_body, read_lines, refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from corepod.operator.api.responses import JSON

# The package has types, except for these.
load_kubeconfig: Callable[..., None] = config.load_kube_config
load_service_account: Callable[..., None] = config.load_incluster_config
list_contexts: Callable[..., tuple[list[JSON], JSON]] = config.list_kube_config_contexts

CONNECT = 5.0  # seconds until a connection must be established
NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
REFUSAL = 1 << 20  # bytes of the body of a refusal: behind the API server's proxy a pod writes it
RECONNECT = 10.0  # least number of seconds between two attempts to read the credentials again after a 401


class Credentials(NamedTuple):
    """Which kubeconfig and context to use. None: the pod's service account, or kubectl's defaults."""

    kubeconfig: str | None = None
    context: str | None = None


class Endpoint(NamedTuple):
    """What a connection of another kind to the same API server needs, such as a websocket. `tls` is None for http."""

    host: str
    headers: dict[str, str]
    tls: ssl.SSLContext | None
    server_name: str | None
    proxy: str | None
    no_proxy: str | None


class Transport:
    """Connections to one API server, shared by all threads. `agent` is the name that its audit log shows."""

    def __init__(self, credentials: Credentials, environ: Mapping[str, str], agent: str = "corepod-operator") -> None:
        """Raises ConnectError."""
        self._credentials, self._environ, self._agent = credentials, environ, agent
        self._lock = threading.Lock()
        self._calls = 0
        self._configuration = self._configured()
        self._pool = _pool(self._configuration)
        self._connected_at = time.monotonic()

    def close(self) -> None:
        """Close the idle connections."""
        self._pool.clear()

    @property
    def host(self) -> str:
        return str(self._configuration.host)

    @property
    def calls(self) -> int:
        """Requests sent so far."""
        return self._calls

    def request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str | int] | None = None,
        *,
        body: Any = None,
        kind: str = "application/json",
        within: float = 30.0,
        hook: Callable[[JSON], Any] | None = None,
    ) -> JSON:
        """Send a request and return the JSON object in the response. `hook` gets each nested object.

        Raises ClusterError.
        """
        return parsed(self._body(method, path, query, body, kind, within), hook)

    def fetch(
        self, path: str, query: Mapping[str, str | int], *, within: float, most: float = float("inf")
    ) -> bytearray:
        """The unparsed body of the response to a GET, of at most that many bytes. Raises ClusterError."""
        return self._body("GET", path, query, None, "", within, most)

    def lines(self, path: str, query: Mapping[str, str | int], silence: float) -> Iterator[bytes]:
        """The lines of a watch as they arrive. Raises Unreachable after `silence` seconds without a byte."""
        timeout = urllib3.Timeout(connect=CONNECT, read=silence)
        response = self._send("GET", path, query, None, "", timeout)
        try:
            yield from read_lines(response)
        finally:
            # Never returned to the pool: unread bytes would be taken for the response to the next request.
            response.close()

    def _body(
        self,
        method: str,
        path: str,
        query: Mapping[str, str | int] | None,
        body: Any,
        kind: str,
        within: float,
        most: float = float("inf"),
    ) -> bytearray:
        deadline = time.monotonic() + within
        timeout = urllib3.Timeout(connect=min(CONNECT, within), total=within)
        response = self._send(method, path, query, body, kind, timeout)
        try:
            return read_body(response, deadline, most)
        finally:
            response.release_conn()

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str | int] | None,
        body: Any,
        kind: str,
        timeout: urllib3.Timeout,
    ) -> urllib3.BaseHTTPResponse:
        url = self.host + path + ("?" + urlencode(query) if query else "")
        data = None if body is None else json.dumps(body).encode()
        self._calls += 1
        try:
            headers = {"Accept": "application/json", "User-Agent": self._agent, **self._auth()}
            if data is not None:
                headers["Content-Type"] = kind
            response = self._pool.request(
                method,
                url,
                body=data,
                headers=headers,
                timeout=timeout,
                retries=False,
                redirect=False,
                preload_content=False,
            )
        except (urllib3.exceptions.HTTPError, config.ConfigException, OSError) as error:
            raise Unreachable(f"{method} {path}: {describe(error)}") from error
        if response.status >= 300:
            self._raise_refusal(response, time.monotonic() + CONNECT)
        return response

    def _raise_refusal(self, response: urllib3.BaseHTTPResponse, deadline: float) -> None:
        try:
            error = refusal(response, read_body(response, deadline, REFUSAL))
        finally:
            response.close()
        if isinstance(error, Unauthorized):
            self._reconnect()
        raise error

    # Credentials

    def endpoint(self) -> Endpoint:
        """For a connection that isn't a request of HTTP. Raises Unreachable."""
        made, tls = self._configuration, None
        try:
            if self.host.startswith("https://"):
                tls = _context(made)
                if made.ssl_ca_cert or made.ca_cert_data:
                    tls.load_verify_locations(cafile=made.ssl_ca_cert, cadata=made.ca_cert_data)
                if made.cert_file:
                    tls.load_cert_chain(made.cert_file, made.key_file)
            headers = {"User-Agent": self._agent, **self._auth()}
        except (config.ConfigException, OSError) as error:
            raise Unreachable(f"the credentials can't be used: {describe(error)}") from error
        return Endpoint(self.host, headers, tls, made.tls_server_name, made.proxy, made.no_proxy)

    def namespace(self) -> str:
        """The namespace that kubectl would use: that of the context or, with a service account, of the pod."""
        kubeconfig, context = self._credentials
        if not self._uses_kubeconfig():
            return own_namespace()
        contexts, current = list_contexts(kubeconfig)
        chosen = next((known for known in contexts if known["name"] == context), current)
        return str((chosen.get("context") or {}).get("namespace") or "default")

    def _uses_kubeconfig(self) -> bool:
        return any(self._credentials) or SERVICE_HOST_ENV_NAME not in self._environ

    def _auth(self) -> dict[str, str]:
        # Calls the package's own hook, which reads a rotated token again or runs the kubeconfig's plugin.
        found: Any = self._configuration.auth_settings()
        return {auth["key"]: auth["value"] for auth in found.values() if auth.get("in") == "header" and auth["value"]}

    def _configured(self) -> client.Configuration:
        configuration = client.Configuration()
        configuration.connection_pool_maxsize = 16
        configuration.keep_alive = True
        try:
            kubeconfig, context = self._credentials
            if self._uses_kubeconfig():
                load_kubeconfig(kubeconfig, context, client_configuration=configuration, persist_config=False)
            else:
                load_service_account(client_configuration=configuration)
        except Exception as error:  # a file written by hand makes the package raise its own, YAML's and lookup errors
            raise ConnectError(f"can't configure a connection to the cluster: {describe(error)}") from error
        return configuration

    def _reconnect(self) -> None:
        """Read the credentials again: a certificate or token may have been replaced."""
        with self._lock:
            now = time.monotonic()
            if now - self._connected_at < RECONNECT:
                return
            self._connected_at = now
            with contextlib.suppress(ConnectError):
                self._configuration = self._configured()
                self._pool = _pool(self._configuration)


def own_namespace() -> str:
    """The namespace of this pod; elsewhere `default`."""
    try:
        return NAMESPACE.read_text().strip()
    except OSError:
        return "default"


def _pool(configuration: client.Configuration) -> urllib3.PoolManager:
    pool: urllib3.PoolManager = RESTClientObject(configuration).pool_manager
    pool.connection_pool_kw["ssl_context"] = _context(configuration)
    return pool


def _context(configuration: client.Configuration) -> ssl.SSLContext:
    """Checks certificates as kubectl does. Python's default is stricter from 3.13 on and refuses certificate
    authorities without a key usage, which many clusters have (older EKS, MicroK8s).
    """
    context = create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED if configuration.verify_ssl else ssl.CERT_NONE)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if not configuration.ssl_ca_cert and not configuration.ca_cert_data:
        context.load_default_certs()  # urllib3 does this only for a context of its own
    return context
