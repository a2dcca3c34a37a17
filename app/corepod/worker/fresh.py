"""Bytecode that may be older than its source. Python compares the source's size and the second of its change: a file
that is saved twice within a second at the same length would be served as it was saved first."""

from __future__ import annotations

import os
from importlib.machinery import SourceFileLoader

INSTALLED = tuple(os.sep + name + os.sep for name in ("site-packages", "dist-packages"))


def distrust_bytecode_of_the_second() -> None:
    """From now on compile the application's modules anew where their bytecode was written in the second of the last
    change, or before it."""
    read = SourceFileLoader.get_data

    def get_data(loader: SourceFileLoader, path: str) -> bytes:
        if path.endswith(".pyc") and not any(folder in path for folder in INSTALLED) and _may_be_stale(loader, path):
            raise FileNotFoundError(path)
        return read(loader, path)

    SourceFileLoader.get_data = get_data  # type: ignore[assignment, method-assign]


def _may_be_stale(loader: SourceFileLoader, path: str) -> bool:
    try:
        return int(os.stat(path).st_mtime) <= int(os.stat(loader.path).st_mtime)
    except OSError:
        return False  # there is none, or no source
