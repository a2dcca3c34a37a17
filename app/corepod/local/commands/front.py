"""`corepod front`: the configuration of a HAProxy that makes one queue of several pools."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from corepod.contract.exits import EXIT_FAILED, EXIT_OK, EXIT_SETTINGS
from corepod.contract.listening import has_ipv6
from corepod.local import output
from corepod.local.front import build, fit, haproxy, targets, values
from corepod.local.pools import CommandError, find, get

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from corepod.local.front.targets import Target

BALANCE = ("leastconn", "roundrobin", "random", "first")
PATIENCE = 10.0  # seconds for HAProxy to read its configuration


def configure(parser: ArgumentParser) -> None:
    parser.add_argument(
        "pools",
        nargs="+",
        metavar="POOL",
        help="name of a pool that runs here (corepod ps), or HOST:PORT[,ADMINPORT[,SLOTS]] of one that runs elsewhere",
    )
    where = "HOST:PORT, [IPV6]:PORT, :PORT for all addresses, or unix:PATH"
    parser.add_argument(
        "--bind",
        action="append",
        type=values.bind,
        metavar="ADDRESS",
        help=f"address of the front, {where}; may be repeated (default: 127.0.0.1:8080)",
    )
    parser.add_argument(
        "--stats",
        type=values.stats,
        default="127.0.0.1:8404",
        metavar="ADDRESS",
        help="address of the front's own /healthz, /metrics and /stats, or none (default: 127.0.0.1:8404)",
    )
    parser.add_argument(
        "--balance", choices=BALANCE, default=BALANCE[0], help="which pool gets a request (default: leastconn)"
    )
    parser.add_argument(
        "--concurrency",
        type=values.count,
        default=0,
        metavar="NUMBER",
        help="requests that a slot gets at once, the others wait in one queue; 0 for no limit (default: 0)",
    )
    parser.add_argument(
        "--queue-timeout",
        type=values.seconds,
        default=30.0,
        metavar="SECONDS",
        help="time that a request waits in this queue before it gets 503 (default: 30)",
    )
    parser.add_argument(
        "--check-interval",
        type=values.seconds,
        default=0.5,
        metavar="SECONDS",
        help="time between two checks of a pool (default: 0.5)",
    )
    parser.add_argument(
        "--no-retries",
        action="store_true",
        help="don't send a GET or HEAD again whose worker has died before it responded",
    )
    parser.add_argument(
        "--sticky",
        type=values.cookie,
        metavar="COOKIE",
        help="keep a client at one pool by a cookie of this name",
    )
    parser.add_argument(
        "--trusted-proxies",
        type=values.networks,
        default=[],
        metavar="NETWORKS",
        help="networks, with commas, of proxies before the front whose X-Forwarded headers count (default: none)",
    )
    parser.add_argument("--output", metavar="FILE", help="write the configuration there in place of printing it")
    parser.add_argument("--check", action="store_true", help="let HAProxy check it first; a faulty one isn't written")
    output.add_json(parser, "print JSON: the pools, the warnings and the configuration")


def main(options: Namespace) -> int:
    """Raises CommandError."""
    try:
        found = [_target(word) for word in options.pools]
        asked = _asked(options)
        warnings = fit.together(asked, found)
    except targets.Unusable as fault:
        raise CommandError(str(fault), EXIT_SETTINGS) from fault
    text = haproxy.render(build.configuration(asked, found))
    for warning in warnings:
        output.complain(warning)
    if options.check:
        _check(text)
    if options.output:
        _write(Path(options.output), text)
    if options.json:
        servers = [{**asdict(one.server), "app": one.app} for one in found]
        output.dump({"pools": servers, "warnings": warnings, "output": options.output, "configuration": text})
    elif options.output:
        print(f"wrote {options.output}: {len(found)} pool{'s' * (len(found) > 1)}, on {', '.join(asked.bind)}")
    else:
        print(text, end="")
    return EXIT_OK


def _target(word: str) -> Target:
    if targets.is_address(word):
        return targets.of_address(word)
    client = find(word)
    return targets.of_pool(client.name, get(client, "/status"), get(client, "/settings"))


def _asked(options: Namespace) -> build.Asked:
    return build.Asked(
        bind=tuple(options.bind or ["127.0.0.1:8080"]),
        stats=options.stats,
        ipv6=has_ipv6(),
        balance=options.balance,
        concurrency=options.concurrency,
        queue_timeout=options.queue_timeout,
        check_interval=options.check_interval,
        retries=not options.no_retries,
        cookie=options.sticky or "",
        proxies=tuple(options.trusted_proxies),
    )


def _check(text: str) -> None:
    """Raises CommandError with HAProxy's own words."""
    program = shutil.which("haproxy")
    if program is None:
        raise CommandError(
            "--check needs HAProxy, and there is none on the PATH: install it, or leave --check out", EXIT_FAILED
        )
    try:
        with tempfile.NamedTemporaryFile("w", suffix=".cfg") as file:
            file.write(text)
            file.flush()
            words = [program, "-c", "-f", file.name]
            done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CommandError(f"{program} can't check the configuration: {error}", EXIT_FAILED) from error
    if done.returncode:
        raise CommandError(f"HAProxy doesn't take the configuration:\n{done.stderr.strip()}", EXIT_FAILED)
    if said := done.stderr.strip():
        output.complain(said)


def _write(path: Path, text: str) -> None:
    """Replace the file at once, so that HAProxy never reads half of it; a link stays, and what it leads to changes.
    What is no file, such as /dev/stdout, is written to as it is."""
    try:
        if path.exists() and not path.is_file():
            path.write_text(text)
        else:
            _replace(Path(os.path.realpath(path)), text)
    except OSError as error:
        raise CommandError(f"the configuration can't be written: {error}", EXIT_FAILED) from error


def _replace(path: Path, text: str) -> None:
    """Raises OSError."""
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
    # Under a name that nobody can guess: in a folder that others write to, it could be a link of theirs.
    file = tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name[:64]}.", delete=False)
    try:
        with file:
            file.write(text)
        os.chmod(file.name, mode)
        os.replace(file.name, path)
    except OSError:
        Path(file.name).unlink(missing_ok=True)
        raise
