"""`corepod check`: would it start? Settings, limits, addresses and the application, and nothing is started."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, Any

from corepod.config import document
from corepod.config.apps import resolve_all
from corepod.config.resolve import SettingsError
from corepod.contract.exits import EXIT_OK, EXIT_SETTINGS
from corepod.local import output
from corepod.local.checks import Result, check
from corepod.local.pools import add_timeout

if TYPE_CHECKING:
    from argparse import ArgumentParser
    from collections.abc import Iterable

GREEN, RED, PLAIN = "\033[32m", "\033[31m", "\033[0m"


def configure(parser: ArgumentParser) -> None:
    output.add_json(parser)
    add_timeout(parser, 60, "limit of the import")


def main(flags: dict[str, Any], faults: list[str]) -> int:
    """Check the named application, or all of the file. Returns the exit code of the first fault."""
    signal.signal(signal.SIGTERM, lambda signum, frame: sys.exit(128 + signum))  # the import's process goes, too
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT, signal.SIGTERM))
    as_json, timeout = flags.pop("json"), flags.pop("timeout")
    file = document.asked_for(flags, os.environ)
    try:
        effectives = resolve_all(flags, os.environ, file, faults=faults)
        for warning in dict.fromkeys(warning for one in effectives for warning in one.warnings):
            print(f"corepod: {warning}", file=sys.stderr)
        results = [result for one in effectives for result in check(one, timeout)]
    except SettingsError as error:
        results = [Result("", "settings", fault, EXIT_SETTINGS) for fault in error.faults]
    if as_json:
        output.dump([vars(result) for result in results])
    else:
        _print(results)
    return next((result.code for result in results if result.code), EXIT_OK)


def _print(results: list[Result]) -> None:
    if sys.stdout is None:
        return
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    widths = [_widest(r.application for r in results), _widest(r.what for r in results)]
    for result in results:
        mark = "✗" if result.code else "✓"
        if (sys.stdout.encoding or "").lower().replace("-", "") != "utf8":
            mark = "FAULT" if result.code else "ok"
        if colour:
            mark = f"{RED if result.code else GREEN}{mark}{PLAIN}"
        name = f"{result.application:{widths[0]}}  " if widths[0] else ""
        print(f"{mark} {name}{result.what:{widths[1]}}  {result.text}")
        if result.detail:
            print("\n".join(f"    {line}" for line in result.detail.splitlines()))


def _widest(texts: Iterable[str]) -> int:
    return max(map(len, texts), default=0)
