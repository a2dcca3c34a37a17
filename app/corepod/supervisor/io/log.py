"""Lines on standard error and standard output that can never stop the supervisor: a full or closed pipe costs lines."""

from __future__ import annotations

import json
import time

from corepod.contract import escaping
from corepod.contract.units import timestamp
from corepod.supervisor.io.events import Events
from corepod.supervisor.io.recent import Recent
from corepod.supervisor.io.sink import Sink

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection
    from types import TracebackType

    from corepod.supervisor.io.logfile import LogFile
    from corepod.supervisor.io.loop import Loop

STREAMS = ("stdout", "stderr")
ERRORS = 4  # kept: three failed boots and the pool's end, the first with its exception
LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


class StreamLog:
    """The supervisor's own lines, and those of the workers of a local pool."""

    def __init__(self, loop: Loop, *, form: str, level: str, prefix: Collection[str] = STREAMS) -> None:
        """`prefix` has the streams on which lines of workers begin with the worker's name."""
        self.err, self.out = Sink(2, loop), Sink(1, loop)
        self.file: LogFile | None = None
        self._dated = False
        self._prefixed = [sink for name, sink in zip(STREAMS, (self.out, self.err), strict=True) if name in prefix]
        self._json = form == "json"
        self._least = LEVELS[level]
        self.events = Events()
        self.recent = Recent()
        self.errors: list[str] = []  # the latest: why the pool ends, if it does now

    def to_file(self, path: str, loop: Loop, *, max_size: int, files: int, streams: bool) -> None:
        """Write to this file from now on. Lines of workers have a time then, like all others. Raises OSError."""
        from corepod.supervisor.io.logfile import open_log  # only here: most pools write to a stream

        out, err, self.file = open_log(path, loop, max_size=max_size, files=files, streams=streams)
        self._prefixed = [new for new, old in ((out, self.out), (err, self.err)) if old in self._prefixed]
        self.out, self.err, self._dated = out, err, True

    @property
    def dropped(self) -> int:
        return self.err.dropped + self.out.dropped

    def debug(self, message: str, **who: object) -> None:
        self._line("debug", message, who)

    def info(self, message: str, event: str = "", **who: object) -> None:
        self._line("info", message, who, event)

    def warning(self, message: str, event: str = "", **who: object) -> None:
        self._line("warning", message, who, event)

    def error(self, message: str, event: str = "", **who: object) -> None:
        self.errors = [*self.errors[1 - ERRORS :], escaping.lines(message)]
        self._line("error", message, who, event)

    def relay(self, sink: Sink, line: bytes, who: dict[str, object]) -> None:
        """One line of a worker's output; in JSON, and where the stream has prefixes, with its number, core and pid."""
        if self._json:
            text = _merged(line, who)
            if text is None:
                stream = "stdout" if sink is self.out else "stderr"
                text = json.dumps({"time": timestamp(), "stream": stream, **who, "message": escaping.from_bytes(line)})
            written = text.encode() + b"\n"
        else:
            date = f"{timestamp()} " if self._dated else ""
            prefix = f"{date}{_tag(who)} | " if sink in self._prefixed else ""
            written = f"{prefix}{escaping.from_bytes(line)}\n".encode()
        self.recent.relayed(written, who)
        self._put(sink, written)

    def fault(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        """An exception of the supervisor's own, as sys.excepthook: Python's would write it in a way that can block."""
        try:
            import traceback  # only here: nobody pays for it while all is well

            text = "".join(traceback.format_exception(kind, error, trace)).rstrip()
        except Exception:  # another Python may be installed by now; what comes from here would end the supervisor
            text = f"{kind.__name__}: {error} (its traceback can't be shown)"
        self.error(f"internal error\n{text}")

    def close(self, patience: float) -> None:
        """Write out what is queued, for as long as `patience` seconds and no longer."""
        deadline = time.monotonic() + patience
        for sink in (self.out, self.err):
            sink.flush()
            while sink.waiting and time.monotonic() < deadline:
                time.sleep(0.01)
                sink.flush()

    def _line(self, level: str, message: str, who: dict[str, object], event: str = "") -> None:
        if event:
            self.events.add(event, level, message, who)
        if LEVELS[level] >= self._least:
            written = self._format(level, message, who)
            self.recent.own(written, who)
            self._put(self.err, written)

    def _format(self, level: str, message: str, who: dict[str, object]) -> bytes:
        if self._json:
            text = json.dumps({"time": timestamp(), "level": level, **who, "message": escaping.lines(message)})
        else:
            tag = f"[{_tag(who)}] " if who else ""
            text = f"{timestamp()} {level.upper():7} {tag}{escaping.entry(message)}"
        return text.encode("utf-8", "backslashreplace") + b"\n"

    def _put(self, sink: Sink, line: bytes) -> None:
        before = sink.dropped
        sink.write(line)
        # A gap that doesn't show would mislead whoever reads the log. Told once lines get through again.
        if before > sink.owned_up and sink.dropped == before and not sink.waiting:
            lost, sink.owned_up = before - sink.owned_up, before
            sink.write(
                self._format(
                    "warning",
                    f"{lost} line(s) of this log were dropped: it was not read in time, or there was no room",
                    {},
                )
            )


def _merged(line: bytes, who: dict[str, object]) -> str | None:
    """A line that is a JSON object already, with the worker's identity in it; None for any other line."""
    if not line.startswith(b"{"):
        return None
    try:
        record = json.loads(line)
        # What it says of the same name is kept beside: nothing may pass for another worker's line.
        said = {f"{key}_" if key in who and value != who[key] else key: value for key, value in record.items()}
        return json.dumps({"time": timestamp(), **said, **who}, allow_nan=False)
    except (ValueError, RecursionError):
        return None


def _tag(who: dict[str, object]) -> str:
    return " ".join(f"{key} {value}" for key, value in who.items() if value is not None)
