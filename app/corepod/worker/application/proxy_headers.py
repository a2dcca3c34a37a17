"""The client, scheme and host that a trusted proxy reports: X-Forwarded-For, -Proto and -Host."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    Address = ipaddress.IPv4Address | ipaddress.IPv6Address

HOST = re.compile(r"[A-Za-z0-9._-]+(:\d{1,5})?|\[[0-9A-Fa-f:.]+\](:\d{1,5})?")
SECURE = {"http": False, "ws": False, "https": True, "wss": True}


class ProxyHeaders:
    """Rewrites client, scheme and host where the peer is trusted; from any other peer the headers mean nothing.

    The client is the last address of X-Forwarded-For that no trusted proxy has: a client can write whatever it likes
    in front of that.
    """

    def __init__(self, app: Any, trusted: list[str]) -> None:
        self._app = app
        self._everyone = "*" in trusted
        self._networks = [ipaddress.ip_network(text) for text in trusted if text != "*"]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        # No client: a Unix socket, which only a proxy on this machine reaches.
        if scope["type"] in ("http", "websocket") and (
            scope["client"] is None or self._is_trusted(parse_address(scope["client"][0]))
        ):
            _rewrite(scope, self._is_trusted)
        await self._app(scope, receive, send)

    def _is_trusted(self, address: Address | None) -> bool:
        return self._everyone or (address is not None and any(address in network for network in self._networks))


def _rewrite(scope: Any, is_trusted: Callable[[Address | None], bool]) -> None:
    values: dict[bytes, list[str]] = {}
    for name, value in scope["headers"]:
        if name.startswith(b"x-forwarded-"):
            values.setdefault(name, []).extend(part.strip() for part in value.decode("latin-1").split(","))
    if client := _client(values.get(b"x-forwarded-for", []), is_trusted):
        scope["client"] = (client, 0)
    # The last value of each was written by the nearest proxy.
    proto = values.get(b"x-forwarded-proto", [""])[-1].lower()
    if proto in SECURE:
        scope["scheme"] = ("http" if scope["type"] == "http" else "ws") + ("s" if SECURE[proto] else "")
    host = values.get(b"x-forwarded-host", [""])[-1]
    if HOST.fullmatch(host):
        headers = [(name, value) for name, value in scope["headers"] if name != b"host"]
        scope["headers"] = [(b"host", host.encode("latin-1")), *headers]


def _client(hops: list[str], is_trusted: Callable[[Address | None], bool]) -> str:
    """The client's address, empty where the chain names none. An entry that is no address ends the chain."""
    client = ""
    for hop in reversed(hops):
        address = parse_address(hop)
        if address is None:
            break
        client = str(address)
        if not is_trusted(address):
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
