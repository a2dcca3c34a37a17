"""The output of a local pool's workers, and the stacks they dump: pipes that are read, bounded, never in the way."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from corepod.supervisor.io import relay
from corepod.supervisor.io.loop import Loop
from corepod.supervisor.io.relay import CHUNK, LONGEST_LINE, Relay, Stacks

from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator


class Heard:
    """What the log is told."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.names: list[dict[str, object]] = []

    def relay(self, sink: object, line: bytes, who: dict[str, object]) -> None:
        self.lines.append(line)
        self.names.append(who)

    def warning(self, message: str, event: str = "", **who: object) -> None:
        self.lines.append(message.encode())
        self.names.append(who)


class Worker:
    """A pipe that is read by a relay or for stacks; the test is the worker."""

    def __init__(self, kind: type[Relay | Stacks]) -> None:
        self.loop, self.heard = Loop(), Heard()
        log: Any = self.heard
        sink: Any = None
        self.read_end, self.write_end = os.pipe()
        self.who: dict[str, object] = {"worker": 1}
        if kind is Relay:
            self.reader: Relay | Stacks = Relay(self.read_end, self.loop, log, sink, self)
        else:
            self.reader = Stacks(self.read_end, self.loop, log, self)

    def writes(self, data: bytes) -> list[bytes]:
        """The lines heard of it."""
        self.heard.lines.clear()
        while data:
            data = data[os.write(self.write_end, data[:4096]) :]
            self.turn()
        return list(self.heard.lines)

    def turn(self) -> int:
        return self.loop.wait(self.loop.now())

    def ends(self) -> None:
        os.close(self.write_end)
        self.write_end = -1

    def close(self) -> None:
        if self.write_end >= 0:
            self.ends()
            while self.turn():
                pass


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Worker]:
    """Its lines have all the time they need to end, however busy the machine is."""
    monkeypatch.setattr(relay, "PARTIAL", 1000.0)
    made = Worker(Relay)
    yield made
    made.close()


def test_lines(worker: Worker) -> None:
    assert worker.writes(b"one\n\ntwo\n") == [b"one", b"", b"two"]


def test_a_line_is_passed_on_when_it_is_complete(worker: Worker) -> None:
    assert worker.writes(b"half") == []
    assert worker.writes(b" and half\nnext") == [b"half and half"]


def test_a_last_line_without_an_end_is_not_lost(worker: Worker) -> None:
    worker.writes(b"no end")
    worker.ends()
    worker.turn()
    assert worker.heard.lines == [b"no end"]


def test_it_ends_with_its_last_writer(worker: Worker) -> None:
    """A grandchild that still has the pipe is still heard."""
    grandchild = os.dup(worker.write_end)
    worker.ends()
    os.write(grandchild, b"still here\n")
    worker.turn()
    assert worker.heard.lines == [b"still here"]
    os.close(grandchild)
    worker.turn()
    assert worker.turn() == 0
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(worker.read_end)


def test_a_line_whose_end_takes_long_is_passed_on(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """A question, or the dots of a progress bar: they wait for an answer, or their line ends in minutes."""
    assert worker.writes(b"name: ") == []
    written = worker.loop.now()
    for after, lines in ((relay.PARTIAL / 2, []), (relay.PARTIAL + 1.0, [b"name: "])):
        monkeypatch.setattr(worker.loop, "now", lambda now=written + after: now)
        worker.turn()
        assert worker.heard.lines == lines
    assert worker.writes(b"Ada\n") == [b"Ada"]


def test_a_line_that_ends_in_time_is_not_cut(worker: Worker) -> None:
    """Its pieces come one by one, each in time, and in all it takes longer."""
    for piece in (b"a", b"b", b"c"):
        assert worker.writes(piece) == []
    assert worker.writes(b"\n") == [b"abc"]


def test_lines_of_two_workers_stay_whole(worker: Worker) -> None:
    other = Worker(Relay)
    other.heard.lines = worker.heard.lines
    for piece in (b"A" * 3000, b"A" * 3000 + b"\n"):
        for one in (worker, other):
            os.write(one.write_end, piece)
            one.turn()
    assert worker.heard.lines == [b"A" * 6000] * 2
    other.close()


def test_a_line_without_an_end_does_not_fill_the_memory(worker: Worker) -> None:
    heard = worker.writes(b"x" * 10 * LONGEST_LINE) + worker.writes(b"end\n")
    assert b"".join(heard) == b"x" * 10 * LONGEST_LINE + b"end"
    assert max(map(len, heard)) <= LONGEST_LINE + CHUNK


def test_a_flood_leaves_the_others_their_turn(worker: Worker) -> None:
    """One read a wake-up, however much is there."""
    os.set_blocking(worker.write_end, False)
    os.write(worker.write_end, b"flood\n" * 10_000)
    heard = len(worker.heard.lines)
    worker.turn()
    assert heard < len(worker.heard.lines) <= CHUNK // 6 + 1


def test_a_new_name_holds_from_then_on(worker: Worker) -> None:
    worker.writes(b"standby\n")
    worker.who = {"worker": 2}
    worker.writes(b"worker\n")
    assert worker.heard.names == [{"worker": 1}, {"worker": 2}]


def test_bytes_are_left_as_they_are(worker: Worker) -> None:
    assert worker.writes(b"\xff\x00\xfe\r\n") == [b"\xff\x00\xfe\r"]


STACKS = b"".join(b'  File "app.py", line %d in handler\n' % number for number in range(10))


def test_stacks_come_as_one_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    """The interpreter writes them piece by piece, and would be cut in the middle of a line otherwise."""
    monkeypatch.setattr(relay, "GAP", 20_000)
    worker = Worker(Stacks)

    def dump() -> None:
        for at in range(0, len(STACKS), 7):
            os.write(worker.write_end, STACKS[at : at + 7])
            time.sleep(0.001)
        worker.ends()

    writer = threading.Thread(target=dump)
    writer.start()
    worker.loop.wait(worker.loop.now() + 10)
    writer.join()
    assert worker.heard.lines == [b"stacks:\n" + STACKS.rstrip()]


def test_stacks_without_end_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "STACKS_MOST", 1000)
    monkeypatch.setattr(relay, "GAPS", 10_000)  # a pause of this process is no end of a wake-up
    worker = Worker(Stacks)
    os.write(worker.write_end, b"x" * 1500)
    worker.turn()
    os.write(worker.write_end, b"y")
    worker.turn()
    assert [len(line) for line in worker.heard.lines] == [len(b"stacks:\n") + 1500, len(b"stacks:\n") + 1]
    worker.close()


def test_what_trickles_in_without_end_does_not_hold_the_supervisor(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker has the pipe in its hands, too: always a byte within the gap that ends stacks."""
    monkeypatch.setattr(relay, "GAP", 20)
    worker, over = Worker(Stacks), threading.Event()

    def trickle() -> None:
        while not over.is_set():
            os.write(worker.write_end, b"x")
            time.sleep(0.001)

    writer = threading.Thread(target=trickle)
    writer.start()
    try:
        # A turn whose time was over before it had read anything hears nothing.
        until(lambda: worker.turn() >= 0 and len(worker.heard.lines) == 2, "it came back, and was called again")
    finally:
        over.set()
        writer.join()
        worker.close()


def test_nothing_is_said_of_no_stacks() -> None:
    worker = Worker(Stacks)
    worker.close()
    assert worker.heard.lines == []


def test_stacks_are_kept_for_who_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "ANSWER", 0.0)
    worker, asked = Worker(Stacks), []
    reader = worker.reader
    assert isinstance(reader, Stacks)
    os.write(worker.write_end, b"early\n")
    worker.turn()
    assert reader.kept is None  # nobody wanted them
    reader.expect(lambda: asked.append("otherwise"))
    worker.turn()
    assert asked == ["otherwise"]
    os.write(worker.write_end, b"asked for\n")
    worker.turn()
    assert reader.kept == "asked for\n"
    reader.expect(lambda: asked.append("again"))
    assert reader.kept == ""
    os.write(worker.write_end, b"once more\n")
    reader._readable(0)
    worker.turn()
    assert asked == ["otherwise"]  # they have come in time
    monkeypatch.setattr(relay, "KEPT", -1.0)
    reader.expect(lambda: None)
    worker.turn()
    assert reader.kept is None
    worker.close()
