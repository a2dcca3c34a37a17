"""A pool in the background: started, watched until it is ready, and left alone then."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import signal
import stat
import subprocess
import sys
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from corepod.contract import runtime
from corepod.contract.escaping import CONTINUED, everything, from_bytes
from corepod.contract.exits import EXIT_FAILED, EXIT_LATE, EXIT_SETTINGS
from corepod.local import logfiles, streams
from corepod.local.client import running
from corepod.local.launch import command
from corepod.local.pools import CommandError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType
    from typing import NoReturn

    from corepod.config.resolve import Effective

LOOK = 0.1  # seconds between two looks at the log of a pool that starts
SHOWN = 500  # lines of the log that tell why a pool didn't start
LONGEST_NAME = 240  # a file's name has 255 bytes, of which rotation needs some
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class _Stopped(BaseException):
    """A signal has come; the argument is its number."""


def start(effective: Effective, environment: dict[str, str], *, timeout: float) -> dict[str, Any]:
    """Run the pool in the background and wait until it is ready: a worker serves, and no slot waits for its first one.

    `effective` has absolute paths (`local.launch.prepare`). `timeout` in seconds. Returns name, pid, binds, admin,
    control and log. Raises CommandError when it isn't ready in time, or ends; then nothing is left of it but its log.
    Progress, and the log of a start that fails, are written to standard error.
    """
    streams.complete()
    values = effective.values
    name = runtime.names(values["name"] or values["app"].partition(":")[0])[0]
    if not values["control"]:
        _refuse_second(name)
    chosen = values["log_file"]
    path = values["log_file"] = chosen or _log_file(name)
    log = _open_log(path)
    if not chosen and not _is_free(log):
        raise CommandError(
            f"a pool called {name} runs already, and its log is {path}: --name gives this one another name, --log-file "
            "another log",
            EXIT_FAILED,
        )
    follower = logfiles.Follower(path if stat.S_ISREG(os.fstat(log).st_mode) else os.devnull)
    ours, theirs = os.pipe()
    argv, environment = command(effective, environment, False, "", None, starter=theirs)
    with _signals(), contextlib.ExitStack() as stack:
        stack.callback(follower.close)
        stack.callback(os.close, ours)
        supervisor = subprocess.Popen(
            argv,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(theirs,),
            start_new_session=True,  # the end of this terminal, and its signals, are not for the pool
        )
        os.close(theirs)
        os.close(log)
        return _result(_Start(name, path, supervisor, ours, follower).wait(timeout), effective, name)


def _result(about: dict[str, Any], effective: Effective, name: str) -> dict[str, Any]:
    """What the supervisor says of itself, under the name by which commands find it."""
    keys = ("pid", "binds", "admin", "control")
    by_name = {"name": about["name"] if effective.values["control"] else name}
    return {**by_name, **{key: about[key] for key in keys}, "log": effective.values["log_file"]}


class _Start:
    """One pool on its way."""

    def __init__(
        self, name: str, path: str, supervisor: subprocess.Popen[bytes], ready: int, follower: logfiles.Follower
    ) -> None:
        self._name, self._path, self._supervisor, self._ready = name, path, supervisor, ready
        self._follower = follower
        self._lines: deque[str] = deque(maxlen=SHOWN)

    def wait(self, timeout: float) -> dict[str, Any]:
        began = time.monotonic()
        try:
            with _progress() as show, _interruptible():
                while not select.select([self._ready], [], [], LOOK)[0]:
                    self._lines.extend(map(from_bytes, self._follower.lines()))
                    passed = time.monotonic() - began
                    last = next((line for line in reversed(self._lines) if not line.startswith(CONTINUED)), "")
                    show(f"{self._name} starts ({passed:.0f} s) {last}")
                    if passed >= timeout:
                        self._end()
                        self._fail(f"not ready after {timeout:g} s (--timeout), and stopped", EXIT_LATE)
                answer = _read_all(self._ready)
            # It is ready: a signal from now on stops this command only.
        except _Stopped as stopped:
            self._end()
            raise CommandError(f"{self._name}: the start was stopped", 128 + int(stopped.args[0])) from None
        if answer:
            return dict(everything(json.loads(answer)))
        code = self._supervisor.wait()
        self._fail(f"didn't start (exit code {code})", code if code > 0 else 128 - code)

    def _end(self) -> None:
        """Stop the pool; another signal stops it at once."""
        for signum in SIGNALS:
            signal.signal(signum, lambda signum, frame: self._supervisor.send_signal(signal.SIGQUIT))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        self._supervisor.terminate()
        self._supervisor.wait()

    def _fail(self, why: str, code: int) -> NoReturn:
        self._lines.extend(map(from_bytes, self._follower.lines()))
        for line in self._lines:
            print(line, file=sys.stderr)
        raise CommandError(f"{self._name}: {why}; its log is {self._path}", code)


def _refuse_second(name: str) -> None:
    for client in running():
        if client.name == name and (status := client.status()) is not None:
            raise CommandError(
                f"a pool called {name} runs already (pid {status['pid']}): corepod reload {name} loads its code anew, "
                f"corepod stop {name} stops it, corepod ps shows it; --name gives this one another name",
                EXIT_FAILED,
            )


def _log_file(name: str) -> str:
    if len(name) > LONGEST_NAME:
        raise CommandError(
            f"the name has {len(name)} characters, and its log file would need more than a file's name may have; "
            f"--name gives a shorter one, up to {LONGEST_NAME}",
            EXIT_SETTINGS,
        )
    path = logfiles.choose(name)
    if path is None:
        tried = ", ".join(logfiles.folders(os.environ, os.geteuid())) or "no $XDG_STATE_HOME, $HOME or $XDG_RUNTIME_DIR"
        raise CommandError(f"no place for the log can be written ({tried}): choose one with --log-file", EXIT_SETTINGS)
    return path


def _open_log(path: str) -> int:
    """Raises CommandError."""
    try:
        os.makedirs(os.path.dirname(path), 0o750, exist_ok=True)
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_NOCTTY, 0o640)
    except OSError as error:
        raise CommandError(
            f"the log file {path} can't be written ({error.strerror}); choose another with --log-file", EXIT_SETTINGS
        ) from error


def _is_free(log: int) -> bool:
    """Whether no pool writes to this file (`supervisor.io.logfile`), so that it can be the one of the pool that starts,
    which has it from now on. Pools without a control socket by their name may have the same one."""
    try:
        fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(log, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass  # a file system without locks
    return True


@contextlib.contextmanager
def _signals() -> Iterator[None]:
    """A signal ends the wait. Outside of it, see `_interruptible`, it is blocked."""

    def stop(signum: int, frame: FrameType | None) -> None:
        raise _Stopped(signum)

    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    before = {signum: signal.signal(signum, stop) for signum in SIGNALS}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """There is something to wait for, and to stop. The line of progress comes and goes undisturbed: else the cursor
    might stay hidden."""
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)


@contextlib.contextmanager
def _progress() -> Iterator[Any]:
    """A function that shows a line in place of the last one, where standard error is a terminal."""
    if not os.isatty(2) or os.environ.get("TERM") == "dumb":
        yield lambda text: None
        return
    try:
        from rich.console import Console
        from rich.text import Text
    except ImportError:
        yield lambda text: None
        return
    console = Console(stderr=True, highlight=False)
    with console.status("") as status:
        # Two cells are the spinner's; a line that is folded would stay when the next one is drawn.
        yield lambda text: status.update(Text(text[: console.width - 3]))


def _read_all(fd: int) -> bytes:
    return b"".join(iter(lambda: os.read(fd, 65536), b""))
