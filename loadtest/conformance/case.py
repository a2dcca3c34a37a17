"""One raw request, what the RFCs let a server do with it, and the verdict on what a server has done.

Every case is sent with a request behind it, the probe. It asks for the end of the connection, so an exchange ends by
itself, and its answer tells whether the connection went on, and whether the server agreed where the case ends.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from loadtest.conformance.exchange import Answer, Exchange

PROBE_PATH = "/probe"
PROBE = b"GET /probe HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"


@dataclass(frozen=True)
class Request:
    """What the application has to be given."""

    method: str = "GET"  # in any case: ASGI wants it in capitals
    path: str | None = "/"  # None: whatever the server makes of it
    body: bytes = b""
    query: str = ""
    headers: tuple[tuple[str, str], ...] = ()  # those that matter, as many as have this name
    absent: tuple[str, ...] = ()  # headers that it must not be given

    def differs(self, answer: Answer) -> str:
        """How what the application was given differs from this; empty where it doesn't."""
        if self.method == "HEAD":
            return "" if not answer.body else "a body in the answer to HEAD"
        try:
            given: dict[str, Any] = json.loads(answer.body)
        except ValueError:
            return f"an answer that isn't the application's: {answer.body[:80]!r}"
        wanted: dict[str, Any] = {"method": self.method.upper(), "body": self.body.decode("latin-1")}
        if self.path is not None:
            wanted |= {"path": self.path, "query": self.query}
        for name in dict.fromkeys((*(name for name, _ in self.headers), *self.absent)):
            wanted[name] = [value for found, value in self.headers if found == name]
            given[name] = [value for found, value in given["headers"] if found == name]
        wrong = [name for name, value in wanted.items() if given.get(name) != value]
        return ", ".join(f"{name} {given.get(name)!r:.80} instead of {wanted[name]!r:.80}" for name in wrong)


@dataclass(frozen=True)
class Case:
    """Bytes, and what may come of them."""

    name: str
    section: str  # of the RFC that decides
    data: bytes
    requests: tuple[Request, ...]  # that the application gets where it is served
    served: bool  # whether it may be served
    refusals: frozenset[int]  # with what it may be refused; 0: the connection ends without an answer
    before: int = 0  # how many of the requests come before the one that is refused
    stays: bool | None = True  # whether the connection goes on behind served requests; None: as the server likes
    end: bool = False  # the client closes its half behind the data, and there is no probe

    @property
    def bytes(self) -> bytes:
        """What is sent."""
        return self.data if self.end else self.data + PROBE

    @property
    def methods(self) -> list[str]:
        return [request.method for request in self.requests]

    def expected(self) -> str:
        """For people."""
        ways = []
        if self.served:
            then = {True: ", and the next request", False: ", and the end", None: ""}[None if self.end else self.stays]
            ways.append(f"{len(self.requests)} served{then}")
        if self.refusals:
            statuses = " or ".join(str(status) if status else "no answer" for status in sorted(self.refusals))
            ways.append((f"{self.before} served, then " if self.before else "") + f"{statuses}, and the end")
        return " or ".join(ways)


def serves(
    name: str, section: str, data: bytes, *requests: Request, stays: bool | None = True, end: bool = False
) -> Case:
    """It has to be served as exactly these requests."""
    return Case(name, section, data, requests, True, frozenset(), stays=stays, end=end)


def refuses(
    name: str, section: str, data: bytes, *statuses: int, after: tuple[Request, ...] = (), end: bool = False
) -> Case:
    """It has to be refused, with 400 where nothing else is named, behind the requests that are `after` nothing."""
    return Case(name, section, data, after, False, frozenset(statuses or (400,)), before=len(after), end=end)


def either(name: str, section: str, data: bytes, *requests: Request, statuses: tuple[int, ...] = (400,)) -> Case:
    """It may be served as exactly these requests, or be refused as a whole."""
    return Case(name, section, data, requests, True, frozenset(statuses), stays=None)


def complaint(case: Case, exchange: Exchange) -> str:
    """What the server did wrong; empty where it did nothing wrong."""
    got = _wrong(case, exchange)
    return f"expected {case.expected()}; got {_got(exchange)}: {got}" if got else ""


def _wrong(case: Case, exchange: Exchange) -> str:
    if exchange.hung:
        return "it neither answers nor closes"
    if exchange.fault:
        return exchange.fault
    if exchange.interim and (b"100-continue" not in case.data.lower() or b"HTTP/1.0" in case.data):
        return "an interim response nobody has asked for"
    refused = _refused(case, exchange.answers) if case.refusals else "it is refused"
    served = _served(case, exchange.answers) if case.served else "it is served"
    if not refused or not served:
        return ""
    if not case.served:
        return refused
    return served


def _served(case: Case, answers: tuple[Answer, ...]) -> str:
    if wrong := _given(case.requests, answers):
        return wrong
    behind = answers[len(case.requests) :]
    probed = len(behind) == 1 and behind[0].status == 200 and b'"/probe"' in behind[0].body
    if behind and not probed:
        return "more answers than requests"
    if case.stays is not None and not case.end and probed != case.stays:
        return "the connection goes on" if probed else "the connection ends"
    return ""


def _refused(case: Case, answers: tuple[Answer, ...]) -> str:
    if wrong := _given(case.requests[: case.before], answers):
        return wrong
    last = answers[case.before :]
    if not last:
        return "" if 0 in case.refusals else "no answer"
    if len(last) > 1:
        return "the connection goes on"
    return "" if last[0].status in case.refusals else "another status"


def _given(requests: tuple[Request, ...], answers: tuple[Answer, ...]) -> str:
    for number, request in enumerate(requests):
        if number >= len(answers):
            return f"no answer to request {number + 1}"
        if answers[number].status != 200:
            return f"request {number + 1} isn't served"
        if wrong := request.differs(answers[number]):
            return f"request {number + 1} has {wrong}"
    return ""


def _got(exchange: Exchange) -> str:
    statuses = [str(answer.status) for answer in exchange.answers]
    return ", ".join(statuses) or "no response"
