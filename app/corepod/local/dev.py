"""`corepod dev`: the supervisor as a child, its log and the workers' output on the terminal, and a reload after each
change of the code."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text
from watchfiles import DefaultFilter, watch
from watchfiles.main import Change

from corepod.contract.escaping import from_bytes
from corepod.contract.exits import EXIT_SETTINGS
from corepod.contract.messages import BROKEN
from corepod.local import development
from corepod.local.client import Client, Refused, Unreachable
from corepod.local.development import Need, Watches
from corepod.local.styles import styled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Command = Callable[[str, int, Sequence[int]], tuple[list[str], dict[str, str]]]

GATHER = 50  # milliseconds without a further change after which those that came together are one
LOOK = 100  # milliseconds between two looks at the pool
PATIENCE = 10.0  # seconds for a reload, after which a further change begins another one beside it
STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(watches: Watches, command: Command) -> int:
    """Run the supervisor and watch until it ends; returns its exit code.

    `command(control, lifeline, outputs)` returns its arguments and environment, see `console.watch`.
    """
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    over, terminal = threading.Event(), _Terminal()
    try:
        changes = _changes(watches, over)
        next(changes)
    except OSError as error:
        console.print(f"corepod: files can't be watched: {error}; {_advice(error)}", markup=False)
        return EXIT_SETTINGS
    with tempfile.TemporaryDirectory(prefix="corepod-") as folder:
        control = str(Path(folder, "control.sock"))
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
        log = threading.Thread(target=_print_log, args=(supervisor, console, over), name="log")
        log.start()
        try:
            with _stopping(supervisor):
                _Development(watches, Client(control), console, terminal).follow(changes)
        finally:
            os.close(ours)
            code = supervisor.wait()
            log.join()
            terminal.reclaim()
        return code


class _Development:
    """What has changed, and the one reload that is under way."""

    def __init__(self, watches: Watches, client: Client, console: Console, terminal: _Terminal) -> None:
        self._watches, self._client, self._console, self._terminal = watches, client, console, terminal
        self._pending: dict[str, float] = {}  # changed paths, and when that was seen
        self._reload: _Reload | None = _Start(time.time())
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
            self._terminal.reclaim()
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
            if self._terminal.is_lent():
                self._tell_once("waits until the debugger has ended")
            else:
                self._begin(status, now)

    def _begin(self, status: dict[str, Any], now: float) -> None:
        paths, self._told = sorted(self._pending), ""
        what = development.named(self._watches, paths)
        need = development.need(self._watches, paths, forks=status["mode"] == "fork", complete=self._complete)
        began = min(self._pending.values())
        self._pending.clear()
        if need is Need.START:
            self._console.print(f"{what} changed: start corepod anew to use it", style="yellow", markup=False)
            return
        try:
            overtaken = self._reload is not None
            self._reload = self._ask(Need.TEMPLATE if overtaken else need, status, what, began)
        except Unreachable:
            return  # it ends

    def _ask(self, need: Need, status: dict[str, Any], what: str, began: float) -> _Reload | None:
        try:
            if need is Need.WORKER:
                answers = [self._client.post(f"/restart?slot={slot['slot']}") for slot in status["slots"]]
                return _Restart(began, what, {answer["slot"]: answer["worker"] for answer in answers})
        except Refused:
            pass  # something else is under way, such as the next worker of a slot that has crashed
        try:
            return _Rebuild(began, what, self._client.post("/reload")["reload"])
        except Refused as refused:
            self._console.print(f"{what} changed: {refused}", style="red", markup=False)
            return None

    def _report(self, reload: _Reload, end: str, status: dict[str, Any], now: float) -> None:
        broken = [why for slot in status["slots"] if (why := _broken(slot))]
        if reload.loads and end == DONE:
            self._complete = not broken
        took = f"in {max(slot['ready_at'] or now for slot in status['slots']) - reload.began:.2f} s"
        if isinstance(reload, _Start):
            where, folders = ", ".join(status["binds"]), ", ".join(self._watches.folders)
            address = f"http://{where}" if ":" in where and not where.startswith("unix:") else where
            self._console.print(f"{address}, watching {folders}; Ctrl-C stops", style="bold", markup=False)
            what = status["app"] + ":"
        else:
            what = f"{reload.what} changed:"
        if end != DONE:
            self._console.print(f"{what} {end}", style="red", markup=False)
        elif broken:
            self._console.print(f"{what} broken: {broken[0]}", style="bold red", markup=False)
        else:
            self._console.print(f"{what} {reload.verb} {took}", style="green", markup=False)

    def _tell_once(self, text: str) -> None:
        line = f"{development.named(self._watches, sorted(self._pending))} changed: {text}"
        if line != self._told:
            self._told = line
            self._console.print(line, style="yellow", markup=False)


DONE = "done"


class _Reload:
    """`ended` returns an empty text as long as it is under way, then DONE or why it has failed."""

    loads = True  # a template
    verb = "reloaded"

    def __init__(self, began: float, what: str = "") -> None:
        self.began, self.what = began, what

    def ended(self, status: dict[str, Any]) -> str:
        raise NotImplementedError


class _Start(_Reload):
    verb = "started"

    def ended(self, status: dict[str, Any]) -> str:
        return DONE if all(slot["ready_at"] for slot in status["slots"]) else ""


class _Restart(_Reload):
    """`before` are the workers that make way, by slot; None where there was none."""

    loads = False

    def __init__(self, began: float, what: str, before: dict[int, int | None]) -> None:
        super().__init__(began, what)
        self._before = before

    def ended(self, status: dict[str, Any]) -> str:
        slots = status["slots"]
        if any(slot["being_replaced"] or not slot["ready_at"] for slot in slots):
            return ""
        stay = [slot for slot in slots if slot["worker"] == self._before.get(slot["slot"], 0)]
        return "the new worker didn't become ready, and the old one stays" if stay else DONE


class _Rebuild(_Reload):
    verb = "reloaded with its libraries"

    def __init__(self, began: float, what: str, number: int) -> None:
        super().__init__(began, what)
        self._number = number

    def ended(self, status: dict[str, Any]) -> str:
        reloads = status["reloads"]
        if reloads["ended"] < self._number:
            return ""
        return f"not reloaded: {reloads['failure']}" if reloads["failure"] else DONE


def _broken(slot: dict[str, Any]) -> str:
    """Why the application of a worker can't be loaded, empty where it can."""
    _, found, why = slot["why"].partition(BROKEN)
    return why if found else ""


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
        yield {path for _, path in changes}


def _advice(error: OSError) -> str:
    if "inotify" in str(error) or "OS file watch limit" in str(error):
        return "raise fs.inotify.max_user_watches, or set WATCHFILES_FORCE_POLLING=1"
    return "name other folders with --reload-dir"


def _print_log(supervisor: subprocess.Popen[bytes], console: Console, over: threading.Event) -> None:
    assert supervisor.stdout is not None
    for line in supervisor.stdout:
        text = styled(line.rstrip(b"\n")) if console.is_terminal else Text(from_bytes(line.rstrip(b"\n")))
        with contextlib.suppress(OSError):  # nobody reads it any more
            console.print(text)
    over.set()


@contextlib.contextmanager
def _stopping(supervisor: subprocess.Popen[bytes]) -> Iterator[None]:
    """The first Ctrl-C drains, the second one stops at once: the supervisor counts them."""
    for signum in STOPS:
        signal.signal(signum, lambda signum, frame: supervisor.send_signal(signal.SIGTERM))
    signal.signal(signal.SIGQUIT, lambda signum, frame: supervisor.send_signal(signal.SIGQUIT))
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    yield


class _Terminal:
    """The terminal, which a worker's debugger takes while it asks something (see worker/terminal.py)."""

    def __init__(self) -> None:
        self._lent_to = 0

    def is_lent(self) -> bool:
        """Whether a debugger has it."""
        with contextlib.suppress(OSError):
            group = os.tcgetpgrp(0)
            if group != os.getpgrp() and Path(f"/proc/{group}/comm").read_text().startswith("corepod-"):
                self._lent_to = group
                return True
        return False

    def reclaim(self) -> None:
        """Take it back from a debugger whose process is gone."""
        if self.is_lent() or not self._lent_to:
            return
        with contextlib.suppress(OSError):
            if os.tcgetpgrp(0) == self._lent_to:
                before = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
                os.tcsetpgrp(0, os.getpgrp())
                signal.signal(signal.SIGTTOU, before)
        self._lent_to = 0
