"""Text that others have written: nothing in it drives a terminal, and none of its lines passes for another entry."""

from __future__ import annotations

import json
import re
import unicodedata
from typing import Any

import pytest
from corepod.contract import escaping
from hypothesis import example, given
from hypothesis import strategies as st

# What a terminal may act upon or a reader take for the end of a line: what str.splitlines does, too.
DRIVES = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")
ANY = st.text(st.characters(exclude_categories=[]))
FORGED = "no such page: /p\n2026-11-28T13:00:00.000Z ERROR   [worker 9 slot 0 pid 1] died: signal SIGSEGV"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("plain, with\ttab, ünïcödé, 語 and 😀", "plain, with\ttab, ünïcödé, 語 and 😀"),
        ("\x1b[2J\x1b]0;owned\x07", r"\x1b[2J\x1b]0;owned\x07"),
        ("\x9b31m\x85\x7f\0", r"\x9b31m\x85\x7f\x00"),
        ("a\nb\rc\x0bd\x0ce", r"a\nb\rc\x0bd\x0ce"),
        ("one\u2028two\u2029three", r"one\u2028two\u2029three"),
        ("\u202egnp.exe\u202c\u2066x\u2069\u200f\u061c", r"\u202egnp.exe\u202c\u2066x\u2069\u200f\u061c"),
        ("half \ud800 and \udcff", r"half \ud800 and \udcff"),
    ],
)
def test_one_line(text: str, shown: str) -> None:
    assert escaping.line(text) == shown
    assert escaping.line(shown) == shown


@given(ANY)
@example("\x1c\x1d\x1e\x85\u2028")
def test_whatever_is_written_is_one_line_that_can_be_encoded(text: str) -> None:
    shown = escaping.line(text)
    assert not DRIVES.search(shown)
    assert len(shown.splitlines()) <= 1
    assert not any(
        unicodedata.bidirectional(c) in ("RLE", "LRE", "RLO", "LRO", "PDF", "RLI", "LRI", "FSI", "PDI") for c in shown
    )
    shown.encode()


@given(ANY)
@example(FORGED)
@example(f"\r\n{FORGED}\n\n")
def test_an_entry_of_the_log_is_one_entry(text: str) -> None:
    first, *others = escaping.entry(text).split("\n")
    assert all(line.startswith("  | ") for line in others)
    assert [first, *(line[4:] for line in others)] == [escaping.line(line) for line in text.split("\n")]
    assert escaping.lines(text).count("\n") == text.count("\n")


@given(st.binary())
def test_bytes_that_are_no_utf_8(data: bytes) -> None:
    shown = escaping.from_bytes(data)
    assert not DRIVES.search(shown)
    shown.encode()


def test_bytes_are_shown_as_bytes() -> None:
    assert escaping.from_bytes("ä\t".encode() + b"\xff\x1b\r") == "ä\t\\xff\\x1b\\r"


@given(st.recursive(st.none() | st.booleans() | st.integers() | ANY, lambda v: st.lists(v) | st.dictionaries(ANY, v)))
def test_a_document_keeps_its_shape(document: Any) -> None:
    shown = escaping.everything(document)
    assert not DRIVES.search(json.dumps(shown, ensure_ascii=False))
    assert isinstance(shown, type(document))


def test_numbers_and_what_is_plain_stay() -> None:
    document = {"name": "shop", "slots": [{"pid": 1, "busy": 0.5, "core": None, "ready": True}]}
    assert escaping.everything(document) == document
