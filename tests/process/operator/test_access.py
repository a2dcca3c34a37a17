"""The operator's admin port shows its status to those that the common table allows, and to nobody else."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from tests.process.harness import DEADLINE
from tests.unit.contract.test_access import CASES, Case
from tests.unit.supervisor.admin.test_server import outer_address

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.process.operator.harness import Operator

    Operate = Callable[..., Operator]


def ask(address: str, port: int, path: str, *lines: str) -> tuple[int, str]:
    """Status and body of the answer to exactly this request."""
    with socket.create_connection((address, port), timeout=DEADLINE) as sock:
        request = "\r\n".join((f"GET {path} HTTP/1.1", *lines, "", ""))
        sock.sendall(request.encode("latin-1"))
        received = b"".join(iter(lambda: sock.recv(65536), b""))
    head, _, body = received.decode().partition("\r\n\r\n")
    return int(head.split(" ")[1]), body


@pytest.mark.parametrize("public", [False, True], ids=["restricted", "public"])
def test_who_may_see_the_status(operate: Operate, public: bool) -> None:
    operator = operate("--admin", "0.0.0.0:0", "--admin-status", "all" if public else "loopback").ready()
    addresses = {True: "127.0.0.1", False: outer_address()}
    wrong: list[tuple[Case, int, str]] = []
    asked = 0
    for case in CASES:
        address = addresses[case.local]
        if case.public is not public or address is None:
            continue
        asked += 1
        status, body = ask(address, operator.admin_port, "/status", *case.lines)
        if (status, body) != (403, f"{case.why_not}\n") if case.why_not else status != 200:
            wrong.append((case, status, body))
        for path in ("/livez", "/readyz", "/metrics"):
            assert ask(address, operator.admin_port, path, *case.lines)[0] == 200
    assert asked > 20
    assert wrong == []


@pytest.mark.parametrize(
    "lines",
    [
        ("Host: 127.0.0.1", "Host: rebound.example"),
        ("Host: 127.0.0.1", "A B: hides what follows", "X-Forwarded-For: 192.0.2.1"),
        ("Host: 127.0.0.1", "X-Forwarded-For : 192.0.2.1"),
        ("Host: 127.0.0.1", "no colon", "Via: 1.1 cache"),
    ],
    ids=str,
)
def test_headers_that_could_hide_a_proxy_are_refused(operate: Operate, lines: tuple[str, ...]) -> None:
    operator = operate().ready()
    assert ask("127.0.0.1", operator.admin_port, "/status", "Host: 127.0.0.1")[0] == 200
    assert ask("127.0.0.1", operator.admin_port, "/status", *lines)[0] in (400, 403)
