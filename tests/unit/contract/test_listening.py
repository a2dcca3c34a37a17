"""`*` is one socket of both families; every other address is what it says."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from corepod.contract import listening

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(params=[socket.SOCK_STREAM, socket.SOCK_DGRAM], ids=["TCP", "UDP"])
def everywhere(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    with listening.bound("*", 0, request.param) as sock:
        if sock.type == socket.SOCK_STREAM:
            sock.listen()
        yield sock


def test_one_socket_has_the_port_in_both_families(everywhere: socket.socket) -> None:
    port = everywhere.getsockname()[1]
    assert listening.name(everywhere) == f"*:{port}"
    for host in ("127.0.0.1", "::1"):
        with pytest.raises(OSError, match="in use"):
            listening.bound(host, port, socket.SocketKind(everywhere.type))


@pytest.mark.parametrize(
    ("host", "reached", "shown"),
    [
        ("0.0.0.0", {"127.0.0.1"}, "0.0.0.0"),
        ("127.0.0.1", {"127.0.0.1"}, "127.0.0.1"),
        ("::1", {"::1"}, "[::1]"),
        ("*", {"127.0.0.1", "::1"}, "*"),
    ],
)
def test_what_an_address_reaches(host: str, reached: set[str], shown: str) -> None:
    with listening.bound(host, 0, socket.SOCK_STREAM) as sock:
        sock.listen()
        port = sock.getsockname()[1]
        assert listening.name(sock) == f"{shown}:{port}"
        found = set()
        for client in ("127.0.0.1", "::1"):
            try:
                socket.create_connection((client, port)).close()
            except ConnectionRefusedError:
                continue
            with sock.accept()[0] as accepted:
                assert listening.plain(accepted.getpeername()[0]) == client
            found.add(client)
        assert found == reached


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1", "::1", "::", "::ffff", "fe80::1%eth0"])
def test_addresses_that_are_plain_already(address: str) -> None:
    assert listening.plain(address) == address


@pytest.mark.parametrize(
    ("address", "other", "same"),
    [
        ("*:80", "*:80", True),
        ("*:80", "0.0.0.0:80", True),
        ("[::]:80", "*:80", True),
        ("*:80", "*:81", False),
        ("*:80", "127.0.0.1:80", False),
        ("unix:/run/a:80", "*:80", False),
        ("unix:/run/a", "unix:/run/a", True),
        ("none", "*:80", False),
    ],
)
def test_whose_socket_it_may_be(address: str, other: str, same: bool) -> None:
    assert listening.same(address, other) is same


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("*:80", "http://localhost:80"),
        ("127.0.0.1:80", "http://127.0.0.1:80"),
        ("[::1]:80", "http://[::1]:80"),
        ("unix:/run/a:80", "unix:/run/a:80"),
        ("none", "none"),
    ],
)
def test_where_a_client_finds_it(address: str, url: str) -> None:
    assert listening.url(address) == url
