"""The servers of a front: running pools of this machine, and addresses of others. A pure decision about their facts."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from corepod.config.spec import BY_NAME
from corepod.contract.env import ADMIN_PORT
from corepod.contract.listening import EVERYWHERE
from corepod.local.front import words
from corepod.local.front.configuration import Server

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ADDRESS = re.compile(
    r"(?P<host>\[.+\]|[^\[\]:,]+):(?P<port>[0-9]{1,5})(?:,(?P<admin>[0-9]{1,5}))?(?:,(?P<slots>[0-9]{1,5}))?"
)
LAME_DUCK = 3.0  # seconds: more than a check may be late, with the time that a request on its way needs
LIMITS = (
    "busy_timeout",
    "request_timeout",
    "wsgi_timeout",
    "body_timeout",
    "write_timeout",
    "keep_alive",
    "limit_header",
)


class Unusable(Exception):
    """The front can't use this pool or address; the text says why, and what to do."""


@dataclass(frozen=True)
class Target:
    """A server with what the configuration depends on besides: the pool's limits, and the application."""

    server: Server
    limits: Mapping[str, float]
    app: str = ""  # unknown where only an address was given
    cookie: str = ""  # by which the pool keeps clients at a slot, where it does
    warnings: Sequence[str] = field(default=())


def is_address(word: str) -> bool:
    """Whether it is HOST:PORT[,ADMINPORT[,SLOTS]]: no name of a control socket has a colon in it."""
    return ":" in word and not word.startswith(("@", "/", "./"))


def of_address(word: str) -> Target:
    """A pool elsewhere. Raises Unusable."""
    match = ADDRESS.fullmatch(word)
    if match is None or not words.is_host(match["host"]):
        raise Unusable(f"{word!r} is not an address: write HOST:PORT, HOST:PORT,ADMINPORT or HOST:PORT,ADMINPORT,SLOTS")
    ports = {"port": int(match["port"]), "admin port": int(match["admin"] or ADMIN_PORT)}
    for meaning, port in ports.items():
        if not 0 < port < 65536:
            raise Unusable(f"{word!r}: {port} is no {meaning}")
    if not (slots := int(match["slots"] or 1)):
        raise Unusable(f"{word!r}: a pool has at least one slot")
    host = match["host"]
    if host in EVERYWHERE:
        raise Unusable(f"{word!r}: {host} means every address of a machine: name one that the front reaches")
    server = Server(
        _plain(f"{host.strip('[]')}:{ports['port']}"),
        f"{host}:{ports['port']}",
        host,
        ports["admin port"],
        slots,
    )
    return Target(server, {name: float(BY_NAME[name].default) for name in LIMITS})


def of_pool(name: str, status: dict[str, Any], settings: dict[str, Any]) -> Target:
    """A pool of this machine, from its documents /status and /settings. Raises Unusable."""
    values = {key: row["value"] for key, row in settings.items()}
    if status["state"] in ("draining", "failed"):
        raise Unusable(f"{name} is {status['state']}: name a pool that goes on")
    if values.get("tls_cert"):
        raise Unusable(
            f"{name} speaks TLS, and the front speaks plain HTTP to its pools: start it without tls_cert, on an "
            "address of this machine alone, and give the certificate to what is before the front"
        )
    host, port = _admin(name, status["admin"])
    address = next(_addresses(status["binds"]), "")
    if not address:
        raise Unusable(
            f"{name} has no address that HAProxy can reach ({', '.join(status['binds']) or 'none'}): bind a port"
        )
    server = Server(_plain(name), address, host, port, status["workers"]["most"])
    limits = {limit: float(values.get(limit, BY_NAME[limit].default)) for limit in LIMITS}
    cookie = values["sticky_cookie"] if values.get("sticky") else ""
    return Target(server, limits, status["app"], cookie, tuple(_warnings(name, address, values)))


def _admin(name: str, admin: str) -> tuple[str, int]:
    host, _, port = admin.rpartition(":")
    if not port.isdecimal():
        raise Unusable(
            f"{name} has no port for probes (admin = {admin}), which the front needs for its checks: start it with "
            "--admin HOST:PORT"
        )
    return EVERYWHERE.get(host, host), int(port)


def _addresses(binds: Sequence[str]) -> Iterator[str]:
    """Those of a pool that HAProxy can connect to: not abstract names, which it fills up with NULs, nor paths that
    its configuration has no way to write."""
    for bind in binds:
        if bind.startswith("unix:"):
            if bind.startswith("unix:/") and (word := words.socket(bind.removeprefix("unix:"))):
                yield word
        else:
            host, _, port = bind.rpartition(":")
            yield f"{EVERYWHERE.get(host, host)}:{port}"


def _warnings(name: str, address: str, values: Mapping[str, Any]) -> Iterator[str]:
    host = address.rpartition(":")[0].strip("[]")
    if not _trusts(values.get("trusted_proxies", ["loopback"]), None if "unix@" in address else host):
        yield (
            f"{name} doesn't trust the front ({host or 'its Unix socket'}), so its application sees the front in "
            "place of its clients: add loopback to its trusted_proxies"
        )
    if (lame_duck := float(values.get("lame_duck", LAME_DUCK))) < LAME_DUCK:
        yield (
            f"{name} has lame_duck = {lame_duck:g}: it stops before the front has noticed, and requests then wait a "
            f"second for another pool; start it with --lame-duck {LAME_DUCK:g} or more"
        )


def _trusts(networks: Sequence[str], host: str | None) -> bool:
    """Whether a pool trusts a front on this machine, which reaches its address `host` (None: a Unix socket) from it."""
    if host is None:
        return bool(networks)
    try:
        peer = ipaddress.ip_address(host)
    except ValueError:
        return True  # a name, whose address isn't known here
    if {"*", "peer"} & set(networks) or ("loopback" in networks and peer.is_loopback):
        return True
    return any(peer in ipaddress.ip_network(network) for network in networks if network != "loopback")


def _plain(name: str) -> str:
    """As HAProxy writes names of servers."""
    return re.sub(r"[^A-Za-z0-9._:-]", "-", name)
