"""Which servers a front has: from words on the command line and what pools say of themselves."""

from __future__ import annotations

import re
from typing import Any

import pytest
from corepod.local.front.build import Asked, configuration
from corepod.local.front.configuration import Server
from corepod.local.front.targets import Unusable, is_address, of_address, of_pool

SETTINGS: dict[str, Any] = {"lame_duck": 5.0, "trusted_proxies": ["loopback"], "tls_cert": ""}


def status(**changes: Any) -> dict[str, Any]:
    plain = {
        "state": "ready",
        "binds": ["127.0.0.1:8001"],
        "admin": "127.0.0.1:9001",
        "workers": {"mode": "fixed", "least": 1, "most": 2},
        "app": "main:app",
    }
    return {**plain, **changes}


def settings(**changes: Any) -> dict[str, Any]:
    return {name: {"value": value, "from": "default"} for name, value in {**SETTINGS, **changes}.items()}


@pytest.mark.parametrize(
    ("word", "server"),
    [
        ("10.0.0.1:8000", Server("10.0.0.1:8000", "10.0.0.1:8000", "10.0.0.1", 9000)),
        ("shop.example:80,81", Server("shop.example:80", "shop.example:80", "shop.example", 81)),
        ("[fd00::1]:8000,9001,4", Server("fd00::1:8000", "[fd00::1]:8000", "[fd00::1]", 9001, 4)),
    ],
)
def test_an_address(word: str, server: Server) -> None:
    assert is_address(word)
    assert of_address(word).server == server


@pytest.mark.parametrize("word", ["a:", ":80", "a:b", "a:80,", "a:0", "a:65536", "a:80,70000", "::1:80", "a:\u0663"])
@pytest.mark.parametrize("more", ["", ",9000,1"])
def test_what_is_no_address(word: str, more: str) -> None:
    refused(word + more)


@pytest.mark.parametrize("word", ["a:80,9000,0", "a:80,9000,100000", "a:" + 5000 * "8"])
def test_what_is_no_number(word: str) -> None:
    refused(word)


@pytest.mark.parametrize("host", ["[::1", "[1]", "[fe80::1%eth0]", "0.0.0.0", "[::]", "*", "a b", "a\n", "a'b", '"a'])
def test_what_is_no_host(host: str) -> None:
    refused(f"{host}:80")


def refused(word: str) -> None:
    with pytest.raises(Unusable, match=f"^{re.escape(repr(word))}"):
        of_address(word)


@pytest.mark.parametrize("word", ["shop", "@corepod-0/shop.sock", "./shop.sock", "/run/a:1.sock"])
def test_a_name_is_no_address(word: str) -> None:
    assert not is_address(word)


@pytest.mark.parametrize(
    ("changes", "address", "host"),
    [
        ({}, "127.0.0.1:8001", "127.0.0.1"),
        ({"binds": ["0.0.0.0:8001"], "admin": "0.0.0.0:9001"}, "127.0.0.1:8001", "127.0.0.1"),
        ({"binds": ["*:8001"], "admin": "*:9001"}, "127.0.0.1:8001", "127.0.0.1"),
        ({"binds": ["[::]:8001"], "admin": "[::]:9001"}, "[::1]:8001", "[::1]"),
        ({"binds": ["unix:/run/shop.sock", "127.0.0.1:1"]}, "unix@/run/shop.sock", "127.0.0.1"),
        ({"binds": ["unix:/run/the shop"]}, "'unix@/run/the shop'", "127.0.0.1"),
        ({"binds": ["unix:/run/a\nuser root", "unix:/run/a'b", "unix:/$HOME", "[::1]:1"]}, "[::1]:1", "127.0.0.1"),
        ({"binds": ["unix:@abstract", "127.0.0.1:1"]}, "127.0.0.1:1", "127.0.0.1"),
    ],
)
def test_a_pool(changes: dict[str, Any], address: str, host: str) -> None:
    target = of_pool("shop", status(**changes), settings(busy_timeout=10.0))
    assert target.server == Server("shop", address, host, 9001, 2)
    assert (target.app, target.limits["busy_timeout"], target.limits["keep_alive"]) == ("main:app", 10.0, 5.0)
    assert not target.warnings


@pytest.mark.parametrize(
    ("told", "values", "why"),
    [
        ({"state": "draining"}, {}, "is draining"),
        ({"state": "failed"}, {}, "is failed"),
        ({}, {"tls_cert": "cert.pem"}, "speaks TLS"),
        ({"admin": "none"}, {}, r"no port for probes \(admin = none\)"),
        ({"admin": "unix:/run/admin"}, {}, "no port for probes"),
        ({"binds": ["unix:@abstract"]}, {}, r"no address that HAProxy can reach \(unix:@abstract\)"),
        ({"binds": []}, {}, r"no address that HAProxy can reach \(none\)"),
    ],
)
def test_a_pool_that_no_front_can_use(told: dict[str, Any], values: dict[str, Any], why: str) -> None:
    with pytest.raises(Unusable, match=f"^shop .*{why}"):
        of_pool("shop", status(**told), settings(**values))


@pytest.mark.parametrize(
    ("networks", "bind", "trusted"),
    [
        (["loopback"], "127.0.0.1:1", True),
        ([], "127.0.0.1:1", False),
        (["*"], "192.0.2.1:1", True),
        (["peer"], "192.0.2.1:1", True),
        (["loopback"], "192.0.2.1:1", False),
        (["192.0.2.0/24"], "192.0.2.1:1", True),
        (["10.0.0.0/8"], "[::1]:1", False),
        (["10.0.0.0/8"], "unix:/run/shop.sock", True),
        ([], "unix:/run/the shop", False),
        ([], "unix:/run/shop.sock", False),
    ],
)
def test_a_warning_where_the_application_would_see_the_front(networks: list[str], bind: str, trusted: bool) -> None:
    target = of_pool("shop", status(binds=[bind]), settings(trusted_proxies=networks))
    assert [warning for warning in target.warnings if "doesn't trust" in warning] == list(target.warnings)
    assert bool(target.warnings) is not trusted


def test_a_warning_where_a_pool_stops_too_soon() -> None:
    [warning] = of_pool("shop", status(), settings(lame_duck=2.5)).warnings
    assert "lame_duck = 2.5" in warning


@pytest.mark.parametrize(
    ("values", "client", "server", "keep_alive"),
    [
        ({}, "90s", "330s", "60s"),
        ({"busy_timeout": 0.0}, "90s", "3630s", "60s"),
        ({"busy_timeout": 1.0, "request_timeout": 60.2}, "90s", "91s", "60s"),
        ({"body_timeout": 0.0, "keep_alive": 75.0}, "3630s", "330s", "75s"),
        ({"body_timeout": 1e9, "busy_timeout": float("inf"), "keep_alive": 1e9}, "2147483s", "2147483s", "2147483s"),
    ],
)
def test_the_front_is_more_patient_than_its_most_patient_pool(
    values: dict[str, float], client: str, server: str, keep_alive: str
) -> None:
    short = of_pool("a", status(), settings(busy_timeout=1.0, body_timeout=1.0, write_timeout=1.0, keep_alive=1.0))
    config = configuration(Asked(("x:1",)), [short, of_pool("b", status(), settings(**values))])
    assert (config.client_timeout, config.server_timeout, config.keep_alive) == (client, server, keep_alive)


@pytest.mark.parametrize(("seconds", "purge"), [(0.1, "10ms"), (5.0, "312ms"), (75.0, "4687ms"), (600.0, "5000ms")])
def test_the_front_closes_idle_connections_before_the_most_impatient_pool(seconds: float, purge: str) -> None:
    pools = [of_pool("a", status(), settings(keep_alive=900.0)), of_pool("b", status(), settings(keep_alive=seconds))]
    assert configuration(Asked(("x:1",)), pools).purge == purge


def test_the_head_of_a_request_fits_if_a_pool_takes_it() -> None:
    pools = [of_pool("a", status(), settings()), of_pool("b", status(), settings(limit_header=65536))]
    assert [configuration(Asked(("x:1",)), pools[:count]).buffer for count in (1, 2)] == ["20480", "69632"]


def test_pools_that_keep_clients_at_a_slot_get_a_connection_for_each_request() -> None:
    sticky = of_pool("b", status(), settings(sticky=True, sticky_cookie="place"))
    assert sticky.cookie == "place"
    plain = of_pool("a", status(), settings())
    assert not configuration(Asked(("x:1",)), [plain]).closes
    assert configuration(Asked(("x:1",)), [plain, sticky]).closes
