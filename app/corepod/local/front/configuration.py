"""What the configuration of a front is made from. Every value is text, as HAProxy reads it."""

from __future__ import annotations

from dataclasses import dataclass

SLACK = 30  # seconds by which the front's limits are longer than a pool's own: what is late is ended and counted there
UNLIMITED = 3600  # seconds in the place of a pool's limit that is off
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
    bind: tuple[str, ...]
    stats: str  # address of metrics, /healthz and the page of statistics; empty for none
    balance: str
    queue_timeout: str
    check_interval: str
    client_timeout: str
    server_timeout: str
    keep_alive: str
    retries: bool | str
    cookie: str  # name of the cookie by which clients stick
    sticky: bool | str
    concurrency: int | str  # requests at once in a slot
    limited: bool | str  # whether there is such a limit
    proxies: str  # networks of proxies in front of this one, between spaces
    behind_proxies: bool | str
    connections: str = ""  # at once; by default as many as HAProxy finds descriptors for
