"""The processes of hooks, without a pool: what they are told, and what becomes of those that can't be started."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import TYPE_CHECKING, Any, get_type_hints

import pytest
from corepod import hooks as public
from corepod.contract.hooks import kind
from corepod.contract.messages import Failed
from corepod.supervisor.hooks import events
from corepod.supervisor.hooks.runner import Hooks
from corepod.supervisor.io.log import StreamLog
from corepod.supervisor.io.loop import Loop
from corepod.supervisor.launch import reaper
from corepod.supervisor.pool.exits import ExitReport
from corepod.supervisor.pool.state import Process, Slot, Stage
from corepod.supervisor.settings import Settings

from tests.waiting import until

if TYPE_CHECKING:
    from pathlib import Path


def process(*, stage: Stage = Stage.SERVING) -> Process:
    made = Process(stage, 1, 0.0)
    made.slot, made.number, made.pid = Slot(2, None), 5, 77
    return made


def report(reason: str, status: int, lost: int = 0) -> ExitReport:
    return ExitReport(reason, reason, "", lost, ["GET /a"] * lost, 1.5, status, 0)


EXAMPLES: dict[str, dict[str, Any]] = {
    "ready": events.ready(process(), 1.0),
    "exit": events.ended(process(), report("exit code 1", 1, 1), planned=False),
    "reload": events.reloaded("", 1.0),
    "give_up": events.gave_up(None, "why", 5),
}


@pytest.mark.parametrize("name", public.EVENTS)
def test_events_have_the_fields_of_their_type(name: str) -> None:
    event, of = EXAMPLES[name], public.EVENTS[name]
    assert event.pop("event") == name
    assert {"pool", "time", "supervisor", *event} == {one.name for one in fields(of)}
    declared = get_type_hints(of)
    for field, value in event.items():
        said = type(value) if not isinstance(value, list) else tuple
        among = getattr(declared[field], "__args__", ())
        assert said.__name__ in str(declared[field]) or value in among or said in among, field


@pytest.mark.parametrize(
    ("reason", "status", "planned", "expected"),
    [
        ("exit code 0", 0, True, "stopped"),
        ("exit code 0", 0, False, "exit"),
        ("exit code 3", 3, True, "exit"),
        ("signal SIGSEGV", 139, False, "signal"),
        ("oom", 137, False, "oom"),
        ("stuck", 137, False, "stuck"),
        ("busy", 137, False, "busy"),
        ("it didn't stop in time", 137, True, "killed"),
    ],
)
def test_kinds_of_ends(reason: str, status: int, planned: bool, expected: str) -> None:
    assert events.ended(process(), report(reason, status), planned=planned)["kind"] == expected


def test_a_failed_boot_says_why() -> None:
    worker = process(stage=Stage.STARTING)
    worker.failed(Failed("exception", "lifespan: no database\nmore", "Traceback"))
    event = events.ended(worker, report("exit code 3", 3), planned=False)
    assert (event["kind"], event["reason"]) == ("boot", "lifespan: no database")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://a.example/x", "webhook"),
        ("HTTP://a", "webhook"),
        ("shop:died", "function"),
        ("shop.notices:Notices.died", "function"),
        ("shop.py:died", "function"),
        ("notify", "command"),
        ("./notify:x", "command"),
        ("sh -c 'echo a:b'", "command"),
        ("ftp://a", "command"),
        ("shop:died now", "command"),
    ],
)
def test_what_a_value_is(text: str, expected: str) -> None:
    assert kind(text) == expected


class Bench:
    """Hooks, and the part of the supervisor that they need."""

    def __init__(self, python: str, **settings: Any) -> None:
        self.loop = Loop()
        self.log = StreamLog(self.loop, form="text", level="warning")
        values = {"on_ready": [], "on_exit": [], "on_reload": [], "on_give_up": [], "hook_timeout": 10.0, **settings}
        beside = {"profile": "pod", "python": python, "interpreter": [], "ld_preload": "", "log_file": "", "name": "p"}
        self.hooks = Hooks(Settings({**values, **beside, "values": values}), self.loop, self.log)

    def turn(self) -> bool:
        self.hooks.look(self.loop.now())
        pids = self.hooks.pids
        for pid, code, status in reaper.reap(pids, True, pids):
            self.hooks.on_exit(pid, reaper.as_exit(code, status, oom=False), self.loop.now())
        return not self.hooks.pids


def test_a_process_is_told_by_its_standard_input(tmp_path: Path) -> None:
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\ncat > {tmp_path}/told\n")
    program.chmod(0o700)
    bench = Bench(str(program), on_give_up=["notify a,b"])
    bench.hooks.gave_up(None, "x" * 100_000, 5)
    bench.hooks.reloaded("", 1.0)  # nobody wants to know
    until(bench.turn, "its end")
    told = json.loads((tmp_path / "told").read_text())
    assert (told["name"], told["value"], told["event"]["reason"]) == ("on_give_up", "notify a,b", "x" * 100_000)
    assert bench.hooks.counts() == {"on_give_up": {"done": 1, "failed": 0, "dropped": 0}}


def test_one_that_cannot_be_started_is_a_line(tmp_path: Path) -> None:
    bench = Bench(str(tmp_path / "none"), on_exit=["a", "b"])
    for _ in range(3):
        bench.hooks.exited(process(), report("exit code 1", 1), planned=False)
    assert bench.turn()
    assert bench.hooks.counts()["on_exit"] == {"done": 0, "failed": 6, "dropped": 0}
    said = [line for line in bench.log.recent.lines() if "can't be started: No such file" in line]
    assert len(said) == 6


def test_the_end_waits_within_a_bound(tmp_path: Path) -> None:
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\nexec sleep 600\n")
    program.chmod(0o700)
    bench = Bench(str(program), on_ready=["x"], hook_timeout=600.0)
    assert bench.hooks.finished(5.0, 0.0)  # nothing runs
    bench = Bench(str(program), on_ready=["x"], hook_timeout=600.0)
    bench.hooks.first_ready(process())
    bench.hooks.first_ready(process())
    assert not bench.turn()
    assert (bench.hooks.finished(5.0, 0.0), bench.hooks.finished(7.0, 4.9)) == (False, False)
    assert bench.hooks.deadline() == 5.0
    assert bench.hooks.finished(7.0, 5.0)
    bench.hooks.close()
    assert (bench.hooks.pids, bench.hooks.counts()["on_ready"]) == ([], {"done": 0, "failed": 1, "dropped": 1})
