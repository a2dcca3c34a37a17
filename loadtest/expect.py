"""The expected responses of the sample application. A check returns an empty text for a right one, else the error."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from corepod.demo.report import DEFAULT_ORDERS, sales_report

if TYPE_CHECKING:
    from collections.abc import Callable

    from corepod.hit.exchange import Answer


def expected(path: str) -> Callable[[Answer], str]:
    """The check for a path; for paths that the sample application doesn't have, every response is right."""
    parts = urlsplit(path)
    query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
    if parts.path.startswith("/generate-report"):
        orders = int(query.get("size", DEFAULT_ORDERS))
        return lambda answer: _report(answer, orders)
    return CHECKS.get(parts.path, lambda answer: "")


@cache
def _right(orders: int) -> dict[str, Any]:
    return sales_report(orders)


def _report(answer: Answer, orders: int) -> str:
    return "" if answer.json().get("report") == _right(orders) else f"not the report on {orders} orders"


def _index(answer: Answer) -> str:
    return "" if "endpoints" in answer.json() else "no list of endpoints"


def _whoami(answer: Answer) -> str:
    said, signed = answer.json().get("pid"), answer.worker.pid
    return "" if said == signed is not None else f"says pid {said}, is signed {signed}"


def _wait(answer: Answer) -> str:
    return "" if "duration_seconds" in answer.json() else "no duration"


def _healthz(answer: Answer) -> str:
    return "" if answer.body == b"ok\n" else f"not ok but {answer.body[:40]!r}"


CHECKS: dict[str, Callable[[Answer], str]] = {
    "/": _index,
    "/whoami": _whoami,
    "/wait": _wait,
    "/healthz": _healthz,
}
