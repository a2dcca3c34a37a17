"""`make loadtest`: a pool on this machine, two minutes of load and chaos, a verdict and a report."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from loadtest.local import SERVERS, Server

if TYPE_CHECKING:
    from collections.abc import Sequence

HERE = Path(__file__).parent
RESULTS = HERE / "results"
CHAOS = "sigkill,exit,block,oom,hang,reload,sigstop"
LASTS = 3.0  # seconds of a fault that goes on, and of the pool's patience with it
GENERATOR_NICE = -5  # it shares the cores with what it measures, and must not be late for that
GRACE = 120.0  # seconds beyond the run's time after which the generator counts as hung


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code: 0 passed, 1 failed, 4 invalid; others where the run itself went wrong."""
    options, more = _arguments(argv)
    signal.signal(signal.SIGTERM, _on_term)
    options.result_dir.mkdir(parents=True, exist_ok=True)
    log = options.result_dir / "server.log"
    log.unlink(missing_ok=True)
    try:
        with Server(options.server, LASTS, options.workers, log, again=options.again) as server:
            print(f"{options.server} at {server.url} for {options.seconds} s, its log in {log}", flush=True)
            code = _generate(options, more, server)
    except (RuntimeError, subprocess.TimeoutExpired) as error:
        print(f"loadtest: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    print(f"report: {options.result_dir / 'report.html'}")
    return code


def _arguments(argv: Sequence[str] | None) -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(
        prog="make loadtest ARGS=...",
        description=__doc__,
        epilog="All other flags are Locust's: --limit-p95 0.5, --shape ramp (locust -f loadtest/locustfile.py --help).",
    )
    parser.add_argument("--seconds", type=int, default=120, help="length of the run")
    parser.add_argument("--users", type=int, default=40, help="users at most")
    parser.add_argument("--workers", default="auto", help="workers of the pool, auto for one a core")
    parser.add_argument("--server", choices=SERVERS, default="corepod", help="what is put under test")
    parser.add_argument("--chaos", default=CHAOS, help="what is done to it, in turn, with commas; empty for nothing")
    parser.add_argument(
        "--again", action=argparse.BooleanOptionalAction, default=True, help="start it again if it dies"
    )
    parser.add_argument("--result-dir", type=Path, default=RESULTS, help="where report.html and run.json go")
    return parser.parse_known_args(argv)


def _generate(options: argparse.Namespace, more: list[str], server: Server) -> int:
    flags: dict[str, Any] = {
        "--host": server.url,
        "--users": options.users,
        "--run-time": options.seconds,
        "--admin": server.admin,
        "--chaos": options.chaos,
        "--chaos-lasts": LASTS,
        "--result-dir": options.result_dir,
    }
    words = [f"{flag}={value}" for flag, value in flags.items()]
    command = [sys.executable, "-m", "locust", "-f", str(HERE / "locustfile.py"), "--headless", "--only-summary"]
    # Its own log tells what the verdict tells better; what goes wrong in it is still shown.
    generator = subprocess.Popen([*command, "--skip-log-setup", *words, *more], process_group=0)
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, generator.pid, GENERATOR_NICE)
    try:
        return generator.wait(options.seconds + GRACE)
    except KeyboardInterrupt:
        generator.send_signal(signal.SIGINT)  # it ends the load and judges what there is
        return generator.wait(GRACE)
    finally:
        if generator.poll() is None:
            generator.kill()
            generator.wait()


def _on_term(signum: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
