"""Who may see what on an admin port, for the supervisor's and the operator's.

Every address may see probes and metrics. The status names requests, workloads and nodes: only a client on the same
machine may see it, unless it is configured to be public. A client on this machine may be a proxy that passes on others,
or a browser that was made to ask by a page of the internet, so both are recognized and refused.
"""

from __future__ import annotations

import socket

from corepod.contract.listening import plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

NOT_LOCAL = "only this machine may see this: use kubectl port-forward (or exec), or set --admin-status all"
PROXIED = "this isn't shown through a proxy: ask the admin port itself, for instance with kubectl port-forward"
BY_NAME = "the Host header must be an IP address or localhost (open http://127.0.0.1:PORT), or set --admin-status all"


def why_not_allowed(
    headers: Mapping[str, str], *, everybody: bool, local: bool, public: bool, trusted: bool = False
) -> str:
    """Why a request must not be answered, as a sentence for people; empty if it may be.

    `headers` have lower-case names. `everybody`: the path is open to every address. `local`: the peer is on this
    machine. `public`: the status is configured to be open, too. `trusted`: the request came by a socket that only the
    owner of the pool can open.
    """
    if everybody or trusted:
        return ""
    if any(_set_by_proxy(name) for name in headers):
        # Behind a proxy on this machine every client is local.
        return PROXIED
    if public:
        return ""
    if not local:
        return NOT_LOCAL
    if not _resolves_to_itself(headers.get("host", "")):
        # DNS rebinding: a web page can let its own name point to 127.0.0.1. A browser that shows the page then takes
        # this port for the page's server, and gives the page our answers. The name in the Host header reveals it.
        return BY_NAME
    return ""


def is_local(address: str) -> bool:
    """Whether the IP address of a peer is this machine's loopback."""
    return address == "::1" or plain(address).startswith("127.")


def _set_by_proxy(header: str) -> bool:
    return header in ("forwarded", "via", "x-real-ip") or header.startswith("x-forwarded")


def _resolves_to_itself(host: str) -> bool:
    """Whether a Host header, with or without a port, is an IP address or localhost: nothing that DNS is asked for."""
    name, bracket, port = host.partition("]") if host.startswith("[") else host.partition(":")
    port = port.removeprefix(":") if bracket == "]" else port
    if port and not (port.isascii() and port.isdigit()):
        return False
    if name.lower() == "localhost":
        return True
    family, address = (socket.AF_INET6, name[1:]) if bracket == "]" else (socket.AF_INET, name)
    try:
        socket.inet_pton(family, address)
    except (OSError, ValueError):
        return False
    return True
