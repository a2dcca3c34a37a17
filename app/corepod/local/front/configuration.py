"""What the configuration of a front is made from. Every value is text, as HAProxy reads it."""

from __future__ import annotations

from dataclasses import dataclass

SLACK = 30  # seconds by which the front's limits are longer than a pool's own: what is late is ended and counted there
UNLIMITED = 3600  # seconds in the place of a pool's limit that is off
LONGEST = 2_147_483  # seconds: HAProxy's times have 31 bits of milliseconds
# Milliseconds between two rounds in which HAProxy closes half of its unneeded connections to a pool: the least, those
# for each second of the pool's keep_alive, and HAProxy's own default. In 16 rounds even a thousand connections are
# closed, before the pool closes them: a request that meets such an end is lost, and a POST isn't sent again.
PURGE = (10, 62.5, 5000)
# Bytes that HAProxy's buffer for a head has more than the longest head: 1 KiB that it keeps free, what the front adds,
# and 8 bytes for each of 256 lines.
ROOM = 4096
KEEP_ALIVE = 60  # seconds at the least for which a client's idle connection is kept: what load balancers expect


@dataclass(frozen=True)
class Server:
    """A pool: `address` as HAProxy writes it, and the port (or HOST:PORT) of its supervisor's probes."""

    name: str
    address: str
    admin_host: str
    admin_port: int
    slots: int = 1


@dataclass(frozen=True)
class Found:
    """Servers that DNS names: one for each address of `name`, of which there are `places` at the most. Values may be
    variables of HAProxy's environment."""

    name: str
    port: str
    admin_port: str
    places: str
    service: str  # address that is used while no server passes its check


@dataclass(frozen=True)
class Configuration:
    """Every value as text. A switch is a bool, or the condition of a template."""

    servers: tuple[Server, ...] | Found
    bind: tuple[str, ...]  # *:PORT for all addresses
    stats: str  # address of metrics, /healthz and the page of statistics; empty for none
    ipv6: bool | str  # whether *:PORT is IPv6, too; as text a condition that HAProxy decides itself
    balance: str
    queue_timeout: str
    check_interval: str
    client_timeout: str
    server_timeout: str
    keep_alive: str
    purge: str
    buffer: str  # bytes: a request's or response's head has to fit
    closes: bool | str  # a connection for each request: the pools choose a slot by the first one's cookie
    retries: bool | str
    cookie: str  # name of the cookie by which clients stick
    sticky: bool | str
    concurrency: int | str  # requests at once in a slot
    limited: bool | str  # whether there is such a limit
    proxies: str  # networks of proxies in front of this one, joined by haproxy.OR_PROXY
    behind_proxies: bool | str
    connections: str = ""  # at once; by default as many as HAProxy finds descriptors for
