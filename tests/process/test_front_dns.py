"""A front that finds its pods by DNS, as the chart's does, and name servers whose caches differ."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from corepod.config.spec import BY_NAME
from corepod.local.front import build, haproxy
from corepod.local.front.configuration import Found, Server
from corepod.local.front.targets import LIMITS, Target

from tests.process.haproxy import haproxy as running
from tests.process.nameserver import nameserver
from tests.process.traffic import Traffic, held_ports
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.process.haproxy import Haproxy
    from tests.process.harness import Pool

HERE, GONE = "127.0.0.1", ("127.0.0.2", "127.0.0.3")  # nobody listens at the others


def text(pool: Pool, port: int, stats: int, dns: int) -> str:
    """The configuration with places for pods, for a name server that is asked ten times a second."""
    target = Target(Server("x", "x:1", "x", 1), {name: float(BY_NAME[name].default) for name in LIMITS})
    asked = build.Asked((f"127.0.0.1:{port}",), f"127.0.0.1:{stats}")
    found = Found("pods.test", str(pool.port), str(pool.admin_port), "5", f"{HERE}:{pool.port}")
    written = haproxy.render(replace(build.configuration(asked, [target]), servers=found))
    for old, new in (
        ("parse-resolv-conf", f"nameserver test 127.0.0.1:{dns}"),
        ("timeout resolve 1s", "timeout resolve 100ms"),
        ("hold valid 1s", "hold valid 100ms"),
    ):
        assert written.count(old) == 1
        written = written.replace(old, new)
    return written


def statuses(front: Haproxy) -> list[str]:
    return sorted(row["status"].split()[0] for row in front.rows().values() if row["status"] != "MAINT (resolution)")


@pytest.mark.parametrize("kept", ["10s", "0s"], ids=["as written", "control"])
def test_a_pod_that_is_gone_gets_nothing_when_dns_names_it_again(
    start: Callable[..., Pool], tmp_path: Path, kept: str
) -> None:
    """HAProxy uses what comes back before the first check, and the second try of a request meets the other one."""
    pool = start("duties:app", "--workers", "1", "--pin", "never").ready()
    with ExitStack() as stack:
        dns = stack.enter_context(nameserver())
        port, stats = stack.enter_context(held_ports(2))
        written = text(pool, port, stats, dns.port)
        assert written.count("hold obsolete 10s") == 1
        written = written.replace("hold obsolete 10s", f"hold obsolete {kept}")
        front = stack.enter_context(running(tmp_path / "front", written, port, stats))
        dns.say((HERE, *GONE))
        until(lambda: statuses(front) == ["DOWN", "DOWN", "UP"], lambda: str(statuses(front)))
        with Traffic(front.port, clients=4) as traffic:
            dns.say((HERE,), (HERE, *GONE))
            if kept == "10s":
                dns.more(20)
                traffic.more(100)
            else:
                until(lambda: traffic.failures, "a request that is lost")
        assert bool(traffic.failures) is (kept == "0s"), traffic.failures
