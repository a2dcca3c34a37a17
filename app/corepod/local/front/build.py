"""From what people ask for to the configuration: numbers become text, and the pools' limits become timeouts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from corepod.local.front.configuration import (
    KEEP_ALIVE,
    LONGEST,
    PURGE,
    ROOM,
    SLACK,
    UNLIMITED,
    Configuration,
)
from corepod.local.front.haproxy import OR_PROXY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from corepod.local.front.targets import Target


@dataclass(frozen=True)
class Asked:
    """The options of `corepod front`; times are in seconds."""

    bind: tuple[str, ...]
    stats: str = ""
    ipv6: bool | str = True
    balance: str = "leastconn"
    concurrency: int = 0
    queue_timeout: float = 30.0
    check_interval: float = 0.5
    retries: bool = True
    cookie: str = ""
    proxies: tuple[str, ...] = ()


def configuration(asked: Asked, targets: Sequence[Target]) -> Configuration:
    """That of a front before these pools."""
    return Configuration(
        servers=tuple(target.server for target in targets),
        bind=asked.bind,
        stats=asked.stats,
        ipv6=asked.ipv6,
        balance=asked.balance,
        queue_timeout=_milliseconds(asked.queue_timeout),
        check_interval=_milliseconds(asked.check_interval),
        client_timeout=_longer(_limit("body_timeout", targets, UNLIMITED), _limit("write_timeout", targets, UNLIMITED)),
        server_timeout=_longer(
            _limit("busy_timeout", targets, UNLIMITED),
            _limit("request_timeout", targets),
            _limit("wsgi_timeout", targets),
        ),
        keep_alive=f"{min(LONGEST, max(KEEP_ALIVE, _limit('keep_alive', targets)))}s",
        purge=f"{_purge(min(target.limits['keep_alive'] for target in targets))}ms",
        buffer=str(ROOM + _limit("limit_header", targets)),
        closes=any(target.cookie for target in targets),
        retries=asked.retries,
        cookie=asked.cookie,
        sticky=bool(asked.cookie),
        concurrency=asked.concurrency,
        limited=asked.concurrency > 0,
        proxies=OR_PROXY.join(asked.proxies),
        behind_proxies=bool(asked.proxies),
    )


def _limit(name: str, targets: Sequence[Target], unlimited: int = 0) -> int:
    """The longest that a pool has, as a whole number; `unlimited` in the place of 0."""
    return max(math.ceil(min(target.limits[name], LONGEST)) or unlimited for target in targets)


def _longer(*limits: int) -> str:
    return f"{min(LONGEST, SLACK + max(limits))}s"


def _purge(keep_alive: float) -> int:
    low, each, high = PURGE
    return max(low, min(high, int(keep_alive * each)))


def _milliseconds(seconds: float) -> str:
    return f"{int(seconds * 1000)}ms"
