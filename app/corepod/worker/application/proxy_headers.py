"""The client, scheme and host that a trusted proxy reports: X-Forwarded-For, -Proto and -Host."""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable

    Address = ipaddress.IPv4Address | ipaddress.IPv6Address

LOOPBACK = "loopback"  # the default: proxies on this machine
PEER = "peer"  # whoever connects, but not whoever is named further on in the chain
PREFIX = b"x-forwarded-"
HOST = re.compile(r"[A-Za-z0-9._-]+(:\d{1,5})?|\[[0-9A-Fa-f:.]+\](:\d{1,5})?")
SECURE = {"http": False, "ws": False, "https": True, "wss": True}
PEERS = 1024  # addresses whose trust is remembered


class ProxyHeaders:
    """Rewrites client, scheme and host where the peer is trusted; from any other peer the headers mean nothing.

    The client is the last address of X-Forwarded-For that no trusted proxy has: a client can write whatever it likes
    in front of that.
    """

    def __init__(self, app: Any, trusted: list[str]) -> None:
        """`trusted` isn't empty. X-Forwarded-Host is used only where it names networks, or peers: nobody decided
        to trust what is trusted by default, and most proxies pass on the X-Forwarded-Host that a client has sent."""
        self._app = app
        self._everyone, self._loopback, self._peers = "*" in trusted, LOOPBACK in trusted, PEER in trusted
        self._networks = [ipaddress.ip_network(text) for text in trusted if text not in ("*", LOOPBACK, PEER)]
        self._trust = lru_cache(PEERS)(self._decide)

    def __call__(self, scope: Any, receive: Any, send: Any) -> Awaitable[None]:
        # Not a coroutine of its own: most requests have nothing to rewrite, and this is around all of them.
        for name, _ in scope.get("headers", ()):
            if name.startswith(PREFIX):
                trusted, with_host = self._trust(scope["client"][0] if scope["client"] else None)
                if trusted:
                    self._rewrite(scope, with_host=with_host)
                break
        awaitable: Awaitable[None] = self._app(scope, receive, send)
        return awaitable

    def _decide(self, peer: str | None) -> tuple[bool, bool]:
        """Whether a peer is trusted, and whether with the host. None is a Unix socket, which only a proxy on this
        machine reaches."""
        if peer is None or self._peers:
            return True, self._everyone or self._peers or bool(self._networks)
        address = parse_address(peer)
        return self._is_trusted(address), self._is_named(address)

    def _is_trusted(self, address: Address | None) -> bool:
        return self._is_named(address) or (self._loopback and address is not None and address.is_loopback)

    def _is_named(self, address: Address | None) -> bool:
        return self._everyone or (address is not None and any(address in network for network in self._networks))

    def _rewrite(self, scope: Any, *, with_host: bool) -> None:
        values: dict[bytes, list[str]] = {}
        for name, value in scope["headers"]:
            if name.startswith(PREFIX):
                values.setdefault(name, []).extend(part.strip() for part in value.decode("latin-1").split(","))
        if client := self._client(values.get(b"x-forwarded-for", [])):
            scope["client"] = (client, 0)
        # The last value of each was written by the nearest proxy.
        proto = values.get(b"x-forwarded-proto", [""])[-1].lower()
        if proto in SECURE:
            scope["scheme"] = ("http" if scope["type"] == "http" else "ws") + ("s" if SECURE[proto] else "")
        host = values.get(b"x-forwarded-host", [""])[-1]
        if with_host and HOST.fullmatch(host):
            headers = [(name, value) for name, value in scope["headers"] if name != b"host"]
            scope["headers"] = [(b"host", host.encode("latin-1")), *headers]

    def _client(self, hops: list[str]) -> str:
        """The client's address, empty where the chain names none. An entry that is no address ends the chain."""
        client = ""
        for hop in reversed(hops):
            address = parse_address(hop)
            if address is None:
                break
            client = str(address)
            if not self._is_trusted(address):
                break
        return client


def parse_address(text: str) -> Address | None:
    """The address in 1.2.3.4, 1.2.3.4:5, ::1, [::1]:5 or ::ffff:1.2.3.4 (which is 1.2.3.4); None in anything else."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
