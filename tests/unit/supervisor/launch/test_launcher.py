"""Control sockets and signals, with real processes: who has written what, and who is never signalled."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from corepod.contract.credentials import ANCILLARY
from corepod.contract.messages import PACKET, Armed, Hello, Load, Malformed, Message, Readiness
from corepod.supervisor.io.log import StreamLog
from corepod.supervisor.io.loop import Loop
from corepod.supervisor.launch.child import Child, is_child
from corepod.supervisor.launch.inboxes import Inboxes
from corepod.supervisor.launch.launcher import REST, SystemLauncher
from corepod.supervisor.pool.state import Process, Stage
from corepod.supervisor.settings import Settings

from tests.procfs import alive, state
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# In the place of the interpreter: a program that finds its control socket and does what the test says.
PROGRAM = """#!{python}
import json, os, signal, socket, sys, time
control = socket.socket(fileno=3)
control.recv(1 << 16)
def say(*packets):
    for packet in packets:
        control.send(packet)
{code}
signal.pause()
"""


class Desk:
    """A launcher, and what it hears."""

    def __init__(self, folder: Path) -> None:
        self.loop, self.folder = Loop(), folder
        self.heard: list[tuple[Message | Malformed | None, int]] = []
        self.board = os.memfd_create("board")
        self.processes: list[Process] = []
        log = StreamLog(self.loop, form="text", level="error")
        program = str(folder / "program")
        beside = {"profile": "pod", "python": program, "interpreter": [], "ld_preload": "", "values": {}}
        settings = Settings({**beside, "debug": False, "log_file": "", "sticky": False})
        self.launcher = SystemLauncher(self.loop, log, settings, self.board, [], self._hear, Inboxes(lambda: None))

    def _hear(self, process: Process, message: Message | Malformed | None, sender: int) -> None:
        self.heard.append((message, sender))

    def starts(self, code: str) -> Process:
        (self.folder / "program").write_text(PROGRAM.format(python=sys.executable, code=code))
        (self.folder / "program").chmod(0o700)
        process = Process(Stage.LOADING, 1, 0.0)
        process.has_pid(self.launcher.spawn(process, Load("", {}, "template", live=False)))
        self.processes.append(process)
        return process

    def turn(self) -> int:
        return self.loop.wait(self.loop.now() + 0.05)

    def hears(self, count: int) -> list[tuple[Message | Malformed | None, int]]:
        until(lambda: self.turn() < 0 or len(self.heard) >= count, f"{count} messages: {self.heard}")
        return self.heard

    def close(self) -> None:
        for process in self.processes:
            self.launcher.kill(process)
            if is_child(process.pid):
                os.waitpid(process.pid, 0)
            self.launcher.close(process)
        while self.turn():
            pass
        os.close(self.board)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.close()


def test_the_kernel_says_who_has_written_a_message(desk: Desk) -> None:
    """Also when the socket has been given away."""
    process = desk.starts("""
say(b'{"type": "armed"}')
if os.fork() == 0:
    say(json.dumps({"type": "readiness", "ready": True, "why": str(os.getpid())}).encode())
    os._exit(0)
""")
    (armed, writer), (said, other) = desk.hears(2)
    assert (armed, writer) == (Armed(), process.pid)
    assert isinstance(said, Readiness)
    assert other == int(said.why) != process.pid


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
@pytest.mark.root
def test_another_user_cannot_write_in_the_name_of_another_process(desk: Desk) -> None:
    desk.folder.chmod(0o755)
    process = desk.starts("""
import struct
def forge():
    credentials = struct.pack("3i", os.getppid(), os.getuid(), os.getgid())
    control.sendmsg([b'{"type": "hello"}'], [(socket.SOL_SOCKET, socket.SCM_CREDENTIALS, credentials)])
forge()  # the control: root may
os.setgroups([]); os.setgid(65534); os.setuid(65534)
try:
    forge()
except PermissionError:
    say(b'{"type": "hello"}')
""")
    assert desk.hears(2) == [(Hello(), os.getpid()), (Hello(), process.pid)]


def test_descriptors_that_come_with_a_packet_are_closed(desk: Desk) -> None:
    process = desk.starts("""
read, write = os.pipe()
for _ in range(20):
    socket.send_fds(control, [b'{"type": "armed"}'], [write] * 50)
os.close(write)
os.read(read, 1)  # until the last copy is gone
say(b'{"type": "hello"}')
""")
    open_before = set(os.listdir("/proc/self/fd"))
    heard = desk.hears(21)
    assert heard == [(Armed(), process.pid)] * 20 + [(Hello(), process.pid)]
    assert set(os.listdir("/proc/self/fd")) <= open_before


def test_what_is_no_message_is_told_with_its_beginning(desk: Desk) -> None:
    process = desk.starts(r"""
say(b"", b"\x1b[2J\n", b"x" * (1 << 17), b'{"type": "failed"}')
""")
    told = desk.hears(4)
    assert [sender for _, sender in told] == [process.pid] * 4
    packets = [message.packet for message, _ in told if isinstance(message, Malformed)]
    assert packets[:2] == ["", r"\x1b[2J\n"]
    assert set(packets[2]) == {"x", "."}
    assert packets[3:] == ['{"type": "failed"}']
    assert len(packets[2]) < 200 < PACKET


@pytest.mark.parametrize("how", ["control.close()", "control.shutdown(socket.SHUT_WR)", "os._exit(0)"])
def test_the_end_comes_once_whole_or_half(desk: Desk, how: str) -> None:
    process = desk.starts(f'say(b\'{{"type": "armed"}}\')\n{how}')
    assert desk.hears(2) == [(Armed(), process.pid), (None, 0)]
    desk.turn()
    assert len(desk.heard) == 2
    desk.launcher.send(process, Armed())  # nobody gets it, and that is no fault
    # A process that ends closes its files first, and is dead a moment later.
    until(lambda: not alive(process.pid) or how != "os._exit(0)", "dead, where that was its end")
    desk.launcher.kill(process)
    until(lambda: not alive(process.pid), "killed by its pidfd, which the end of the socket has left")


def test_one_that_does_not_read_holds_up_nobody(desk: Desk) -> None:
    process = desk.starts('control.shutdown(socket.SHUT_RD); say(b\'{"type": "armed"}\')')
    desk.hears(1)
    for _ in range(1000):
        desk.launcher.send(process, Readiness(True, "x" * 1000))


FLOOD = """
def flood():
    while True:
        say(b'{"type": "armed"}')
"""


def test_a_flood_leaves_the_others_their_turn(desk: Desk) -> None:
    desk.starts(FLOOD + "flood()")
    desk.hears(1)
    for _ in range(20):
        before = len(desk.heard)
        desk.turn()
        assert len(desk.heard) <= before + 1


def test_what_another_process_writes_for_ever_does_not_keep_the_dead_from_being_buried(desk: Desk) -> None:
    process = desk.starts(
        FLOOD
        + "if (child := os.fork()) == 0: flood()\n"
        + 'say(json.dumps({"type": "refused", "why": str(child)}).encode())'
    )
    child = 0
    try:
        until(lambda: desk.turn() >= 0 and any(not isinstance(m, Armed) for m, _ in desk.heard), "the child's pid")
        child = next(int(m.why) for m, _ in desk.heard if m is not None and hasattr(m, "why"))
        desk.launcher.kill(process)
        until(lambda: state(process.pid) == "Z", "dead")
        until(lambda: state(child) == "S", "the other one has filled the socket, which nobody reads meanwhile")
        before = len(desk.heard)
        desk.launcher.read_rest(process)
        assert 0 < len(desk.heard) - before <= REST
    finally:
        if child:
            os.kill(child, signal.SIGKILL)


# Whom it signals


def idle() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])


@pytest.mark.parametrize("pid", [0, -1, 1, 2**40, -(2**40), 4194305])
def test_what_is_no_child_is_not_adopted(desk: Desk, pid: int) -> None:
    process = Process(Stage.FORKING, 1, 0.0)
    assert not is_child(pid)
    assert not desk.launcher.adopt(process, pid)


def test_a_grandchild_is_not_adopted_and_a_dead_child_is(desk: Desk) -> None:
    with family() as (parent, grandchild):
        assert alive(grandchild)
        process = Process(Stage.FORKING, 1, 0.0)
        assert not desk.launcher.adopt(process, grandchild)
        parent.kill()
        until(lambda: state(parent.pid) == "Z", "dead, and not reaped")
        assert desk.launcher.adopt(process, parent.pid)
        desk.launcher.kill(process)
        desk.launcher.close(process)


@contextmanager
def family() -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A child and the pid of its child, which are gone at the end."""
    code = "import os, signal\nif p := os.fork(): print(p, flush=True)\nsignal.pause()"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        grandchild = int(parent.stdout.readline())
        try:
            yield parent, grandchild
        finally:
            parent.kill()
            os.kill(grandchild, signal.SIGKILL)


def without_pidfd(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(pid: int) -> int:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr("corepod.supervisor.launch.child.os.pidfd_open", refuse)


@pytest.mark.parametrize("old_kernel", [False, True], ids=["pidfd", "kernel without"])
def test_a_child_is_signalled_until_it_is_reaped_and_nobody_after_that(
    monkeypatch: pytest.MonkeyPatch, old_kernel: bool
) -> None:
    if old_kernel:
        without_pidfd(monkeypatch)
    process = idle()
    child = Child(process.pid)
    child.signal(signal.SIGKILL)
    process.wait()
    # Its pid may be anybody's now: a grandchild of the test's stands for whose it is.
    with family() as (_, somebody):
        child.pid = somebody
        child.signal(signal.SIGKILL)
        assert alive(somebody)
    child.close()
    child.close()


def test_no_descriptor_is_left_for_a_pidfd(monkeypatch: pytest.MonkeyPatch) -> None:
    without_pidfd(monkeypatch)
    process = idle()
    child = Child(process.pid)
    child.signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


def test_one_packet_has_no_room_for_more_than_its_writer() -> None:
    """The kernel would put descriptors behind the credentials, where there were room for them."""
    assert socket.CMSG_SPACE(12) + socket.CMSG_LEN(4) > ANCILLARY
