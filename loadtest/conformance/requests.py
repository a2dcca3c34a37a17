"""The suite of raw requests of HTTP/1.1: the corpus, spoken to a server."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from loadtest.conformance.case import Case, complaint
from loadtest.conformance.corpus import CORPUS
from loadtest.conformance.exchange import PATIENCE, parse, talk
from loadtest.conformance.suite import Result

AT_ONCE = 8  # connections; most of the time goes to servers that hang


def run(port: int) -> list[Result]:
    """Every request of the corpus, each in one piece."""
    with ThreadPoolExecutor(AT_ONCE) as threads:
        complaints = threads.map(lambda case: judge(port, case), CORPUS)
        return [
            Result(f"{case.name} (RFC {case.section})", told) for case, told in zip(CORPUS, complaints, strict=True)
        ]


def judge(port: int, case: Case, *, at_once: bool = True, patience: float = PATIENCE) -> str:
    """What the server at this port does wrong with it; empty where it does nothing wrong."""
    try:
        return complaint(
            case, parse(talk(port, case.bytes, at_once=at_once, end=case.end, patience=patience), case.methods)
        )
    except TimeoutError as error:
        got = error.args[0] if error.args and isinstance(error.args[0], bytes) else b""
        return complaint(case, replace(parse(got, case.methods), hung=True))
