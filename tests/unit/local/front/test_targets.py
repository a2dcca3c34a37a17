"""Which servers a front has: from words on the command line and what pools say of themselves."""

from __future__ import annotations

from typing import Any

import pytest
from corepod.local.front.build import Asked, configuration
from corepod.local.front.configuration import Server
from corepod.local.front.targets import Unusable, is_address, of_address, of_pool, together

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


@pytest.mark.parametrize("word", ["a:", ":80", "a:b", "a:80,", "a:80,9000,0", "a:0", "a:65536", "a:80,70000", "::1:80"])
def test_what_is_no_address(word: str) -> None:
    with pytest.raises(Unusable, match=f"^'{word}'"):
        of_address(word)


@pytest.mark.parametrize("word", ["shop", "@corepod-0/shop.sock", "./shop.sock", "/run/a:1.sock"])
def test_a_name_is_no_address(word: str) -> None:
    assert not is_address(word)


@pytest.mark.parametrize(
    ("changes", "address", "host"),
    [
        ({}, "127.0.0.1:8001", "127.0.0.1"),
        ({"binds": ["0.0.0.0:8001"], "admin": "0.0.0.0:9001"}, "127.0.0.1:8001", "127.0.0.1"),
        ({"binds": ["[::]:8001"], "admin": "[::]:9001"}, "[::1]:8001", "[::1]"),
        ({"binds": ["unix:/run/shop.sock", "127.0.0.1:1"]}, "unix@/run/shop.sock", "127.0.0.1"),
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


def test_pools_together() -> None:
    one = of_pool("a", status(), settings())
    other = of_pool("b", status(binds=["127.0.0.1:2"], app="other:app"), settings())
    assert together([one]) == together([one, of_address("10.0.0.1:80")]) == []
    assert "main:app, other:app" in together([one, other])[0]
    with pytest.raises(Unusable, match=r"127\.0\.0\.1:8001 is there twice"):
        together([one, of_pool("b", status(), settings())])
    with pytest.raises(Unusable, match="a is there twice"):
        together([one, of_pool("a", status(binds=["127.0.0.1:2"]), settings())])


@pytest.mark.parametrize(
    ("values", "client", "server", "keep_alive"),
    [
        ({}, "90s", "330s", "60s"),
        ({"busy_timeout": 0.0}, "90s", "3630s", "60s"),
        ({"busy_timeout": 1.0, "request_timeout": 60.2}, "90s", "91s", "60s"),
        ({"body_timeout": 0.0, "keep_alive": 75.0}, "3630s", "330s", "75s"),
    ],
)
def test_the_front_is_more_patient_than_its_most_patient_pool(
    values: dict[str, float], client: str, server: str, keep_alive: str
) -> None:
    short = of_pool("a", status(), settings(busy_timeout=1.0, body_timeout=1.0, write_timeout=1.0, keep_alive=1.0))
    config = configuration(Asked(("x:1",)), [short, of_pool("b", status(), settings(**values))])
    assert (config.client_timeout, config.server_timeout, config.keep_alive) == (client, server, keep_alive)
