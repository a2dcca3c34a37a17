"""One hook's queue: one at a time, in order, for no longer than it may take, and never without end."""

from __future__ import annotations

from corepod.supervisor.hooks.queue import WAIT_MOST, HookQueue


def queue() -> HookQueue:
    return HookQueue("on_exit", "notify a,b", 10.0)


def test_one_at_a_time_and_in_order() -> None:
    hook = queue()
    assert not hook.busy
    for number in range(3):
        hook.add({"n": number})
    for number in range(3):
        assert hook.take() == {"n": number}
        hook.began(7, 100.0)
        assert hook.take() is None
        assert hook.ended("", 101.0) == ""
    assert (hook.busy, hook.done, hook.failed, hook.dropped) == (False, 3, 0, 0)


def test_it_is_killed_once_when_its_time_is_over() -> None:
    hook = queue()
    hook.began(7, 100.0)
    assert (hook.kill_at, hook.late(109.9), hook.late(110.0)) == (110.0, False, True)
    hook.killed("too late")
    assert (hook.kill_at, hook.late(200.0)) == (None, False)
    assert hook.ended("signal SIGKILL", 111.0) == "too late after 11.0 s"
    hook.began(8, 300.0)
    assert hook.kill_at == 310.0
    assert hook.ended("exit code 3", 300.5) == "exit code 3 after 0.5 s"
    assert (hook.done, hook.failed) == (0, 2)


def test_too_many_are_dropped_and_said_once() -> None:
    hook = queue()
    for number in range(WAIT_MOST + 5):
        hook.add({"n": number})
    assert (hook.dropped, hook.untold()) == (5, 0)
    assert hook.take() == {"n": 0}
    assert (hook.untold(), hook.untold()) == (5, 0)
    hook.give_up()
    assert hook.dropped == WAIT_MOST - 1 + 5
    assert hook.untold() == WAIT_MOST - 1
    assert not hook.busy


def test_secrets_stay_out_of_the_log() -> None:
    assert queue().shown == "notify"
    assert HookQueue("on_exit", "https://hooks.example.com/T0/secret?x=1", 1.0).shown == "https://hooks.example.com"
    assert HookQueue("on_exit", "shop.notices:died", 1.0).shown == "shop.notices:died"
