"""`corepod dev`: the supervisor as a child, its log and the workers' output on the terminal, and a reload after each
change of the code."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text
from watchfiles import DefaultFilter, watch
from watchfiles.main import Change

from corepod.contract.exits import EXIT_SETTINGS
from corepod.contract.listening import url
from corepod.local import development, streams
from corepod.local.client import Client, Refused, Unreachable
from corepod.local.development import Need, Watches
from corepod.local.loglines import styled
from corepod.local.reloads import DONE, Rebuild, Reload, Restart, Start, broken

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Command = Callable[[str, int, Sequence[int]], tuple[list[str], dict[str, str]]]

GATHER = 50  # milliseconds without a further change after which those that came together are one
LOOK = 100  # milliseconds between two looks at the pool
PATIENCE = 5.0  # seconds for a reload, after which a further change begins another one beside it
STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(watches: Watches, command: Command) -> int:
    """Run the supervisor and watch until it ends; returns its exit code.

    `command(control, lifeline, outputs)` returns its arguments and environment, see `console.watch`.
    """
    streams.complete()
    lines, over = _Lines(), threading.Event()
    try:
        changes = _changes(watches, over)
        next(changes)
    except OSError as error:
        lines.say(f"corepod: files can't be watched: {error}; {_advice(error)}", "")
        return EXIT_SETTINGS
    control = f"@corepod-dev-{os.getpid()}-{secrets.token_hex(8)}"  # needs no folder that can be written
    theirs, ours = os.pipe()
    outputs = [os.dup(1), os.dup(2)] if watches.attached else []
    argv, environment = command(control, theirs, outputs)
    supervisor = subprocess.Popen(
        argv,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=(theirs, *outputs),
        process_group=0,  # Ctrl-C is for this process, or for a debugger, which needs the session's terminal
    )
    for fd in (theirs, *outputs):
        os.close(fd)
    log = threading.Thread(target=_pass_on_log, args=(supervisor, lines, over), name="log")
    try:
        log.start()
        with _stopping(supervisor):
            _Development(watches, Client(control), lines).follow(changes)
    finally:
        os.close(ours)
        code = supervisor.wait()
        if log.ident:
            log.join()
        _reclaim_terminal()
    return code


class _Lines:
    """What the command itself says, and the supervisor's log. Nothing depends on its being read."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)

    def say(self, text: str, style: str) -> None:
        self._print(Text(text, style))

    def pass_on(self, line: bytes) -> None:
        self._print(styled(line))

    def _print(self, text: Text) -> None:
        with contextlib.suppress(OSError, ValueError, SystemExit):  # rich leaves where a pipe is broken
            self._console.print(text)


class _Development:
    """What has changed, and the one reload that is under way."""

    def __init__(self, watches: Watches, client: Client, lines: _Lines) -> None:
        self._watches, self._client, self._lines = watches, client, lines
        self._pending: dict[str, float] = {}  # changed paths, and when that was seen
        self._reload: Reload | None = Start(time.time())
        self._complete = True  # see development.need
        self._told = ""

    def follow(self, changes: Iterator[set[str]]) -> None:
        """Reload as often as it takes, until the changes end."""
        ignored = DefaultFilter()
        for changed in changes:
            for path in development.counting(
                self._watches, changed, lambda inside: not ignored(Change.modified, inside)
            ):
                self._pending.setdefault(path, time.time())
            _reclaim_terminal()
            if self._reload is not None or self._pending:
                self._step(time.time())

    def _step(self, now: float) -> None:
        status = self._client.status()
        if status is None:
            return  # it starts, or ends
        if self._reload is not None and (end := self._reload.ended(status)):
            self._report(self._reload, end, status, now)
            self._reload = None
        if self._pending and (self._reload is None or now - self._reload.began > PATIENCE):
            if _is_debugging():
                self._tell_once("waits until the debugger has ended")
            else:
                self._begin(status, now)

    def _begin(self, status: dict[str, Any], now: float) -> None:
        paths, self._told = sorted(self._pending), ""
        what = development.named(self._watches, paths)
        need = development.need(self._watches, paths, forks=status["mode"] == "fork", complete=self._complete)
        if need is Need.START:
            self._lines.say(f"{what} changed: start corepod anew to use it", "yellow")
        else:
            overtaken, began = self._reload is not None, min(self._pending.values())
            try:
                self._reload = self._ask(Need.TEMPLATE if overtaken else need, status, what, began)
            except Unreachable:
                return  # it ends; or it is very busy, and is asked again
        self._pending.clear()

    def _ask(self, need: Need, status: dict[str, Any], what: str, began: float) -> Reload | None:
        try:
            if need is Need.WORKER:
                answers = [self._client.post(f"/restart?slot={slot['slot']}") for slot in status["slots"]]
                return Restart(began, what, {answer["slot"]: answer["worker"] for answer in answers})
        except Refused:
            pass  # something else is under way, such as the next worker of a slot that has crashed
        try:
            return Rebuild(began, what, self._client.post("/reload")["reload"])
        except Refused as refused:
            self._lines.say(f"{what} changed: {refused}", "red")
            return None

    def _report(self, reload: Reload, end: str, status: dict[str, Any], now: float) -> None:
        faults = [why for slot in status["slots"] if (why := broken(slot))]
        if reload.loads and end == DONE:
            self._complete = not faults
        took = f"in {max(slot['ready_at'] or now for slot in status['slots']) - reload.began:.2f} s"
        if isinstance(reload, Start):
            where, folders = ", ".join(map(url, status["binds"])), ", ".join(self._watches.folders)
            self._lines.say(f"{where}, watching {folders}; Ctrl-C stops", "bold")
            what = status["app"] + ":"
        else:
            what = f"{reload.what} changed:"
        if end != DONE:
            self._lines.say(f"{what} {end}", "red")
        elif faults:
            self._lines.say(f"{what} broken: {faults[0]}", "bold red")
        else:
            self._lines.say(f"{what} {reload.verb} {took}", "green")

    def _tell_once(self, text: str) -> None:
        line = f"{development.named(self._watches, sorted(self._pending))} changed: {text}"
        if line != self._told:
            self._told = line
            self._lines.say(line, "yellow")


def _changes(watches: Watches, over: threading.Event) -> Iterator[set[str]]:
    """The paths that have changed, now and then an empty set; ends when it is `over`."""
    for changes in watch(
        *watches.folders,
        watch_filter=None,
        step=GATHER,
        rust_timeout=LOOK,
        yield_on_timeout=True,
        stop_event=over,
        raise_interrupt=False,
    ):
        added = {path for kind, path in changes if kind is Change.added}
        yield {path for _, path in changes}.union(*map(_files_in, added))


def _files_in(folder: str) -> Iterator[str]:
    """What came with a new folder, or into it before it was watched: nothing else tells of that. None in a file."""
    for place, folders, files in os.walk(folder):
        if os.path.basename(place) in DefaultFilter.ignore_dirs:
            folders.clear()
        yield from (os.path.join(place, name) for name in files)


def _advice(error: OSError) -> str:
    if "inotify" in str(error) or "OS file watch limit" in str(error):
        return "raise fs.inotify.max_user_watches, or set WATCHFILES_FORCE_POLLING=1"
    return "name other folders with --reload-dir"


def _pass_on_log(supervisor: subprocess.Popen[bytes], lines: _Lines, over: threading.Event) -> None:
    assert supervisor.stdout is not None
    for line in supervisor.stdout:
        lines.pass_on(line.rstrip(b"\n"))
    over.set()


@contextlib.contextmanager
def _stopping(supervisor: subprocess.Popen[bytes]) -> Iterator[None]:
    """The first Ctrl-C drains, the second one stops at once: the supervisor counts them."""
    for signum in STOPS:
        signal.signal(signum, lambda signum, frame: supervisor.send_signal(signal.SIGTERM))
    signal.signal(signal.SIGQUIT, lambda signum, frame: supervisor.send_signal(signal.SIGQUIT))
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    yield


def _is_debugging() -> bool:
    """Whether a worker's debugger has the terminal (see worker/terminal.py)."""
    with contextlib.suppress(OSError):
        group = os.tcgetpgrp(0)
        return group != os.getpgrp() and Path(f"/proc/{group}/comm").read_text().startswith("corepod-")
    return False


def _reclaim_terminal() -> None:
    """Take the terminal back from a debugger whose process is gone: Ctrl-C would reach nobody."""
    with contextlib.suppress(OSError):
        try:
            os.killpg(os.tcgetpgrp(0), 0)
        except ProcessLookupError:
            before = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
            os.tcsetpgrp(0, os.getpgrp())
            signal.signal(signal.SIGTTOU, before)
