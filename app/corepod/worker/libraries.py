"""Tells the libraries of an application from its own code, and watches an import for those that a template may hold.

A library belongs in the template unless its import does what a fork must not inherit: it starts a thread, leaves a
descriptor open, or imports modules of the application.
"""

from __future__ import annotations

import builtins
import importlib.machinery
import json
import os
import site
import sys
from itertools import islice
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from corepod.worker import forkable

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

# Who replaces functions of these wants every later import to see it, as gevent and eventlet do.
PATCHABLE = ("builtins", "_thread", "os", "queue", "select", "socket", "ssl", "subprocess", "threading", "time")
LOADERS: tuple[Any, ...] = (
    importlib.machinery.SourceFileLoader,
    importlib.machinery.SourcelessFileLoader,
    importlib.machinery.ExtensionFileLoader,
)


class Libraries:
    """Modules of the standard library and of installed distributions, without the application's own."""

    def __init__(self, app: str) -> None:
        """`app` is the application's reference, MODULE:ATTRIBUTE."""
        # Not by `sysconfig`, which reads files of the interpreter that the worker's user may not be able to read.
        installed = {entry for entry in sys.path if os.path.basename(entry) in ("site-packages", "dist-packages")}
        folders = {os.path.dirname(os.__file__), *installed, site.getusersitepackages()}
        self._folders = tuple(os.path.join(folder, "") for folder in folders)
        # An image often has the application itself installed.
        self._own = {app.partition(":")[0].partition(".")[0], "corepod"}
        for folder in folders:
            self._own |= _installed_from_sources(Path(folder))

    def __contains__(self, module: object) -> bool:
        if not isinstance(module, ModuleType):
            return False
        facts = object.__getattribute__(module, "__dict__")  # a lazy module would load itself
        file, name = facts.get("__file__"), facts.get("__name__")
        return isinstance(file, str) and file.startswith(self._folders) and _top(str(name)) not in self._own


def _installed_from_sources(folder: Path) -> set[str]:
    """Top-level names of what was installed from a folder or a repository, not from an index: a user's own code.

    https://packaging.python.org/en/latest/specifications/direct-url/
    """
    names: set[str] = set()
    try:
        entries = os.listdir(folder)
    except OSError:
        return names  # there is no such folder, or none that the worker's user may read
    for direct in (folder / entry / "direct_url.json" for entry in entries if entry.endswith(".dist-info")):
        try:
            origin = json.loads(direct.read_text())
            files = direct.with_name("RECORD").read_text().splitlines()
        except (OSError, ValueError):
            continue
        if "vcs_info" in origin or str(origin.get("url", "")).startswith("file:"):
            tops = (line.partition(",")[0].partition("/")[0] for line in files)
            names |= {top.removesuffix(".py") for top in tops if top.removesuffix(".py").isidentifier()}
    return names


class ImportWatch:
    """While it is entered it tells `report` what a template has to do so that it comes to the same libraries:
    {"set": {NAME: VALUE or None}} for a change of the environment that a library may read, {"modules": [NAME, ...]} for
    those whose import has ended. It reports nothing more once the application has patched modules.
    """

    def __init__(self, libraries: Libraries, report: Callable[[dict[str, Any]], None]) -> None:
        self._libraries, self._report = libraries, report
        self._fds, self._count, self._open = forkable.open_fds(), -1, frozenset[int]()
        self._originals = _patchable()
        self._environment = dict(os.environ)
        self._before = len(sys.modules)
        self._depth = 0  # of imports of libraries within each other
        self._own_modules = 0
        self._left_out: set[str] = set()  # top-level names
        self._patched = False
        self._saved: list[tuple[Any, Any]] = []

    def __enter__(self) -> Self:
        for loader in LOADERS:
            self._saved.append((loader, loader.__dict__.get("exec_module")))
            loader.exec_module = self._watched(loader.exec_module)
        return self

    def __exit__(self, *exc: object) -> None:
        for loader, method in self._saved:
            if method is None:
                del loader.exec_module  # it was its base class's
            else:
                loader.exec_module = method

    def _watched(self, execute: Callable[[Any, ModuleType], None]) -> Callable[[Any, ModuleType], None]:
        def exec_module(loader: Any, module: ModuleType) -> None:
            if module in self._libraries:
                self._run_library(module, lambda: execute(loader, module))
            else:
                self._own_modules += 1
                execute(loader, module)

        return exec_module

    def _run_library(self, module: ModuleType, execute: Callable[[], None]) -> None:
        if not self._depth:
            self._begin()
        before = self._state()
        self._depth += 1
        try:
            execute()
        finally:
            self._depth -= 1
            if self._state() != before:
                self._left_out.add(_top(module.__name__))
        if not self._depth:
            self._end()

    def _state(self) -> tuple[int, frozenset[int], int]:
        """What the import of a library must not change."""
        count = len(os.listdir("/proc/self/fd"))
        if count != self._count:
            self._count, self._open = count, frozenset(forkable.hazards(self._fds))
        return len(os.listdir("/proc/self/task")), self._open, self._own_modules

    def _begin(self) -> None:
        """The application, not a library, imports a library."""
        present = _patchable()
        self._patched = self._patched or any(present.get(key) is not value for key, value in self._originals.items())
        self._originals = present | self._originals  # with those of modules that have been loaded since
        now = dict(os.environ)
        names = {name for name in {*now, *self._environment} if now.get(name) != self._environment.get(name)}
        if names and not self._patched:
            self._report({"set": {name: now.get(name) for name in sorted(names)}})

    def _end(self) -> None:
        self._environment = dict(os.environ)
        new = list(islice(sys.modules.items(), self._before, None))
        self._before = len(sys.modules)
        names = [name for name, module in new if module in self._libraries and self._may_be_shared(name, module)]
        if names and not self._patched:
            self._report({"modules": names})

    def _may_be_shared(self, name: str, module: ModuleType) -> bool:
        if not self._left_out:
            return True
        # Importing it would import what was left out, too, if it has taken anything from there.
        uses = _top(name) in self._left_out or any(_origin(v) in self._left_out for v in list(vars(module).values()))
        if uses:
            self._left_out.add(_top(name))
        return not uses


def _patchable() -> dict[str, Any]:
    """The public functions and classes that monkey patches replace."""
    found: dict[str, Any] = {"__import__": builtins.__import__}
    for name in PATCHABLE:
        members = vars(sys.modules[name]) if name in sys.modules else {}
        found |= {f"{name}.{key}": value for key, value in members.items() if callable(value) and key[0] != "_"}
    return found


def _origin(value: object) -> str:
    """The top-level name of the module that a value is or comes from, empty where that isn't known."""
    kind = type(value)
    if issubclass(kind, ModuleType):
        return _top(str(object.__getattribute__(value, "__dict__").get("__name__")))
    if issubclass(kind, FunctionType | BuiltinFunctionType | type):
        return _top(str(getattr(value, "__module__", "")))
    return ""


def _top(name: str) -> str:
    return name.partition(".")[0]
