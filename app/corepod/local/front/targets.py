"""The servers of a front: running pools of this machine, and addresses of others. A pure decision about their facts."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from corepod.config.spec import BY_NAME
from corepod.contract.env import ADMIN_PORT
from corepod.local.front.configuration import Server

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ADDRESS = re.compile(
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):(?P<port>\d+)(?:,(?P<admin>\d+))?(?:,(?P<slots>\d+))?"
)
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # what listens on all addresses is reached by loopback
LAME_DUCK = 3.0  # seconds: more than a check may be late, with the time that a request on its way needs
LIMITS = ("busy_timeout", "request_timeout", "wsgi_timeout", "body_timeout", "write_timeout", "keep_alive")


class Unusable(Exception):
    """The front can't use this pool or address; the text says why, and what to do."""


@dataclass(frozen=True)
class Target:
    """A server with what the configuration depends on besides: the pool's limits in seconds, and the application."""

    server: Server
    limits: Mapping[str, float]
    app: str = ""  # unknown where only an address was given
    warnings: Sequence[str] = field(default=())


def is_address(word: str) -> bool:
    """Whether it is HOST:PORT[,ADMINPORT[,SLOTS]]: no name of a control socket has a colon in it."""
    return ":" in word and not word.startswith(("@", "/", "./"))


def of_address(word: str) -> Target:
    """A pool elsewhere. Raises Unusable."""
    match = ADDRESS.fullmatch(word)
    if match is None:
        raise Unusable(f"{word!r} is not an address: write HOST:PORT, HOST:PORT,ADMINPORT or HOST:PORT,ADMINPORT,SLOTS")
    ports = {"port": int(match["port"]), "admin port": int(match["admin"] or ADMIN_PORT)}
    for meaning, port in ports.items():
        if not 0 < port < 65536:
            raise Unusable(f"{word!r}: {port} is no {meaning}")
    if not (slots := int(match["slots"] or 1)):
        raise Unusable(f"{word!r}: a pool has at least one slot")
    host = match["host"]
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
    return Target(server, limits, status["app"], tuple(_warnings(name, address, values)))


def _admin(name: str, admin: str) -> tuple[str, int]:
    host, _, port = admin.rpartition(":")
    if not port.isdecimal():
        raise Unusable(
            f"{name} has no port for probes (admin = {admin}), which the front needs for its checks: start it with "
            "--admin HOST:PORT"
        )
    return EVERYWHERE.get(host, host), int(port)


def _addresses(binds: Sequence[str]) -> Iterator[str]:
    """Those of a pool that HAProxy can connect to: not abstract names, which it fills up with NULs."""
    for bind in binds:
        if bind.startswith("unix:"):
            if bind.startswith("unix:/"):
                yield f"unix@{bind.removeprefix('unix:')}"
        else:
            host, _, port = bind.rpartition(":")
            yield f"{EVERYWHERE.get(host, host)}:{port}"


def _warnings(name: str, address: str, values: Mapping[str, Any]) -> Iterator[str]:
    host = address.rpartition(":")[0].strip("[]")
    if not _trusts(values.get("trusted_proxies", ["loopback"]), host if not address.startswith("unix@") else None):
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


def together(targets: Sequence[Target]) -> list[str]:
    """Warnings, each a sentence, of the pools and of what they are together. Raises Unusable where two are the same."""
    for values in ([target.server.address for target in targets], [target.server.name for target in targets]):
        if twice := sorted({value for value in values if values.count(value) > 1}):
            raise Unusable(f"{', '.join(twice)} is there twice: name each pool once, and give each a name of its own")
    apps = {target.app for target in targets if target.app}
    differ = f"the pools serve different applications ({', '.join(sorted(apps))}): each request may reach any of them"
    return [*(warning for target in targets for warning in target.warnings), *([differ] if len(apps) > 1 else [])]


def _plain(name: str) -> str:
    """As HAProxy writes names of servers."""
    return re.sub(r"[^A-Za-z0-9._:-]", "-", name)
