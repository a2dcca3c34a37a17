"""Executes a configuration that is Python, as gunicorn does, and writes down what its names are.

python -m corepod.migrate.execute OUTPUT LOCATION: LOCATION is a file or python:MODULE; OUTPUT is given JSON. It runs in
a process of its own, in the folder that gunicorn would run in, and needs no gunicorn.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import json
import os
import sys
import traceback
from types import FunctionType, ModuleType
from typing import Any

MODULE = "__config__"
PYTHON = "python:"


def main(output: str, location: str) -> None:
    started = os.getpid()
    sys.dont_write_bytecode = True
    os.dup2(2, 1)  # what the file prints is shown, and isn't taken for the command's own output
    try:
        found: dict[str, Any] = {"names": {name: _shown(value) for name, value in _run(location).items()}}
    except BaseException as error:  # a file may also end its process
        missing = error.name if isinstance(error, ImportError) else ""
        found = {"error": f"{type(error).__name__}: {error}{_place(error)}", "missing": missing or ""}
    if os.getpid() != started:
        os._exit(0)  # a process that the file has forked
    with open(output, "w", encoding="utf-8") as file:
        json.dump(
            {name: value for name, value in found.items() if value is not None}, file, default=repr, skipkeys=True
        )
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # threads that the file has started don't hold it up


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename != __file__ and not frame.filename.startswith("<")]
    return f" ({own[-1].filename}, line {own[-1].lineno})" if own else ""


def _run(location: str) -> dict[str, Any]:
    if location.startswith(PYTHON):
        module = importlib.import_module(location.removeprefix(PYTHON))
    else:
        loader = importlib.machinery.SourceFileLoader(MODULE, os.path.abspath(location))
        spec = importlib.util.spec_from_file_location(MODULE, os.path.abspath(location), loader=loader)
        assert spec is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[MODULE] = module
        loader.exec_module(module)
    return {
        name: value
        for name, value in vars(module).items()
        if not name.startswith("_") and not isinstance(value, ModuleType)
    }


def _shown(value: Any) -> dict[str, Any]:
    """A value, the place of a function, or the name of a class or of another object's class."""
    if isinstance(value, FunctionType):
        code = value.__code__
        return {"function": {"file": code.co_filename, "line": code.co_firstlineno, "name": code.co_name}}
    if isinstance(value, type):
        return {"class": f"{value.__module__}.{value.__qualname__}"}
    if isinstance(value, set | frozenset):
        return {"value": sorted(value, key=repr)}
    if value is None or isinstance(value, str | bool | int | float | list | tuple | dict):
        return {"value": value}
    return {"object": f"{type(value).__module__}.{type(value).__qualname__}"}


if __name__ == "__main__":
    main(*sys.argv[1:3])
