"""The URL of a Redis: where its server is, and the pool of connections to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote, urlsplit
from weakref import WeakKeyDictionary

from redis.asyncio import ConnectionPool
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff

if TYPE_CHECKING:
    from collections.abc import Callable

    from redis.asyncio.connection import AbstractConnection

CONNECTIONS = 10  # of a process for operations, unless the URL says `max_connections`
SENTINEL_PORT = 26379


class Renewing(ConnectionPool):
    """Connections from before the last `renew` are made again before they are used: after a failure, all that were idle
    may lead to a server that isn't there any more, and each would take a timeout to find out."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._epoch = 0
        self._epochs: WeakKeyDictionary[AbstractConnection, int] = WeakKeyDictionary()

    def renew(self) -> None:
        self._epoch += 1

    async def ensure_connection(self, connection: AbstractConnection) -> None:
        if self._epochs.get(connection) != self._epoch:
            await connection.disconnect(nowait=True)
            self._epochs[connection] = self._epoch
        await super().ensure_connection(connection)


class _RenewingBySentinel(Renewing, SentinelConnectionPool):
    async def aclose(self) -> None:
        """The connections to the Sentinels are others."""
        await super().aclose()
        for sentinel in self.sentinel_manager.sentinels:
            await sentinel.aclose()


class Address(NamedTuple):
    name: str  # for people: without user, password and options
    connections: int
    pool: Callable[[], Renewing]


def parse(url: str, timeout: float) -> Address:
    """Raises ValueError, with a text that doesn't contain the password."""
    try:
        parts = urlsplit(url)
        name = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
        options: dict[str, Any] = {
            "socket_connect_timeout": timeout,
            # A command isn't sent twice: the first may have been carried out.
            "retry": Retry(NoBackoff(), 0),
            "health_check_interval": 0,
            "driver_info": None,
        }
        sentinel = parts.scheme in ("redis+sentinel", "rediss+sentinel")
        given: dict[str, Any] = dict(parse_url(_plain(url) if sentinel else url))
    except ValueError as error:
        raise ValueError(f"the URL in `shared` can't be used: {error}") from None
    connections = int(given.pop("max_connections", CONNECTIONS))
    if connections < 1:
        raise ValueError("the URL in `shared` can't be used: max_connections is 1 at the least")
    if parts.scheme != "unix":
        options["socket_keepalive"] = True
    # What the rest relies on: one connection more, for the messages; and no timeout for each part of an operation,
    # since the whole of it has one, and asyncio.wait_for, with which redis-py does it, may lose a cancellation.
    forced = {
        "max_connections": connections + 1,
        "decode_responses": False,
        "protocol": 2,
        "socket_timeout": None,
    }
    options = {**options, **given, **forced}
    if not sentinel:
        return _checked(Address(name, connections, lambda: Renewing(**options)))
    hosts, service = _sentinels(parts.netloc, parts.path)
    return _checked(Address(name, connections, lambda: _by_sentinel(hosts, service, dict(options), timeout)))


def _checked(address: Address) -> Address:
    """Whether redis-py knows all options, which it finds out when it makes a connection."""
    try:
        address.pool().make_connection()
    except TypeError as error:
        _, _, option = str(error).partition("unexpected keyword argument ")
        raise ValueError(
            f"the URL in `shared` can't be used: redis-py knows no option {option or error} for such a server"
        ) from None
    return address


def _plain(url: str) -> str:
    """The URL of Sentinels as redis-py would have it if they were one server: for credentials, database, options."""
    scheme, _, rest = url.partition("+sentinel://")
    where, mark, query = rest.partition("?")
    netloc, _, path = where.partition("/")
    user, at, _ = netloc.rpartition("@")
    return f"{scheme}://{user}{at}sentinel/{path.partition('/')[2]}{mark}{query}"


def _sentinels(netloc: str, path: str) -> tuple[list[tuple[str, int]], str]:
    hosts = []
    for host in netloc.rpartition("@")[2].split(","):
        parts = urlsplit(f"//{host}")
        if not parts.hostname:
            raise ValueError("the URL in `shared` can't be used: redis+sentinel:// needs HOST:PORT,HOST:PORT/MASTER/DB")
        try:
            hosts.append((parts.hostname, parts.port or SENTINEL_PORT))
        except ValueError:
            raise ValueError(
                f"the URL in `shared` can't be used: the port in {host} is no number from 0 to 65535"
            ) from None
    service = unquote(path.lstrip("/").partition("/")[0])
    if not service:
        raise ValueError("the URL in `shared` can't be used: redis+sentinel:// needs a master: HOST/MASTER/DB")
    return hosts, service


def _by_sentinel(
    hosts: list[tuple[str, int]], service: str, options: dict[str, Any], timeout: float
) -> _RenewingBySentinel:
    # One that is silent leaves time for the others, and for the server.
    patience = timeout / (len(hosts) + 1)
    own = {
        "username": options.pop("sentinel_username", None),
        "password": options.pop("sentinel_password", None),
        "socket_timeout": patience,
        "socket_connect_timeout": patience,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
    }
    tls = options.pop("connection_class", None) is not None
    if tls:
        own.update({key: value for key, value in options.items() if key.startswith("ssl_")}, ssl=True)
    options.pop("host", None)
    sentinel = Sentinel(hosts, sentinel_kwargs=own)
    return _RenewingBySentinel(service, sentinel, ssl=tls, **options)
