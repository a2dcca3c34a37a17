"""gunicorn.conf.py: its values, as it is executed, and what its text says about them."""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corepod.migrate import executed
from corepod.migrate.execute import PYTHON
from corepod.migrate.given import Given
from corepod.migrate.gunicorn import hooks
from corepod.migrate.gunicorn.source import Source
from corepod.migrate.gunicorn.table import HOOKS, NAMES
from corepod.migrate.model import Fate

if TYPE_CHECKING:
    from corepod.migrate.model import Context, Program

DEFAULT = "gunicorn.conf.py"
# Names that people believe to be settings.
NEVER = {
    "log_level": 'loglevel (log_level = "...")',
    "preload": 'preload_app (preload = "application")',
    "max_worker_memory": "nothing of gunicorn's; corepod has max_memory",
    "worker_max_memory": "nothing of gunicorn's; corepod has max_memory",
    "max_memory": "nothing of gunicorn's; corepod has max_memory",
    "ssl_session_cache": "nothing of gunicorn's",
    "access_logfile": "accesslog (access_log = true)",
    "access_log": "accesslog (access_log = true)",
    "error_log": "errorlog (log_file)",
    "error_logfile": "errorlog (log_file)",
    "access_logformat": "access_log_format",
    "keep_alive": "keepalive (keep_alive)",
    "pid": "pidfile (pid_file)",
    "port": "bind",
    "host": "bind",
    "env": "raw_env ([env])",
    "app": "wsgi_app (app)",
}


class File:
    """`given` are its settings, `functions` its hooks with their files and lines, `others` its other names."""

    def __init__(self, location: str, context: Context) -> None:
        self.location = location.removeprefix("file:")
        self.source = Source(_text(self.location, context))
        self.given: dict[str, Given] = {}
        self.functions: dict[str, dict[str, Any]] = {}
        self.others: list[Given] = []
        for name, found in executed.names(self.location, context).items():
            if name in HOOKS:
                if found.get("function") or "object" in found:
                    self.functions[name] = found.get("function") or {}
            elif name in NAMES and name != "config":
                self.given[name] = self._given(name, found)
            elif "value" in found and not self.source.used(name):
                self.others.append(self._given(name, found))

    def _given(self, name: str, found: dict[str, Any]) -> Given:
        value = found.get("value", found.get("class", found.get("object")))
        if "function" in found:
            value = found["function"]["name"]
        decided = self.source.reads(name)
        return Given(name, value, shown(value), decided, (), self.source.cores(name) and isinstance(value, int))

    def report(self, program: Program) -> None:
        """What becomes of hooks, and of names that gunicorn ignores."""
        preload = program.settings.get("preload") == "application"
        for name, place in self.functions.items():
            source = self.source
            if place and Path(place["file"]).name != Path(self.location).name:
                source = Source(_read(Path(place["file"])))
            hook = hooks.judge(name, source.function(place["line"]) if place else None, source, preload=preload)
            if hook.ready_file:
                program.use(name, "a function", "ready_file", hook.ready_file, hook.note)
            elif hook.skip:
                program.use(name, "a function", "access_log_skip", list(hook.skip), hook.note, check=True)
            elif hook.ours:
                program.use(name, "a function", hook.ours, hook.to, hook.note, check=True)
            elif hook.fate is Fate.DROPPED:
                program.drop(name, "a function", hook.note)
            else:
                program.ask(name, "a function", hook.note)
        for one in self.others:
            program.drop(
                one.setting, one.text, f"never had an effect: gunicorn has no such setting{_meant(one.setting)}"
            )


def default(context: Context) -> str | None:
    return DEFAULT if (context.folder / DEFAULT).is_file() else None


def shown(value: Any) -> str:
    if isinstance(value, list | tuple) and all(isinstance(one, str) for one in value):
        return ", ".join(value)
    return value if isinstance(value, str) else str(value)


def _meant(name: str) -> str:
    if name in NEVER:
        return f"; what was meant is {NEVER[name]}"
    known = [one for one in NAMES if one not in HOOKS]
    close = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.85)
    return f"; what was meant is {close[0]}" if close else ""


def _text(location: str, context: Context) -> str:
    if not location.startswith(PYTHON):
        return _read(context.folder / location)
    inside = location.removeprefix(PYTHON).replace(".", "/")
    return _read(context.folder / f"{inside}.py") or _read(context.folder / inside / "__init__.py")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8") if os.path.isfile(path) else ""
    except (OSError, UnicodeDecodeError):
        return ""
