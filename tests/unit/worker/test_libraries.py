"""Which modules are libraries, and what an import that is watched reports."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from corepod.worker import libraries
from corepod.worker.libraries import ImportWatch, Libraries

from tests.procfs import status, threads
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Writes modules into a folder of libraries or of the user's own; they are forgotten when the test ends."""
    site, own = tmp_path / "site", tmp_path / "own"
    site.mkdir()
    own.mkdir()
    monkeypatch.setattr("site.getusersitepackages", lambda: str(site))
    monkeypatch.syspath_prepend(site)
    monkeypatch.syspath_prepend(own)
    until(alone, "the threads of earlier tests, and of pytest around them, have left")

    def write(name: str, code: str = "", *, library: bool = True) -> None:
        file = (site if library else own) / f"{name.replace('.', '/')}.py"
        file.parent.mkdir(exist_ok=True, parents=True)
        file.write_text(code)
        importlib.invalidate_caches()

    yield write
    # Nothing but these: a module of the standard library that is imported for the first time stays the only one.
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None)).startswith(str(tmp_path)):
            del sys.modules[name]


def alone() -> bool:
    """Whether every other thread sleeps. One on its way out would be taken for something that an import has done."""
    me, others = os.getpid(), threads(os.getpid())
    others.remove(threading.get_native_id())
    with contextlib.suppress(OSError):
        return all(status(me, "State", other).startswith("S") for other in others)
    return False


def watch(module: str) -> list[dict[str, Any]]:
    """What the import of `module` reports."""
    reports: list[dict[str, Any]] = []
    with ImportWatch(Libraries(f"{module}:app"), reports.append):
        importlib.import_module(module)
    return reports


def modules(reports: list[dict[str, Any]]) -> list[str]:
    return [name for report in reports for name in report.get("modules", ())]


def test_what_is_a_library(make: Callable[..., None]) -> None:
    make("a_library")
    make("a_part", library=False)
    known = Libraries("shop.main:app")
    library, part = importlib.import_module("a_library"), importlib.import_module("a_part")
    assert json in known
    assert pytest in known
    assert library in known
    assert part not in known
    assert library not in Libraries("a_library.web:app"), "an application may be installed, too"
    assert libraries not in known
    assert sys not in known, "it has no file"
    assert "json" not in known


def test_libraries_are_reported_in_the_order_of_their_import(make: Callable[..., None]) -> None:
    make("one_lib", "import two_lib")
    make("two_lib")
    make("three_lib")
    make("main_code", "import one_lib\nimport part_code", library=False)
    make("part_code", "import three_lib", library=False)
    assert modules(watch("main_code")) == ["one_lib", "two_lib", "three_lib"]


def test_loaders_are_as_before(make: Callable[..., None]) -> None:
    before = [vars(loader).get("exec_module") for loader in libraries.LOADERS]
    make("main_code", "1 / 0", library=False)
    with pytest.raises(ZeroDivisionError):
        watch("main_code")
    assert [vars(loader).get("exec_module") for loader in libraries.LOADERS] == before


def test_a_library_that_leaves_a_descriptor_open_takes_those_that_use_it_with_it(make: Callable[..., None]) -> None:
    make("holds", "import os\nFDS = os.pipe()\ndef helper(): pass")
    make("uses", "from holds import helper")
    make("uses_that", "import uses")
    make("clean")
    make("main_code", "import holds, uses, uses_that, clean", library=False)
    assert modules(watch("main_code")) == ["clean"]
    for fd in sys.modules["holds"].FDS:
        os.close(fd)


def test_a_library_that_fails_is_not_reported(make: Callable[..., None]) -> None:
    make("fails", "1 / 0")
    make("main_code", "try: import fails\nexcept ZeroDivisionError: pass", library=False)
    assert modules(watch("main_code")) == []


def test_the_environment_is_reported_as_the_application_changes_it(
    make: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", os.environ.copy())
    os.environ["GONE"] = "soon"
    make("a_lib", "import os\nos.environ['SET_BY_THE_LIBRARY'] = '1'")
    make("b_lib")
    code = "import os\nos.environ['COLOUR'] = 'red'\ndel os.environ['GONE']\nimport a_lib, b_lib"
    make("main_code", code, library=False)
    changes = [report["set"] for report in watch("main_code") if "set" in report]
    assert changes == [{"COLOUR": "red", "GONE": None}], "what a library sets it sets again"


def test_nothing_is_reported_after_a_patch(make: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", time.sleep)  # restores it
    make("early")
    make("late")
    code = "import early, time\nreal = time.sleep\ntime.sleep = lambda seconds: real(seconds)\nimport late"
    make("main_code", code, library=False)
    assert modules(watch("main_code")) == ["early"]


@pytest.mark.parametrize(
    ("direct", "own"),
    [
        ('{"url": "file:///src", "dir_info": {}}', {"shop", "tool"}),
        ('{"url": "https://git.example/shop.git", "vcs_info": {"vcs": "git"}}', {"shop", "tool"}),
        ('{"url": "https://files.example/shop.whl", "archive_info": {}}', set()),
        ("{", set()),
    ],
)
def test_distributions_that_were_installed_from_sources(tmp_path: Path, direct: str, own: set[str]) -> None:
    info = tmp_path / "shop-1.dist-info"
    info.mkdir()
    (info / "direct_url.json").write_text(direct)
    (info / "RECORD").write_text("shop/__init__.py,x,1\ntool.py,x,1\nshop-1.dist-info/RECORD,,\n../../bin/shop,x,1\n")
    assert libraries._installed_from_sources(tmp_path) == own
