"""Whether pools fit each other and the front."""

from __future__ import annotations

from dataclasses import replace

import pytest
from corepod.local.front.build import Asked
from corepod.local.front.fit import together
from corepod.local.front.targets import Unusable, of_address

ASKED = Asked(("127.0.0.1:8080",), "127.0.0.1:8404")
ONE = replace(of_address("127.0.0.1:8001"), app="main:app")
OTHER = replace(of_address("127.0.0.1:8002"), app="other:app")
STICKY = replace(ONE, cookie="place")


def test_pools_together() -> None:
    assert together(ASKED, [ONE]) == together(ASKED, [ONE, of_address("10.0.0.1:80")]) == []
    [warning] = together(ASKED, [ONE, OTHER])
    assert "main:app, other:app" in warning
    with pytest.raises(Unusable, match=r"127\.0\.0\.1:8001 is there twice"):
        together(ASKED, [ONE, replace(ONE, server=replace(ONE.server, name="b"))])
    with pytest.raises(Unusable, match=r"127\.0\.0\.1:8001 is there twice"):
        together(ASKED, [ONE, replace(ONE, server=replace(ONE.server, address="127.0.0.1:1"))])


@pytest.mark.parametrize(
    ("bind", "stats"),
    [
        (("127.0.0.1:80", "127.0.0.1:80"), ""),
        (("127.0.0.1:80",), "127.0.0.1:80"),
        (("127.0.0.1:80",), "0.0.0.0:80"),
        (("[::1]:80",), "*:80"),
        (("[::]:80", "[::1]:80"), ""),
        (("unix@/run/a", "unix@/run/a"), ""),
    ],
)
def test_a_front_has_each_address_once(bind: tuple[str, ...], stats: str) -> None:
    with pytest.raises(Unusable, match=r"the front can't have .* twice"):
        together(Asked(bind, stats), [ONE])


@pytest.mark.parametrize("bind", ["127.0.0.1:8001", "0.0.0.0:8001", "*:8001"])
@pytest.mark.parametrize("stats", [True, False])
def test_a_front_sends_nothing_to_itself(bind: str, stats: bool) -> None:
    with pytest.raises(Unusable, match=r"the front can't listen on .*:8001"):
        together(Asked(("127.0.0.1:1",), bind) if stats else Asked((bind,)), [ONE])


@pytest.mark.parametrize("bind", ["0.0.0.0:8080", "[::]:8080", "127.0.0.1:8080", "unix@/run/a"])
def test_a_port_of_another_machine_is_free_here(bind: str) -> None:
    assert together(Asked((bind, "127.0.0.1:81"), "127.0.0.1:8404"), [of_address("192.0.2.7:8080")]) == []


def test_clients_stick_to_a_slot_and_to_its_pool() -> None:
    assert together(ASKED, [STICKY]) == together(replace(ASKED, cookie="pool"), [STICKY, of_address("a:1")]) == []
    [warning] = together(ASKED, [STICKY, of_address("a:1")])
    assert "add --sticky" in warning
    with pytest.raises(Unusable, match="has a cookie of the same name, place"):
        together(replace(ASKED, cookie="place"), [STICKY])
