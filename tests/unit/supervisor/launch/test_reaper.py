"""Reaping, in processes of its own: here it would take away the test runner's children."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import corepod
import pytest

SOURCES = str(Path(corepod.__file__).parents[1])

START = f"""
import os, signal, sys, time
sys.path.append({SOURCES!r})
from corepod.supervisor.launch import reaper
from corepod.supervisor.health.procfs import children

# Between TERM and KILL, and twice that from KILL on: this process itself may be held up for a while.
reaper.PATIENCE = 3.0
assert reaper.become_subreaper()

def child(code=0, pause=0.0, parent_of=0):
    pid = os.fork()
    if pid:
        return pid
    for _ in range(parent_of):
        if os.fork() == 0:
            time.sleep(pause)
            os._exit(code)
    if not parent_of:
        time.sleep(pause)
    os._exit(code)

def zombies():
    return [p for p in children() if open(f"/proc/{{p}}/stat").read().rpartition(")")[2].split()[0] == "Z"]

def until(condition):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "not in time"
        time.sleep(0.005)
"""


def run(code: str) -> str:
    """Run it as a subreaper; returns what it prints."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", START + code], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_owned_process_is_told_with_its_status() -> None:
    run("""
mine, killed = child(code=3), child(pause=60)
os.kill(killed, signal.SIGKILL)
until(lambda: len(zombies()) == 2)
dead = {pid: (code, status) for pid, code, status in reaper.reap([mine, killed], False)}
assert dead == {mine: (os.CLD_EXITED, 3), killed: (os.CLD_KILLED, signal.SIGKILL)}, dead
assert list(reaper.reap([mine, killed], False)) == []
""")


def test_a_living_one_is_left_alone() -> None:
    run("""
mine = child(pause=60)
assert list(reaper.reap([mine], False)) == []
assert children() == [mine]
os.kill(mine, signal.SIGKILL)
""")


@pytest.mark.parametrize("code", [0, 1, 3, 4, 255])
def test_orphans_are_reaped_in_silence_whatever_their_exit_code(code: int) -> None:
    run(f"""
mine = child(pause=60)
middle = child(code={code}, parent_of=20)
until(lambda: len(zombies()) == 21)
assert list(reaper.reap([mine], False)) == []
assert children() == [mine]
os.kill(mine, signal.SIGKILL)
""")


def test_the_death_among_a_crowd_of_orphans_is_seen() -> None:
    """One SIGCHLD may stand for all of them."""
    run("""
mine = child(code=7)
child(parent_of=300)
until(lambda: len(zombies()) == 302)
dead = list(reaper.reap([mine], False))
assert dead == [(mine, os.CLD_EXITED, 7)], dead
assert children() == []
""")


def test_one_that_dies_meanwhile_is_not_taken_for_a_stranger() -> None:
    """It died after it was looked at, and before the strangers are: its own signal brings the supervisor back."""
    run("""
mine = child(code=7)
until(lambda: len(zombies()) == 1)
reaper._reap_strangers({mine})
assert zombies() == [mine]
assert list(reaper.reap([mine], False)) == [(mine, os.CLD_EXITED, 7)]
""")


def test_strangers_are_kept_while_a_fork_is_under_way() -> None:
    """A worker may die before its pid is known."""
    run("""
unknown = child(code=7)
until(lambda: len(zombies()) == 1)
assert list(reaper.reap([], True)) == []
assert zombies() == [unknown]
assert list(reaper.reap([unknown], False)) == [(unknown, os.CLD_EXITED, 7)]
""")


def test_one_that_is_no_child_is_passed_over() -> None:
    run("assert list(reaper.reap([1], False)) == []")


def test_the_end_of_all_that_is_left() -> None:
    run("""
os.waitpid(child(parent_of=3, pause=60), 0)
child(pause=60)
stubborn = os.fork()
if stubborn == 0:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(60)
assert len(children()) == 5
until(lambda: int(open(f"/proc/{stubborn}/status").read().partition("SigIgn:")[2].split()[0], 16) >> 14 & 1)
assert len(reaper.end_descendants()) == 5
assert children() == []
""")


def test_the_end_of_a_tree_that_is_no_child_at_first() -> None:
    """Those below come up as children when what is above them is gone."""
    run("""
top = os.fork()
if top == 0:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    for _ in range(4):
        if os.fork():
            time.sleep(60)
            os._exit(0)
    time.sleep(60)
until(lambda: len(open(f"/proc/{top}/task/{top}/children").read().split()) == 1)
assert reaper.end_descendants()
assert children() == []
""")


def test_the_end_of_one_that_forks_and_exits_all_the_time() -> None:
    """Whoever looks for it finds its parent, which is gone. It gives up by itself, should nobody be quick enough."""
    run("""
end = time.monotonic() + 60
if os.fork() == 0:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while time.monotonic() < end:
        if os.fork():
            os._exit(0)
    os._exit(0)
until(lambda: len(zombies()) > 100)
reaper.end_descendants()
left = [p for p in children() if p not in zombies()]
assert time.monotonic() < end - 5, "it has ended by itself"
assert left == [], left
""")


def test_there_is_nothing_to_end() -> None:
    run("assert reaper.end_descendants() == []")


def test_what_is_ended_is_named_unless_it_is_the_pools_own() -> None:
    run("""
for name in ("corepod-worker", "sidecar"):
    if os.fork() == 0:
        open("/proc/self/comm", "w").write(name)
        time.sleep(60)
until(lambda: {open(f"/proc/{p}/comm").read() for p in children()} == {"corepod-worker\\n", "sidecar\\n"})
assert reaper.end_descendants() == ["sidecar"]
""")


# What a dead worker leaves in its group

FAMILY = """
def worker(end, *, own=True):
    ready, told = os.pipe()
    pid = os.fork()
    if pid:
        inside = int(os.read(ready, 20)) or None
        return pid, inside
    if own:
        os.setpgid(0, 0)
    inside = os.fork()
    if inside == 0:
        time.sleep(60)
        os._exit(0)
    os.write(told, str(inside).encode())
    if end is None:
        time.sleep(60)
    os._exit(end)

def dead(pid):
    return pid in zombies() or not os.path.exists(f"/proc/{pid}")

def reaped(pid, others=()):
    until(lambda: pid in zombies())
    return [one for one, _, _ in reaper.reap([pid, *others], False)]
"""


@pytest.mark.parametrize("end", ["1", "None"], ids=["exit code", "killed"])
def test_its_children_end_with_a_process_that_crashes(end: str) -> None:
    run(
        FAMILY
        + f"""
pid, inside = worker({end})
if {end} is None:
    os.kill(pid, signal.SIGKILL)
assert reaped(pid) == [pid]
until(lambda: dead(inside))
"""
    )


def test_its_children_are_left_alone_where_it_ends_in_order() -> None:
    run(
        FAMILY
        + """
pid, inside = worker(0)
assert reaped(pid) == [pid]
assert children() == [inside] and not dead(inside)
os.kill(inside, signal.SIGKILL)
"""
    )


def test_a_group_that_is_not_its_own_is_left_alone() -> None:
    """Where a sandbox forbids groups, it is that of the supervisor, or of other workers."""
    run(
        FAMILY
        + """
pid, inside = worker(1, own=False)
assert reaped(pid) == [pid]
assert not dead(inside)
leader, _ = worker(None)
member = child(pause=60)
os.setpgid(member, leader)
os.kill(leader, signal.SIGKILL)
assert reaped(leader, [member]) == [leader]
assert not dead(member)
for left in children():
    os.kill(left, signal.SIGKILL)
"""
    )
