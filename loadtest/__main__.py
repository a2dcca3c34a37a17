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
LASTS = 3.0  # seconds that a fault with a duration lasts; also the pool's stuck_timeout
GENERATOR_NICE = -5  # it shares the cores with what it measures, and must not be late for that
GRACE = 120.0  # seconds beyond the run's time after which the generator counts as hung


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code: 0 passed, 1 failed, 4 invalid; others if the run itself went wrong."""
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
    print(f"report: {options.result_dir / 'report.html'}; exit code {code}")
    return code


def _arguments(argv: Sequence[str] | None) -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(
        prog="make loadtest ARGS=...",
        description=__doc__,
        epilog="All other flags are passed to Locust, for example --limit-p95 0.5 or --shape ramp; "
        "locust -f loadtest/locustfile.py --help lists them.",
    )
    parser.add_argument("--seconds", type=int, default=120, help="length of the run in seconds")
    parser.add_argument("--users", type=int, default=40, help="largest number of users")
    parser.add_argument("--workers", default="auto", help="number of workers of the pool; auto: one per core")
    parser.add_argument("--server", choices=SERVERS, default="corepod", help="server under test")
    parser.add_argument("--chaos", default=CHAOS, help="faults to inject in turn, separated by commas; empty for none")
    parser.add_argument(
        "--again", action=argparse.BooleanOptionalAction, default=True, help="start the server again if it exits"
    )
    parser.add_argument(
        "--result-dir", type=Path, default=RESULTS, help="directory for report.html, run.json and the server's log"
    )
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
    arguments = [f"{flag}={value}" for flag, value in flags.items()]
    command = [sys.executable, "-m", "locust", "-f", str(HERE / "locustfile.py"), "--headless", "--only-summary"]
    # Locust's log repeats the verdict in a worse form; its errors are still shown.
    generator = subprocess.Popen([*command, "--skip-log-setup", *arguments, *more], process_group=0)
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
