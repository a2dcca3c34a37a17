"""What a process may say at each stage of its life. Whatever else is written costs its writer, and nobody else."""

from __future__ import annotations

import pytest
from corepod.contract.messages import (
    Activate,
    Armed,
    Drain,
    Failed,
    Fork,
    Handovers,
    Hello,
    Imported,
    InboxAnswer,
    InboxRequest,
    Lame,
    Load,
    Loaded,
    Malformed,
    Message,
    Readiness,
    Ready,
    Refused,
    Signalled,
    TurnAnswer,
    TurnRequest,
    Unforkable,
    Unpinned,
)
from corepod.supervisor.pool.protocol import LONGEST_WHY, STAGES
from corepod.supervisor.pool.state import Process, Stage

from tests.unit.supervisor.pool.system import System, running

SUPERVISORS: list[Message] = [
    *(Load("", {}, "", False), Fork(True, False), Activate(0, 1, None, 0, 0, 1), Lame(), Drain(1.0, 0.0)),
    *(InboxAnswer(1, 1, 0, [], [], 0, ""), Handovers("", 0, 1), TurnRequest(1, 1)),
]
MESSAGES: list[Message] = [
    *(Imported(), Armed(), Ready(), Loaded(True, ""), Loaded(False, "x"), Unforkable("x"), Refused("x")),
    *(Failed("missing", "", ""), Failed("exception", "no database", "Traceback")),
    *(Hello(), Signalled(), Unpinned("x"), Readiness(True, ""), InboxRequest(1, True, [], []), TurnAnswer(1, "")),
    *SUPERVISORS,
]
MISPLACED: list[tuple[Stage, Message | Malformed]] = [
    *((stage, message) for stage in Stage for message in MESSAGES if stage not in STAGES.get(type(message), ())),
    *((stage, Malformed("no such message", "{}")) for stage in Stage),
]
SHOWN = [f"{stage.value}-{message!r}" for stage, message in MISPLACED]
COSTLY = "killed, because it wrote to its control socket"


def one_at(stage: Stage) -> tuple[System, Process]:
    """A pool in which a process is at this stage."""
    system = System(1, preload="libraries")
    if stage in (Stage.TEMPLATE, Stage.ARMED, Stage.SERVING, Stage.DRAINING):
        system.settle()
    if stage is Stage.DRAINING:
        system.pool.drain(10.0, system.now)
    return system, system.until(stage)


def serves(system: System) -> bool:
    """Whether the pool goes on as if nothing had been."""
    system.settle()
    return system.pool.exit_code is None and system.worker().stage is Stage.SERVING


def test_each_message_to_the_supervisor_has_its_stages_and_no_message_of_the_supervisor_has() -> None:
    ours = {type(message) for message in SUPERVISORS}
    assert set(STAGES) == set(Message.__subclasses__()) - ours
    assert all(STAGES.values())


@pytest.mark.parametrize(("stage", "message"), MISPLACED, ids=SHOWN)
def test_a_message_that_a_process_has_no_reason_to_send_costs_the_process(
    stage: Stage, message: Message | Malformed
) -> None:
    system, process = one_at(stage)
    killed = set(system.killed)  # a stop has killed the template
    before = (process.stage, process.slot, process.failure, process.willing, system.pool.exit_code)
    with system.one_step():
        for _ in range(3):
            system.says(process, message)
            assert (process.stage, process.slot, process.failure, process.willing, system.pool.exit_code) == before
        if stage is Stage.FORKING:
            assert process in system.closed
        else:
            assert system.killed - killed == {process}
    assert sum(COSTLY in line for line in system.log.lines) == 1, "it is said once"
    if stage is not Stage.DRAINING:
        assert serves(system)
    system.pool.drain(10.0, system.now)
    system.wait(11.0)
    assert not system.alive


@pytest.mark.parametrize("message", [*MESSAGES, Malformed("no such message", "{}")], ids=repr)
def test_a_fork_that_begins_with_something_else_than_hello_is_ended(message: Message | Malformed) -> None:
    """Its pid is known from the packet's credentials."""
    if isinstance(message, Hello | Refused):
        return
    system = System(1)
    fork, pid = system.until(Stage.FORKING), system.child()
    with system.one_step():
        system.says(fork, message, pid)
        assert (system.alive[pid], fork.pid) == (fork, pid)
        assert system.killed == {fork}
    assert serves(system)


@pytest.mark.parametrize("pid", [0, -1, 1, 4711])
def test_hello_of_a_process_that_is_no_child_is_not_believed(pid: int) -> None:
    system = System(1)
    fork = system.until(Stage.FORKING)
    with system.one_step():
        system.says(fork, Hello(), pid)
    assert fork.pid == 0
    assert fork in system.closed
    assert not system.killed
    assert pid not in system.pool.processes.living
    assert serves(system)


def test_hello_of_a_process_that_is_there_already_costs_that_process() -> None:
    """The template has its children's sockets in its hands."""
    system = System(1)
    fork, template = system.until(Stage.FORKING), system.at(Stage.TEMPLATE)[0]
    with system.one_step():
        system.says(fork, Hello(), template.pid)
        assert (fork.pid, fork.stage) == (0, Stage.FORKING)
        assert system.pool.processes.living[template.pid] is template
        assert system.killed == {template}
    assert serves(system)


@pytest.mark.parametrize("message", [Readiness(False, "busy"), Ready(), Malformed("no such message", "{}")], ids=repr)
def test_a_process_that_writes_to_the_socket_of_another_one_is_the_one_to_pay(message: Message | Malformed) -> None:
    system = running()
    worker, template = system.worker(), system.at(Stage.TEMPLATE)[0]
    with system.one_step():
        system.says(worker, message, template.pid)
        assert system.killed == {template}
        assert (worker.willing, worker.stage) == (True, Stage.SERVING)
    assert serves(system)
    assert system.worker() is worker


def test_what_a_child_of_the_application_writes_is_its_workers() -> None:
    """It has inherited the socket, and may say what the worker may."""
    system = running()
    worker = system.worker()
    system.says(worker, Readiness(False, "warming"), 4711)
    assert not worker.willing
    with system.one_step():
        system.says(worker, Ready(), 4711)
        assert system.killed == {worker}
    assert system.log.has("its control socket (by process 4711)")


def test_what_was_said_before_the_process_was_told_to_drain_is_no_offence() -> None:
    for stage, message in (
        *((Stage.STARTING, message) for message in (Ready(), Unpinned("x"), Failed("exception", "", ""))),
        *((Stage.ARMING, message) for message in (Armed(), Failed("exception", "", ""))),
    ):
        system = running(standby="live")
        system.dies(system.worker())
        process = system.until(stage)
        system.pool.drain(10.0, system.now)
        system.says(process, message)
        assert not system.log.has(COSTLY)
        assert process.stage is Stage.DRAINING


@pytest.mark.parametrize("stage", [Stage.LOADING, Stage.ARMING, Stage.STARTING])
def test_a_process_that_has_failed_is_no_more_believed_and_ends_in_time(stage: Stage) -> None:
    system, process = one_at(stage)
    system.says(process, Failed("exception", "no database", ""))
    if stage is Stage.STARTING:
        system.says(process, Ready())
        system.says(process, Readiness(False, "x"))
        assert (process.stage, process.willing) == (Stage.STARTING, True)
    assert process not in system.killed
    system.wait(31.0)
    assert process in system.killed, "it stays for ever"
    assert serves(system)


def test_the_application_may_say_that_it_is_not_ready_and_why_it_cannot_be_pinned() -> None:
    system = System(1)
    worker = system.until(Stage.STARTING)
    for _ in range(2):
        system.says(worker, Unpinned("EINVAL"))
    assert system.slot().unpinned == "EINVAL"
    assert sum("is not pinned: EINVAL" in line for line in system.log.lines) == 1
    system.ready(worker)
    system.says(worker, Readiness(False, "warming"))
    assert (worker.willing, worker.unwilling_why) == (False, "warming")


def test_a_reason_is_one_short_line_and_an_empty_one_is_not_said_again_and_again() -> None:
    system = System(1)
    worker = system.until(Stage.STARTING)
    system.says(worker, Readiness(False, "\x1b[2J\n" + "x" * 60_000))
    assert worker.unwilling_why.startswith(r"\x1b[2J\nxxx")
    assert len(worker.unwilling_why) < 2 * LONGEST_WHY
    for _ in range(3):
        system.says(worker, Unpinned(""))
    assert sum("is not pinned" in line for line in system.log.lines) == 1
