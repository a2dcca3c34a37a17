"""What a process may say at each stage of its life; whatever else it says changes nothing."""

from __future__ import annotations

import pytest
from corepod.contract.messages import (
    Armed,
    Hello,
    Imported,
    Loaded,
    Message,
    Readiness,
    Ready,
    Refused,
    Unforkable,
    Unpinned,
)
from corepod.supervisor.pool.state import Process, Stage

from tests.unit.supervisor.pool.system import System, running

MESSAGES: list[Message] = [
    *(Imported(), Armed(), Ready(), Loaded(True, ""), Loaded(False, "x"), Unforkable("x"), Refused("x")),
    *(Hello(1), Hello(4711), Unpinned("x"), Readiness(True, "")),
]
REASONS: dict[Stage, tuple[type[Message], ...]] = {
    Stage.LOADING: (Loaded,),
    Stage.TEMPLATE: (Unforkable,),
    Stage.FORKING: (Hello, Refused),
    Stage.IMPORTING: (Imported,),
    Stage.ARMING: (Armed,),
    Stage.STARTING: (Ready,),
}
MISPLACED = [
    (stage, message) for stage in Stage for message in MESSAGES if not isinstance(message, REASONS.get(stage, ()))
]


def one_at(stage: Stage) -> tuple[System, Process]:
    """A pool in which a process is at this stage."""
    system = System(1, preload="libraries")
    if stage in (Stage.TEMPLATE, Stage.ARMED, Stage.SERVING, Stage.DRAINING):
        system.settle()
    if stage is Stage.DRAINING:
        system.pool.drain(10.0, system.now)
    return system, system.until(stage)


@pytest.mark.parametrize(("stage", "message"), MISPLACED, ids=[f"{s.value}-{m!r}" for s, m in MISPLACED])
def test_a_message_that_a_process_has_no_reason_to_send_changes_nothing(stage: Stage, message: Message) -> None:
    system, process = one_at(stage)
    before = (process.stage, process.pid, set(system.pool.processes.living), len(system.killed), set(system.open))
    system.says(process, message)
    after = (process.stage, process.pid, set(system.pool.processes.living), len(system.killed), set(system.open))
    assert before == after
    system.settle()


def test_a_fork_is_no_process_that_is_there_already() -> None:
    system = System(1)
    fork, template = system.until(Stage.FORKING), system.at(Stage.TEMPLATE)[0]
    system.says(fork, Hello(template.pid))
    assert (fork.pid, fork.stage) == (0, Stage.FORKING)
    assert system.pool.processes.living[template.pid] is template


def test_the_application_may_say_that_it_is_not_ready_and_why_it_cannot_be_pinned() -> None:
    system = running()
    system.says(system.worker(), Readiness(False, "warming"))
    assert (system.worker().willing, system.worker().unwilling_why) == (False, "warming")
    for _ in range(2):
        system.says(system.worker(), Unpinned("EINVAL"))
    assert system.slot().unpinned == "EINVAL"
    assert sum("is not pinned: EINVAL" in line for line in system.log.lines) == 1
