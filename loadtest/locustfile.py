"""`locust -f loadtest/locustfile.py --host http://127.0.0.1:8000`: docs/loadtest.md."""

from __future__ import annotations

import logging
import sys
import threading
import time
from pathlib import Path
from typing import Any

import gevent
import locust
import locust.runners
from locust.runners import MasterRunner, WorkerRunner

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # Locust looks beside this file only

from loadtest.chaos import actions  # noqa: F401  they are registered by being imported
from loadtest.chaos.pool import Pool, Signed
from loadtest.chaos.schedule import Schedule
from loadtest.flags import add_flags, chaos_of, limits_of
from loadtest.recorder import Recorder
from loadtest.report.page import render
from loadtest.report.table import show
from loadtest.run import Run
from loadtest.shape import Plan
from loadtest.talker import Talker
from loadtest.users import Arrivals, Browser, KeptArrivals, KeptReports, Reports, Waiter

__all__ = ["Arrivals", "Browser", "KeptArrivals", "KeptReports", "Plan", "Reports", "Talker", "Waiter"]
LOG = logging.getLogger("corepod.loadtest")
EXIT_FLAGS = 2  # the options can't be fulfilled; nothing was started
CHAOS_ENDS = 60.0  # seconds that a fault under way may take beyond the end of the load

events: Any = locust.events
recorder = Recorder()
# How many heartbeats of a worker (one a second) may be missing. On a busy node Locust's default of 3 is soon reached,
# and the run ends with its last worker.
locust.runners.HEARTBEAT_LIVENESS = 20
state: dict[str, Any] = {"workers": 0, "over": threading.Event(), "chaos": None, "earlier": None}
events.init_command_line_parser.add_listener(add_flags)
recorder.listen(events)  # before the listeners below: a run begins empty


@events.init.add_listener
def set_up(environment: Any, web_ui: Any, **_: Any) -> None:
    """Check the options before anything starts, and install the listeners."""
    options = environment.parsed_options
    try:
        chaos_of(options)
        state["earlier"] = Run.read(Path(options.compare)) if options.compare else None
    except (ValueError, OSError) as error:
        print(f"loadtest: {error}", file=sys.stderr)
        sys.exit(EXIT_FLAGS)
    if isinstance(environment.shape_class, Plan):
        environment.shape_class.recorder, environment.shape_class.limits = recorder, limits_of(options)
    if web_ui:
        from loadtest.tab import extend

        extend(web_ui, lambda: recorder.tally, lambda: finished(environment))


@events.test_start.add_listener
def start(environment: Any, **_: Any) -> None:
    if not isinstance(environment.runner, MasterRunner):
        gevent.spawn(measure)
    state["over"] = threading.Event()
    options = environment.parsed_options
    if isinstance(environment.runner, WorkerRunner) or not (options.admin or options.chaos):
        return
    target = (
        Pool(environment.host, options.admin, options.chaos_lasts)
        if options.admin
        else Signed(environment.host, options.chaos_lasts)
    )
    state["workers"] = target.workers
    if names := chaos_of(options):
        state["chaos"] = threading.Thread(target=chaos, args=(environment, target, names), daemon=True)
        state["chaos"].start()


def measure() -> None:
    over = state["over"]
    while not over.is_set():
        recorder.measure()
        over.wait(1.0)


def chaos(environment: Any, target: Pool | Signed, names: list[str]) -> None:
    options, over, began = environment.parsed_options, state["over"], time.monotonic()

    def ends_within(seconds: float) -> bool:
        left = options.run_time - (time.monotonic() - began) if options.run_time else float("inf")
        return over.is_set() or left <= seconds

    Schedule(options.chaos_after, options.chaos_every, options.chaos_deadline).run(
        target, names, recorder.events.append, ends_within
    )


@events.test_stopping.add_listener
def stopping(**_: Any) -> None:
    recorder.ended = time.time()
    state["over"].set()


@events.quitting.add_listener
def quitting(environment: Any, **_: Any) -> None:
    """The verdict, the report, and the exit code."""
    if isinstance(environment.runner, WorkerRunner):
        return
    state["over"].set()
    if state["chaos"]:
        state["chaos"].join(CHAOS_ENDS)
    run = finished(environment)
    show(run)
    environment.process_exit_code = run.verdict.exit_code
    options = environment.parsed_options
    if options.result_dir:
        folder = Path(options.result_dir)
        run.write(folder / "run.json")
        (folder / "report.html").write_text(render(run, state["earlier"]))


def finished(environment: Any) -> Run:
    """The run so far."""
    options, shape = environment.parsed_options, environment.shape_class
    about = {"target": environment.host or "", "shape": options.shape, "users": str(options.num_users or 1)}
    run = Run(
        started=recorder.started,
        ended=recorder.ended or time.time(),
        tally=recorder.tally,
        events=list(recorder.events),
        about=about,
        limits=limits_of(options),
        cpu=recorder.cpu,
        workers=state["workers"],
    )
    if isinstance(shape, Plan) and shape.steps:
        run.steps, run.highest = [vars(step) for step in shape.steps], shape.highest
    run.settle()
    return run
