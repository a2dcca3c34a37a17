"""What a client or the application chooses reaches log, terminal and admin port without driving anything."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from tests.process.terminal import Terminal
from tests.process.traffic import ask
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.process.harness import Pool

    Start = Callable[..., Pool]

ONE = ("--workers", "1", "--lame-duck", "0", "--pin", "never", "--crash-budget", "1000/60")
CLEAR, TITLE = "\x1b[2J", "\x1b]0;owned\x07"
FORGED = "2026-11-28T13:00:00.000Z ERROR   [worker 9 slot 0 pid 1] died: signal SIGSEGV after 1.0 s"
TEXT = f"no such page\n{FORGED}\r{FORGED}\x85{FORGED}\u2028{FORGED}\n{CLEAR}{TITLE}\x9b31m\u202eend of it"
DRIVES = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202e]")


def checked(log: str) -> None:
    """Nothing in it acts, and nobody has a line that isn't his."""
    assert not DRIVES.search(log), ascii(log)
    assert not [line for line in log.splitlines() if line.startswith(FORGED)]


@pytest.mark.parametrize("command", ["run", "pid1"])
@pytest.mark.parametrize("form", ["text", "json"])
def test_the_text_of_an_exception(start: Start, command: str, form: str) -> None:
    pool = start("ok:app", *ONE, "--log-format", form, command=command).ready()
    assert pool.get(f"/raise?why={quote(TEXT)}").status_code == 500
    log = pool.until_log("end of it")
    checked(log)
    assert r"\x1b[2J\x1b]0;owned\x07\x9b31m\u202eend of it" in log.replace("\\\\", "\\")
    if form == "text":
        assert len(re.findall(rf"^(worker [^|]* \| )?  \| {re.escape(FORGED)}", log, re.MULTILINE)) == 1
        assert re.search(r"^(worker [^|]* \| )?  \| RuntimeError: no such page$", log, re.MULTILINE)


@pytest.mark.parametrize("form", ["text", "json"])
def test_what_the_application_prints_into_a_relay(start: Start, form: str) -> None:
    """Its lines stay lines, each of them its worker's."""
    pool = start("ok:app", *ONE, "--log-format", form, "--log-prefix", "always").ready()
    pool.get(f"/say?text={quote(TEXT)}")
    log = pool.until_log("end of it")
    checked(log)
    assert "no such page" in log


def test_why_it_is_not_ready(start: Start) -> None:
    pool = start("ok:app", *ONE, "--name", f"shop{TITLE}").ready()
    pool.get(f"/set_ready?ready=0&why={quote(TEXT)}")
    why = until(lambda: (answer := pool.admin("/readyz")).status_code == 503 and answer.text, "not ready")
    assert r"no such page\n" in str(why)
    checked(str(why))
    assert len(str(why).splitlines()) == 1
    page = pool.admin("/").text
    assert r"shop\x1b]0;owned\x07" in page
    checked(page)
    checked(pool.log)
    assert r"shop\x1b]0;owned\x07: 1 worker on" in pool.log
    assert json.loads(pool.admin("/status").text)["name"] == f"shop{TITLE}"


def test_the_live_table() -> None:
    terminal = Terminal("ok:app", *ONE, "--bind", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--name", f"shop{TITLE}")
    try:
        port = int(terminal.shows(r"on 127\.0\.0\.1:(\d+)")[1])
        terminal.shows("│ ready")
        for path in ("/raise?why=", "/say?text="):
            ask(port, path + quote(TEXT))
        until(lambda: terminal.text.count("end of it") >= 2, "both on the terminal")
        assert r"shop\x1b]0;owned\x07" in terminal.text
        for sequence in (CLEAR, TITLE, "\x9b"):
            assert sequence not in terminal.raw
    finally:
        terminal.close()
