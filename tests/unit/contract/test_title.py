"""Titles of processes: written over the arguments, never beyond them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import corepod
from corepod.contract import title
from hypothesis import given
from hypothesis import strategies as st

SOURCES = str(Path(corepod.__file__).parents[1])
SHOWS = """
import sys
sys.path.insert(0, sys.argv[1])
from corepod.contract import title
title.show(sys.argv[2] * int(sys.argv[4]))
print(open("/proc/self/cmdline").read(), flush=True)
print(repr(sys.argv[3]))
"""


@given(st.text(), st.integers(0, 300))
def test_a_title_fills_its_place_exactly(text: str, room: int) -> None:
    made = title.fit(text, room)
    assert len(made) == (room if room > 2 else 0)
    shown = made.partition(b"\0")[0].decode("utf-8", "replace").rstrip(".")
    assert all(letter.isprintable() for letter in shown)


def test_what_a_title_says() -> None:
    assert title.describe("supervisor", "", "main:app") == "corepod: supervisor of main:app"
    assert title.describe("worker 3", "shop", "main:app", "core 1") == "corepod: worker 3 of shop (main:app) core 1"


def shown(text: str, blank: str, times: int = 1) -> list[str]:
    words = [sys.executable, "-I", "-c", SHOWS, SOURCES, text, blank, str(times)]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()


def test_a_process_shows_its_title_and_keeps_its_arguments() -> None:
    command, blank = shown("corepod: straße\n\x1b[2J", title.BLANK)
    assert command == "corepod: straße??[2J\0"
    assert blank == repr(title.BLANK)


def test_a_long_title_is_cut() -> None:
    command, blank = shown("x", "", 3000)
    assert set(command) == {"x", "\0"}
    assert len(SHOWS) < len(command) < 3000
    assert blank == "''"
