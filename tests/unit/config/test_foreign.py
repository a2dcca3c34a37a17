"""Flags of other servers: none is taken for the application, and each is answered with what to use instead."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from corepod.config import foreign
from corepod.config.foreign import take
from corepod.config.spec import SETTINGS
from corepod.contract.exits import EXIT_SETTINGS
from corepod.subcommands import COMMANDS

ROOT = Path(__file__).parents[3]
OURS = {setting.flag for setting in SETTINGS}
GUNICORN = "-w 2 -k uvicorn.workers.UvicornWorker -b :80 --threads 4 -t 30 --graceful-timeout 9 --max-requests 100 -D"
UVICORN = (
    "--host 0.0.0.0 --port 80 --reload --proxy-headers --forwarded-allow-ips=* --ssl-keyfile k --log-config f.yaml "
    "--timeout-keep-alive 5 --limit-concurrency 10 --uds s --app-dir src --root-path /api --workers 2"
)
PM2 = "-i max --watch --max-memory-restart 300M -n shop"


@pytest.mark.parametrize(
    ("line", "left", "count"),
    [
        (GUNICORN, ["-w", "2", "-b", ":80", "--max-requests", "100"], 5),
        (UVICORN, ["--reload", "--root-path", "/api", "--workers", "2"], 9),
        (PM2, [], 4),
    ],
)
def test_the_usual_lines_of_others(line: str, left: list[str], count: int) -> None:
    rest, faults = take([*line.split(), "main:app"])
    assert rest == [*left, "main:app"]
    assert len(faults) == count


@pytest.mark.parametrize(
    ("line", "address"),
    [
        ("--host 0.0.0.0 --port 80", "0.0.0.0:80"),
        ("--port=80", "127.0.0.1:80"),
        ("--host example.org", "example.org:8000"),
        ("--host ::1 --port 81", "[::1]:81"),
        ("--host --access-log", "127.0.0.1:8000"),
    ],
)
def test_host_and_port_become_an_address(line: str, address: str) -> None:
    _, (fault,) = take(line.split())
    assert fault.endswith(f"write --bind {address}")


def test_ones_own_arguments_stay_as_they_are() -> None:
    words = ["main:app", "--bind=unix:/run/a=b", "--name", "", "-w4", "--access-log-format", "%(h)s"]
    assert take(words) == (words, [])


@pytest.mark.parametrize("answer", sorted({answer for _, answer in foreign._ANSWERS.values()}))
def test_an_answer_names_flags_that_exist(answer: str) -> None:
    named = set(re.findall(r"--[a-z][a-z-]+", answer))
    assert named <= {*OURS, "--config"}


@pytest.mark.parametrize("answer", sorted({answer for _, answer in foreign._ANSWERS.values()}))
def test_an_answer_names_commands_and_documents_that_exist(answer: str) -> None:
    assert set(re.findall(r"corepod ([a-z]\w+)", answer)) - {"in"} <= set(COMMANDS)
    assert all((ROOT / page).exists() for page in re.findall(r"docs/[\w./-]+\.md", answer))


@pytest.mark.parametrize(
    ("flag", "named"),
    [
        ("--daemon", "corepod start"),
        ("--watch", "corepod dev"),
        ("--limit-max-requests", "--max-requests"),
        ("--workers-lifetime", "--max-age"),
        ("--max-memory-restart", "--max-memory"),
        ("--cron-restart", "--recycle-at"),
        ("--timeout-keep-alive", "--keep-alive"),
        ("--limit-concurrency", "--limit-requests"),
        ("--pid", "--pid-file"),
        ("--ignore-watch", "--reload-exclude"),
        ("--output", "--log-file"),
    ],
)
def test_what_has_an_answer_now(flag: str, named: str) -> None:
    _, (fault,) = take([flag, "x"] if not foreign._ANSWERS[flag][0] else [flag])
    assert named in fault.replace(flag, "", 1)


def test_no_flag_of_ours_is_answered() -> None:
    assert not OURS & set(foreign._ANSWERS)


def corepod(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "corepod", *args], capture_output=True, text=True, check=False)


def test_all_of_them_are_reported_together() -> None:
    done = corepod("run", "--host", "0.0.0.0", "main:app", "--watch", "--wrokers", "3", "--threads", "4")
    assert done.returncode == EXIT_SETTINGS
    phrases = (
        "--bind 0.0.0.0:8000",
        "no flag --watch; corepod",
        "did you mean --workers?",
        "--wsgi-threads",
        "nothing was",
    )
    for phrase in phrases:
        assert phrase in done.stderr
    assert "0.0.0.0'" not in done.stderr  # the value hasn't become an argument of its own


@pytest.mark.parametrize("words", [["main:app"], ["-w", "4", "main:app"], ["--host", "0.0.0.0", "main:app"]])
def test_a_command_that_is_missing(words: list[str]) -> None:
    done = corepod(*words)
    assert done.returncode == EXIT_SETTINGS
    assert f"write corepod run {' '.join(words)}\n" in done.stderr


def test_short_flags_are_understood() -> None:
    shown = corepod("config", "main:app", "-w", "4", "-b", ":8123").stdout
    assert re.search(r"workers +4 +--workers", shown)
    assert re.search(r"bind +\*:8123 +--bind", shown)


def test_help_begins_with_what_most_people_set() -> None:
    text = corepod("run", "--help").stdout
    assert text.startswith("usage: corepod run [FLAG ...] MODULE:ATTRIBUTE\n")
    groups = re.findall(r"^(\S.*):$", text, re.MULTILINE)
    assert groups[groups.index("Most used") + 1] == "Application"
    common = text[text.index("Most used:") : text.index("\nApplication:")]
    assert len(re.findall(r"^  -", common, re.MULTILINE)) == 10
    for setting in SETTINGS[1:]:
        assert len(re.findall(rf"^  (?:-\w(?: \w+)?, )?{setting.flag}\b(?!-)", text, re.MULTILINE)) == 1, setting.flag
