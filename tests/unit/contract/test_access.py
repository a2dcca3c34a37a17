"""Who may see the status: one table, which the tests of both admin ports use, too."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from corepod.contract.access import BY_NAME, NOT_LOCAL, PROXIED, is_local, why_not_allowed

# By none of these a name server is asked for an address.
ADDRESSES = (
    "127.0.0.1:9000",
    "127.0.0.1",
    "localhost:9000",
    "LocalHost",
    "[::1]:9000",
    "[::1]",
    "10.1.2.3",
    "127.0.0.1:",
)
NAMES = (
    "rebound.example",
    "rebound.example:9000",
    "localhost.rebound.example",
    "127.0.0.1.rebound.example:9000",
    "127.1",
    "[rebound.example]",
    "[localhost]",
    "127.0.0.1@rebound.example",
    "127.0.0.1:9000@rebound.example",
    "[::1]rebound.example",
    "127.0.0.1:9000:9000",
    "127.0.0.1:\xb2",
    "",
)
PROXIES = (
    ("Forwarded", "for=192.0.2.1"),
    ("X-Forwarded-For", "192.0.2.1"),
    ("x-forwarded-proto", "https"),
    ("X-FORWARDED-HOST", "shop"),
    ("X-Forwarded-For", ""),
    ("Via", "1.1 cache"),
    ("X-Real-IP", "192.0.2.1"),
)
# A browser's and a client's own headers say nothing about a proxy.
HARMLESS = (("User-Agent", "via X-Real-IP"), ("X-Request-ID", "1"), ("Origin", "http://rebound.example"))


class Case(NamedTuple):
    """A request for the status, and why it is refused, empty if it isn't."""

    host: str = "127.0.0.1:9000"
    header: tuple[str, str] | None = None
    local: bool = True
    public: bool = False
    why_not: str = ""

    @property
    def lines(self) -> list[str]:
        """The request's header lines."""
        return [f"Host: {self.host}", *([": ".join(self.header)] if self.header else [])]

    @property
    def headers(self) -> dict[str, str]:
        return dict((name.lower(), value) for name, _, value in (line.partition(": ") for line in self.lines))


WHO = tuple((local, public) for local in (True, False) for public in (True, False))
CASES = [
    *(Case(host=host) for host in ADDRESSES),
    *(Case(host=host, why_not=BY_NAME) for host in NAMES),
    *(Case(host=host, public=True, local=local) for host in (*ADDRESSES, *NAMES) for local in (True, False)),
    *(Case(host=host, local=False, why_not=NOT_LOCAL) for host in (*ADDRESSES, *NAMES)),
    *(Case(header=header, local=local, public=public, why_not=PROXIED) for header in PROXIES for local, public in WHO),
    *(Case(header=header) for header in HARMLESS),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_who_may_see_the_status(case: Case) -> None:
    why = why_not_allowed(case.headers, everybody=False, local=case.local, public=case.public)
    assert why == case.why_not


@pytest.mark.parametrize("case", CASES, ids=str)
def test_everybody_may_see_probes_and_metrics_and_the_owner_everything(case: Case) -> None:
    assert not why_not_allowed(case.headers, everybody=True, local=case.local, public=case.public)
    assert not why_not_allowed(case.headers, everybody=False, local=case.local, public=case.public, trusted=True)


def test_without_a_host() -> None:
    assert why_not_allowed({}, everybody=False, local=True, public=False) == BY_NAME


@pytest.mark.parametrize(
    ("address", "local"),
    [
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("10.0.0.1", False),
        ("::ffff:10.0.0.1", False),
        ("::", False),
        ("fe80::1", False),
        ("128.127.0.1", False),
        ("", False),
    ],
)
def test_local_addresses(address: str, local: bool) -> None:
    assert is_local(address) is local
