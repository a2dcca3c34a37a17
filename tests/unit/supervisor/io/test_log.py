"""The log: nothing that happens to its descriptors stops the supervisor, and what is lost is counted and told."""

from __future__ import annotations

import fcntl
import json
import os
import re
import resource
import select
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from corepod.supervisor.io.log import StreamLog
from corepod.supervisor.io.loop import Loop
from corepod.supervisor.io.sink import QUEUE_BYTES, Sink

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
LINE = b"x" * 999 + b"\n"


@pytest.fixture
def loop() -> Loop:
    return Loop()


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    made.close()


class Pipe:
    """A pipe whose reader is the test."""

    def __init__(self) -> None:
        self.read_end, self.write_end = os.pipe()
        os.set_blocking(self.read_end, False)

    def read(self) -> bytes:
        data = b""
        while True:
            try:
                part = os.read(self.read_end, 1 << 16)
            except BlockingIOError:
                return data
            if not part:
                return data
            data += part

    def fill(self) -> None:
        """Until it takes nothing more."""
        os.set_blocking(self.write_end, False)
        for size in (4096, 1):
            try:
                while True:
                    os.write(self.write_end, b"f" * size)
            except BlockingIOError:
                continue
        os.set_blocking(self.write_end, True)

    def close(self) -> None:
        for fd in (self.read_end, self.write_end):
            if fd >= 0:
                os.close(fd)

    def close_reader(self) -> None:
        os.close(self.read_end)
        self.read_end = -1


@pytest.fixture
def make_log(monkeypatch: pytest.MonkeyPatch, loop: Loop) -> Callable[..., StreamLog]:
    """A log whose standard output and error are other descriptors."""

    def make(out: int, err: int, form: str = "text", level: str = "info", **more: Any) -> StreamLog:
        fds = {1: out, 2: err}
        monkeypatch.setattr("corepod.supervisor.io.log.Sink", lambda fd, loop: Sink(fds[fd], loop))
        return StreamLog(loop, form=form, level=level, **more)

    return make


def lines(pipe: Pipe) -> list[str]:
    return pipe.read().decode().splitlines()


# The sink


def test_what_is_written_arrives_at_once(pipe: Pipe, loop: Loop) -> None:
    Sink(pipe.write_end, loop).write(b"a line\n")
    assert pipe.read() == b"a line\n"


def test_a_full_pipe_blocks_nobody_and_goes_on_when_it_is_read(pipe: Pipe, loop: Loop) -> None:
    pipe.fill()
    sink = Sink(pipe.write_end, loop)
    assert sink.full
    for number in range(10):
        sink.write(b"%d\n" % number)
    assert sink.dropped == 0
    pipe.read()
    loop.wait(loop.now() + 10)
    assert pipe.read() == b"".join(b"%d\n" % number for number in range(10))
    assert not sink.waiting


def test_the_descriptor_of_others_stays_blocking(pipe: Pipe, loop: Loop) -> None:
    """O_NONBLOCK belongs to the open file, which the workers and the terminal's shell share."""
    Sink(pipe.write_end, loop).write(b"x\n")
    assert not fcntl.fcntl(pipe.write_end, fcntl.F_GETFL) & os.O_NONBLOCK


def test_the_queue_is_bounded_and_what_is_dropped_is_counted(pipe: Pipe, loop: Loop) -> None:
    pipe.fill()
    sink = Sink(pipe.write_end, loop)
    for _ in range(1000):
        sink.write(LINE)
    assert sink.dropped == 1000 - QUEUE_BYTES // len(LINE)
    received = b""
    while sink.waiting:
        received += pipe.read()
        loop.wait(loop.now() + 10)
    received += pipe.read()
    assert received.lstrip(b"f").count(LINE) == 1000 - sink.dropped


def test_a_line_larger_than_the_pipe_comes_whole(loop: Loop, pipe: Pipe) -> None:
    sink = Sink(pipe.write_end, loop)
    text = b"y" * 200_000 + b"\n"
    sink.write(text)
    received = pipe.read()
    while len(received) < len(text):
        loop.wait(loop.now() + 10)
        received += pipe.read()
    assert received == text


def test_a_reader_that_is_gone_costs_lines_and_no_wake_ups(pipe: Pipe, loop: Loop) -> None:
    pipe.fill()
    sink = Sink(pipe.write_end, loop)
    sink.write(b"queued\n")
    pipe.close_reader()
    loop.wait(loop.now() + 10)
    assert sink.dropped == 1
    sink.write(b"lost\n")
    assert sink.dropped == 2
    assert loop.wait(loop.now()) == 0


def test_a_pipe_without_a_reader_from_the_start(pipe: Pipe, loop: Loop) -> None:
    pipe.close_reader()
    sink = Sink(pipe.write_end, loop)
    sink.write(b"lost\n")
    assert sink.dropped == 1


def test_a_full_disk_costs_lines(loop: Loop) -> None:
    with open("/dev/full", "wb", buffering=0) as full:
        sink = Sink(full.fileno(), loop)
        for _ in range(5):
            sink.write(b"lost\n")
        assert sink.dropped == 5
        assert loop.wait(loop.now()) == 0


def test_a_file_is_never_waited_for(tmp_path: Path, loop: Loop) -> None:
    with (tmp_path / "log").open("wb", buffering=0) as file:
        sink = Sink(file.fileno(), loop)
        sink.write(b"one\n")
        sink.write(b"two\n")
    assert (tmp_path / "log").read_bytes() == b"one\ntwo\n"


def test_a_file_that_may_not_grow_costs_lines(tmp_path: Path, loop: Loop) -> None:
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limit[1]))
    try:
        with (tmp_path / "log").open("wb", buffering=0) as file:
            sink = Sink(file.fileno(), loop)
            for _ in range(10):
                sink.write(LINE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, previous)
    assert sink.dropped == 6


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # it is never closed, as in real life
def test_a_socket_is_written_without_blocking(loop: Loop) -> None:
    """journald hands out sockets."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        sink = Sink(ours.fileno(), loop)
        for _ in range(2000):
            sink.write(LINE)
        assert sink.dropped
        received = 0
        while sink.waiting:
            received += len(theirs.recv(1 << 20))
            loop.wait(loop.now())
        assert received


SOMEBODY_ELSE = """
import os, sys, time
sys.path.insert(0, {sources!r})
from corepod.supervisor.io.loop import Loop
from corepod.supervisor.io.sink import Sink
os.setgroups([]); os.setgid(65534); os.setuid(65534)
try:
    os.open("/proc/self/fd/1", os.O_WRONLY)
except PermissionError:
    loop = Loop()
    sink = Sink(1, loop)
    for _ in range(1000):
        sink.write(b"x" * 999 + b"\\n")
    print(sink.dropped, sink.full, file=sys.stderr)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
@pytest.mark.root
def test_a_full_pipe_of_another_user_blocks_nobody(pipe: Pipe) -> None:
    """It may not be opened anew, so it is written through the shared description."""
    os.fchmod(pipe.write_end, 0o600)
    code = SOMEBODY_ELSE.format(sources=os.path.dirname(os.path.dirname(sys.modules["corepod"].__file__ or "")))
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], stdout=pipe.write_end, stderr=subprocess.PIPE, timeout=30, check=True
    )
    dropped, full = done.stderr.decode().split()
    assert int(dropped) > 500
    assert full == "True"


# The log


def test_text(pipe: Pipe, make_log: Callable[..., StreamLog]) -> None:
    log = make_log(pipe.write_end, pipe.write_end)
    log.info("hello")
    log.error("it died", worker=3, slot=0, core=None, pid=77)
    first, second = lines(pipe)
    assert re.fullmatch(STAMP + " INFO    hello", first)
    assert re.fullmatch(STAMP + r" ERROR   \[worker 3 slot 0 pid 77\] it died", second)


def test_json(pipe: Pipe, make_log: Callable[..., StreamLog]) -> None:
    log = make_log(pipe.write_end, pipe.write_end, form="json")
    log.warning('a "quoted"\nline', worker=3, core=None)
    record = json.loads(pipe.read())
    assert re.fullmatch(STAMP, record.pop("time"))
    assert record == {"level": "warning", "worker": 3, "core": None, "message": 'a "quoted"\nline'}


def test_less_than_the_level_is_left_out(pipe: Pipe, make_log: Callable[..., StreamLog]) -> None:
    log = make_log(pipe.write_end, pipe.write_end, level="warning")
    log.debug("no")
    log.info("no")
    log.warning("yes")
    assert [line.split()[-1] for line in lines(pipe)] == ["yes"]


@pytest.mark.parametrize("form", ["text", "json"])
def test_text_that_is_no_utf_8_can_be_logged(pipe: Pipe, make_log: Callable[..., StreamLog], form: str) -> None:
    log = make_log(pipe.write_end, pipe.write_end, form=form)
    log.error("a path: \udcff")
    log.relay(log.out, b"bytes: \xff\xfe", {"worker": 1})
    assert len(pipe.read().splitlines()) == 2


def test_output_of_workers_is_named(make_log: Callable[..., StreamLog]) -> None:
    out, err = Pipe(), Pipe()
    log = make_log(out.write_end, err.write_end)
    log.relay(log.out, b"said", {"worker": 2, "slot": 1, "core": None, "pid": 9})
    log.relay(log.err, b"complained", {"worker": 2})
    assert lines(out) == ["worker 2 slot 1 pid 9 | said"]
    assert lines(err) == ["worker 2 | complained"]
    for pipe in (out, err):
        pipe.close()


def merged(pipe: Pipe, make_log: Callable[..., StreamLog], line: bytes) -> dict[str, Any]:
    log = make_log(pipe.write_end, pipe.write_end, form="json")
    log.relay(log.out, line, {"worker": 2, "slot": 0, "core": None, "pid": 9})
    record: dict[str, Any] = json.loads(pipe.read())
    return record


def test_a_line_that_is_json_already_gets_its_workers_name(pipe: Pipe, make_log: Callable[..., StreamLog]) -> None:
    line = b'{"time": "then", "level": "error", "worker": 2, "message": "it failed", "sku": [7]}'
    assert merged(pipe, make_log, line) == {
        **json.loads(line),
        **{"slot": 0, "core": None, "pid": 9},
    }


def test_an_applications_own_json_gets_a_time_too(pipe: Pipe, make_log: Callable[..., StreamLog]) -> None:
    record = merged(pipe, make_log, b'{"event": "sold"}')
    assert re.fullmatch(STAMP, record["time"])
    assert (record["event"], record["worker"]) == ("sold", 2)
    assert "message" not in record


def test_no_line_passes_for_another_workers(pipe: Pipe, make_log: Callable[..., StreamLog]) -> None:
    record = merged(pipe, make_log, b'{"worker": 1, "pid": "theirs", "message": "died"}')
    assert (record["worker"], record["worker_"], record["pid"], record["pid_"]) == (2, 1, 9, "theirs")


@pytest.mark.parametrize(
    "line",
    [b"{", b'{"cut": "off', b'{"a": NaN}', b"{1}", b'{"a": "\xff"}', b"[1]", b"{} {}", b'"text"'],
    ids=lambda line: line[:10],
)
def test_what_only_looks_like_json_is_text(pipe: Pipe, make_log: Callable[..., StreamLog], line: bytes) -> None:
    record = merged(pipe, make_log, line)
    assert record["message"] == line.decode("utf-8", "backslashreplace")
    assert record["stream"] == "stdout"


@pytest.mark.parametrize("depth", [3000, 100_000])
def test_json_may_be_nested_as_deep_as_it_likes(pipe: Pipe, make_log: Callable[..., StreamLog], depth: int) -> None:
    """How deep is too deep depends on the version of Python; then it is text."""
    log = make_log(pipe.write_end, pipe.write_end, form="json")
    log.relay(log.out, b'{"a": ' + b"[" * depth + b"]" * depth + b"}", {"worker": 2})
    assert log.dropped == 0


def test_a_line_longer_than_the_queue_is_not_lost(pipe: Pipe, make_log: Callable[..., StreamLog]) -> None:
    log = make_log(pipe.write_end, pipe.write_end)
    log.relay(log.out, b"x" * (QUEUE_BYTES + 1), {"worker": 1})
    assert log.dropped == 0


@pytest.mark.parametrize("prefix", [["stdout"], ["stderr"], []])
def test_only_where_names_are_wanted(make_log: Callable[..., StreamLog], prefix: list[str]) -> None:
    out, err = Pipe(), Pipe()
    log = make_log(out.write_end, err.write_end, prefix=prefix)
    log.relay(log.out, b"said", {"worker": 2})
    log.relay(log.err, b"\xffcomplained", {"worker": 2})
    log.info("ready", worker=2)
    assert out.read() == (b"worker 2 | " if "stdout" in prefix else b"") + b"said\n"
    complaint, own = err.read().splitlines()
    assert complaint == (b"worker 2 | " if "stderr" in prefix else b"") + b"\\xffcomplained"
    assert own.endswith(b" INFO    [worker 2] ready")
    for pipe in (out, err):
        pipe.close()


def test_a_line_that_is_longer_than_the_queue_has_room_where_nothing_waits(
    pipe: Pipe, loop: Loop, make_log: Callable[..., StreamLog]
) -> None:
    log = make_log(pipe.write_end, pipe.write_end, prefix=())
    line, got = b"x" * (QUEUE_BYTES + 100_000), b""
    log.relay(log.out, line, {})
    log.relay(log.out, b"lost", {})
    while log.out.waiting:
        got += pipe.read()
        loop.wait(loop.now() + 10)
    assert got + pipe.read() == line + b"\n"
    assert log.dropped == 1


def test_output_of_workers_as_json(pipe: Pipe, make_log: Callable[..., StreamLog]) -> None:
    log = make_log(pipe.write_end, pipe.write_end, form="json")
    log.relay(log.err, b"complained", {"worker": 2})
    record = json.loads(pipe.read())
    del record["time"]
    assert record == {"stream": "stderr", "worker": 2, "message": "complained"}


def test_a_gap_is_told_once_and_after_the_first_line_that_gets_through(
    pipe: Pipe, loop: Loop, make_log: Callable[..., StreamLog]
) -> None:
    log = make_log(pipe.write_end, pipe.write_end)
    pipe.fill()
    for _ in range(1000):
        log.relay(log.out, LINE[:-1], {"worker": 1})
    dropped = log.dropped
    assert dropped > 500
    while log.out.waiting:
        pipe.read()
        loop.wait(loop.now() + 10)
    pipe.read()
    for number in range(3):
        log.relay(log.out, b"%d" % number, {"worker": 1})
    after = lines(pipe)
    assert re.fullmatch(STAMP + rf" WARNING {dropped} line\(s\) of this log were dropped: .*", after.pop(1))
    assert after == [f"worker 1 | {number}" for number in range(3)]
    assert log.dropped == dropped


def test_nothing_is_told_where_every_line_is_lost(make_log: Callable[..., StreamLog]) -> None:
    with open("/dev/full", "wb", buffering=0) as full:
        log = make_log(full.fileno(), full.fileno())
        for _ in range(5):
            log.info("lost")
        assert log.dropped == 5


READER = """
import os
data = b""
while b"the last words\\n" not in data:
    data += os.read(0, 100)
"""


def test_its_end_waits_for_a_slow_reader(pipe: Pipe, loop: Loop, make_log: Callable[..., StreamLog]) -> None:
    log = make_log(pipe.write_end, pipe.write_end)
    pipe.fill()
    log.info("the last words")
    os.set_blocking(pipe.read_end, True)
    reader = subprocess.Popen([sys.executable, "-c", READER], stdin=pipe.read_end)
    log.close(30)
    assert not log.err.waiting
    assert reader.wait(30) == 0


def test_its_end_waits_no_longer_than_it_may(pipe: Pipe, make_log: Callable[..., StreamLog]) -> None:
    log = make_log(pipe.write_end, pipe.write_end)
    pipe.fill()
    log.info("nobody reads this")
    started = time.monotonic()
    log.close(0.2)
    assert 0.2 <= time.monotonic() - started < 10
    assert log.err.waiting


def test_a_fault_of_the_supervisor_is_logged_whole(
    pipe: Pipe, make_log: Callable[..., StreamLog], monkeypatch: pytest.MonkeyPatch
) -> None:
    log = make_log(pipe.write_end, pipe.write_end)
    monkeypatch.setattr(sys, "excepthook", log.fault)
    loop = Loop()
    read, write = os.pipe()
    loop.add(read, select.EPOLLIN, lambda mask: [][1])
    os.write(write, b"x")
    loop.wait(loop.now() + 10)
    text = pipe.read().decode()
    assert "ERROR   internal error\n  | Traceback" in text
    assert text.endswith("IndexError: list index out of range\n")
    os.close(read)
    os.close(write)


def test_a_fault_is_logged_where_its_traceback_cannot_be_shown(
    pipe: Pipe, make_log: Callable[..., StreamLog], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "traceback", None)  # importing it fails
    log = make_log(pipe.write_end, pipe.write_end)
    log.fault(ValueError, ValueError("no such thing"), None)
    assert "ValueError: no such thing (its traceback can't be shown)" in pipe.read().decode()
