"""`corepod hit URL -c 3 -n 1`: one request from each of three concurrent clients, and the worker that answered each."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from rich.console import Console
from rich.table import Table

from corepod.contract.exits import EXIT_OK, EXIT_SETTINGS
from corepod.hit.exchange import OK, TIMEOUT, Client

if TYPE_CHECKING:
    from collections.abc import Sequence

    from corepod.hit.exchange import Answer

EXIT_FAILED = 1
MOST = 1000  # clients: each is a thread here


def main(arguments: Sequence[str]) -> int:
    """The exit code: 0 where every request succeeded, 1 where one failed, 2 for bad arguments."""
    options = parser().parse_args(arguments)
    try:
        answers = ask(options.url, options.count, options.requests, kept=options.keep_alive, timeout=options.timeout)
    except (OSError, ValueError) as error:
        print(f"corepod hit: {error}", file=sys.stderr)
        return EXIT_SETTINGS
    if options.json:
        print(json.dumps([_row(client, number, answer) for client, number, answer in answers]))
    else:
        _show(answers)
    return EXIT_OK if all(answer.outcome == OK for _, _, answer in answers) else EXIT_FAILED


def ask(url: str, clients: int, requests: int, *, kept: bool, timeout: float) -> list[tuple[int, int, Answer]]:
    """For each request: the number of its client, its own number, and the answer. The clients start together.

    Raises OSError for a host that has no address, ValueError for anything but a URL.
    """
    parts = urlsplit(url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    callers = [Client(url, kept=kept, timeout=timeout) for _ in range(clients)]
    answers: list[list[Answer]] = [[] for _ in callers]
    together = threading.Barrier(clients)

    def run(number: int) -> None:
        together.wait()
        for _ in range(requests):
            answers[number].append(callers[number].get(path))
        callers[number].close()

    threads = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [(n + 1, m + 1, answer) for n, row in enumerate(answers) for m, answer in enumerate(row)]


def parser() -> argparse.ArgumentParser:
    """The parser of `corepod hit`."""
    parser = argparse.ArgumentParser(prog="corepod hit", description=__doc__, allow_abbrev=False)
    parser.add_argument("url", metavar="URL", help="URL to request, such as http://127.0.0.1:8000/whoami")
    parser.add_argument("-c", "--count", type=_positive, default=3, help="number of concurrent clients (default: 3)")
    parser.add_argument(
        "-n",
        "--requests",
        type=_positive,
        default=1,
        help="requests of each client, one after the other (default: 1)",
    )
    parser.add_argument(
        "-k", "--keep-alive", action="store_true", help="one connection for each client instead of one for each request"
    )
    parser.add_argument("--timeout", type=float, default=TIMEOUT, help=f"seconds for a response (default: {TIMEOUT:g})")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if not 1 <= number <= MOST:
        raise argparse.ArgumentTypeError(f"has to be from 1 to {MOST}, not {text}")
    return number


def _row(client: int, number: int, answer: Answer) -> dict[str, Any]:
    seconds = round(answer.seconds, 6)
    told = {"outcome": answer.outcome, "status": answer.status, "seconds": seconds, "detail": answer.detail}
    return {"client": client, "request": number, **told, **answer.worker._asdict()}


def _show(answers: list[tuple[int, int, Answer]]) -> None:
    table = Table(box=None, header_style="dim")
    for title in ("client", "request", "latency", "status", "worker", "core", "pid", ""):
        table.add_column(title, justify="left" if title in ("worker", "") else "right")
    for client, number, answer in answers:
        worker, good = answer.worker, answer.outcome == OK
        table.add_row(
            *(str(client), str(number), f"{answer.seconds * 1000:.1f} ms", str(answer.status or "")),
            *(worker.place if good else "", _known(worker.core), _known(worker.pid)),
            "" if good else f"[red]{answer.outcome} {answer.detail if answer.detail != answer.outcome else ''}",
        )
    console = Console()
    console.print(table)
    console.print(_sum(answers), highlight=False)


def _sum(answers: list[tuple[int, int, Answer]]) -> str:
    outcomes = Counter(answer.outcome for _, _, answer in answers)
    failed = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common() if outcome != OK)
    text = f"{outcomes[OK]} of {len(answers)} answered" + (f", {failed}" if failed else "")
    good = [answer for _, _, answer in answers if answer.outcome == OK]
    if good:
        latency = [answer.seconds * 1000 for answer in good]
        workers = len({answer.worker.place for answer in good})
        text += f" by {workers} worker{'' if workers == 1 else 's'}"
        text += f"; median {statistics.median(latency):.1f} ms, longest {max(latency):.1f} ms"
    return text


def _known(number: int | None) -> str:
    return "" if number is None else str(number)
