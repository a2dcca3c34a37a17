"""Requests to the API server. kubernetes' client does configuration, authentication and TLS; its typed objects are left
alone, for they take ten times the memory of the JSON they are made from."""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode

import urllib3
from kubernetes import client, config
from kubernetes.client.rest import RESTClientObject
from kubernetes.config.incluster_config import SERVICE_HOST_ENV_NAME
from urllib3.util.ssl_ import create_urllib3_context

from corepod.operator.answers import lines, parsed, refusal, whole, words
from corepod.operator.errors import ConnectError, Unauthorized, Unreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from corepod.operator.answers import JSON

# The client has types, these two not.
load_kubeconfig: Callable[..., None] = config.load_kube_config
load_service_account: Callable[..., None] = config.load_incluster_config

CONNECT = 5.0  # seconds to a connection
RECONNECT = 10.0  # seconds between two looks at the credentials after a 401


class Credentials(NamedTuple):
    """Where the API server is and how to get in. None: the pod's service account, or kubectl's own defaults."""

    kubeconfig: str | None = None
    context: str | None = None


class Transport:
    """Connections to one API server, shared by all threads."""

    def __init__(self, credentials: Credentials, environ: Mapping[str, str]) -> None:
        """Raises ConnectError."""
        self._credentials, self._environ = credentials, environ
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
        """Send, and return the answer's object; `hook` sees each object in it as it is read. Raises ClusterError."""
        return parsed(self._whole(method, path, query, body, kind, within), hook)

    def fetch(self, path: str, query: Mapping[str, str | int], *, within: float) -> bytearray:
        """The answer to a GET as it came. Raises ClusterError."""
        return self._whole("GET", path, query, None, "", within)

    def lines(self, path: str, query: Mapping[str, str | int], silence: float) -> Iterator[bytes]:
        """The lines of a watch as they arrive; raises Unreachable after `silence` seconds without a byte."""
        timeout = urllib3.Timeout(connect=CONNECT, read=silence)
        response = self._send("GET", path, query, None, "", timeout)
        try:
            yield from lines(response)
        finally:
            # Never given back to the pool: what it still holds would be read as the answer to the next request.
            response.close()

    def _whole(
        self, method: str, path: str, query: Mapping[str, str | int] | None, body: Any, kind: str, within: float
    ) -> bytearray:
        deadline = time.monotonic() + within
        timeout = urllib3.Timeout(connect=min(CONNECT, within), total=within)
        response = self._send(method, path, query, body, kind, timeout)
        try:
            return whole(response, deadline)
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
            headers = {"Accept": "application/json", "User-Agent": "corepod-operator", **self._auth()}
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
            raise Unreachable(f"{method} {path}: {words(error)}") from error
        if response.status >= 300:
            self._fail(response, time.monotonic() + CONNECT)
        return response

    def _fail(self, response: urllib3.BaseHTTPResponse, deadline: float) -> None:
        try:
            error = refusal(response, whole(response, deadline))
        finally:
            response.close()
        if isinstance(error, Unauthorized):
            self._reconnect()
        raise error

    # Credentials

    def _auth(self) -> dict[str, str]:
        # Calls the client's own hook, which reads a rotated token again or runs the kubeconfig's plugin.
        found: Any = self._configuration.auth_settings()
        return {auth["key"]: auth["value"] for auth in found.values() if auth.get("in") == "header" and auth["value"]}

    def _configured(self) -> client.Configuration:
        made = client.Configuration()
        made.connection_pool_maxsize = 16
        made.keep_alive = True
        try:
            kubeconfig, context = self._credentials
            if kubeconfig or context or SERVICE_HOST_ENV_NAME not in self._environ:
                load_kubeconfig(kubeconfig, context, client_configuration=made, persist_config=False)
            else:
                load_service_account(client_configuration=made)
        except Exception as error:  # its own, YAML's, a missing key's: whatever a file by hand brings about
            raise ConnectError(f"no way to the cluster: {words(error)}") from error
        return made

    def _reconnect(self) -> None:
        """Read the credentials anew: a certificate or token may have been replaced."""
        with self._lock:
            now = time.monotonic()
            if now - self._connected_at < RECONNECT:
                return
            self._connected_at = now
            with contextlib.suppress(ConnectError):
                self._configuration = self._configured()
                self._pool = _pool(self._configuration)


def _pool(made: client.Configuration) -> urllib3.PoolManager:
    """Certificates are checked as kubectl checks them. Python's own default is stricter from 3.13 on, and refuses
    authorities without a key usage, which many clusters have (older ones of EKS, MicroK8s).
    """
    context = create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED if made.verify_ssl else ssl.CERT_NONE)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if not made.ssl_ca_cert and not made.ca_cert_data:
        context.load_default_certs()  # urllib3 does so only for a context that it has made itself
    pool: urllib3.PoolManager = RESTClientObject(made).pool_manager
    pool.connection_pool_kw["ssl_context"] = context
    return pool
