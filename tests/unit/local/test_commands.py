"""The parts of the commands that need no pool."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from corepod import cli
from corepod.contract.exits import COMMAND_CODES, EXIT_CODES
from corepod.local import arguments, output
from corepod.local.client import Unreachable
from corepod.local.commands import completion, man
from corepod.local.commands.describe import exit_lines, serving_lines
from corepod.local.commands.events import Reader, follow
from corepod.local.outcomes import Outcome, of_restart
from corepod.subcommands import COMMANDS, Takes
from hypothesis import given
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from corepod.local.client import Client


def every_flag() -> set[tuple[str, str]]:
    parsers = arguments.commands(cli.parser(list(COMMANDS)))
    return {(name, flag) for name, one in parsers.items() for known in arguments.of(one) for flag in known.flags}


# The man page and the completions


def test_the_man_page_has_every_command_and_every_flag() -> None:
    page = "\n".join(man.page(cli.parser(list(COMMANDS))))
    assert {name for name, _ in every_flag()} >= {"run", "pid1", "reload", "hit", "operator"}
    parts = dict(re.findall(r"^\.SS corepod (\S+)\n(.*?)(?=^\.S|\Z)", page, re.MULTILINE | re.DOTALL))
    assert parts.keys() == COMMANDS.keys()
    for name, command in COMMANDS.items():
        if command.takes is Takes.SETTINGS:
            parts[name] += parts["run"]  # refers to it
    missing = [(n, flag) for n, flag in every_flag() if rf"\fB{flag.replace('-', chr(92) + '-')}\fR" not in parts[n]]
    assert missing == []
    for code in (*EXIT_CODES, *COMMAND_CODES):
        assert rf"\fB{code}\fR" in page


def test_the_man_page_is_sound() -> None:
    """groff finds nothing to complain about, and shows what roff might take for its own."""
    page = "\n".join(man.page(cli.parser(list(COMMANDS)))) + "\n"
    try:
        done = subprocess.run(
            ["groff", "-man", "-Tascii", "-ww", "-P-cbou"], input=page, capture_output=True, text=True, check=True
        )
    except FileNotFoundError:
        pytest.skip("groff isn't installed")
    assert done.stderr == ""
    assert "--stop-timeout" in done.stdout
    broken = subprocess.run(
        ["groff", "-man", "-Tascii", "-ww"], input=page + ".NO SUCH\n", capture_output=True, text=True, check=True
    )
    assert "NO" in broken.stderr


@pytest.mark.parametrize("text", [".TH x", "'x", "a\\b", "--x", "a\n.SH b"])
def test_text_is_no_macro(text: str) -> None:
    shown = man._text(text)
    assert not shown.startswith((".", "'"))
    assert "\n" not in shown


@pytest.mark.parametrize("shell", completion.SHELLS)
def test_each_completion_has_every_command_and_every_flag(shell: str) -> None:
    script = completion.script(cli.parser(list(COMMANDS)), shell)
    written = (lambda flag: f"-l {flag[2:]}") if shell == "fish" else (lambda flag: flag)
    assert [name for name in COMMANDS if not re.search(rf"\b{name}\b", script)] == []
    flags = {flag for _, flag in every_flag() if flag.startswith("--")}
    assert [flag for flag in flags if not re.search(re.escape(written(flag)) + r"(?![\w-])", script)] == []
    assert "_corepod_pools" in script


def complete(script: Path, *words: str, **env: str) -> list[str]:
    """What bash proposes for the last word."""
    propose = 'COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _shtab_corepod; printf "%s\\n" "${COMPREPLY[@]}"'
    code = f"source {script}; {propose}"
    done = subprocess.run(
        ["bash", "--norc", "-c", code, "bash", *words], capture_output=True, text=True, env=env, check=True
    )
    return done.stdout.split()


def test_bash_completes(tmp_path: Path) -> None:
    script, folder = tmp_path / "completion", tmp_path / "corepod"
    script.write_text(completion.script(cli.parser(list(COMMANDS)), "bash"))
    folder.mkdir()
    for name in ("shop.sock", "blog.sock", "other"):
        (folder / name).touch()
    env = {"XDG_RUNTIME_DIR": str(tmp_path), "PATH": "/usr/bin:/bin"}
    assert complete(script, "corepod", "rel", **env) == ["reload"]
    assert complete(script, "corepod", "reload", "--w", **env) == ["--wait"]
    # Pools of others in /run/corepod are proposed as well.
    found = complete(script, "corepod", "reload", "sh", **env)
    assert "shop" in found
    assert all(name.startswith("sh") for name in found)
    assert {"blog", "shop"} <= set(complete(script, "corepod", "stop", "", **env))
    assert complete(script, "corepod", "run", "--interface", "", **env) == ["auto", "asgi", "wsgi"]
    assert complete(script, "corepod", "scale", "shop", "", **env) == ["+1", "-1", "auto"]
    assert complete(script, "corepod", "hit", "--re", **env) == ["--requests"]


@pytest.mark.parametrize("name", COMMANDS)
def test_each_help_is_whole(name: str) -> None:
    """Each argument is explained; each command but those that serve has --json."""
    parser = arguments.commands(cli.parser([name]))[name]
    assert name in parser.format_help() or name == "operator"
    known = list(arguments.of(parser))
    assert [a for a in known if not a.help] == []
    if name not in ("run", "pid1", "dev", "completion", "man", "operator"):
        assert any("--json" in a.flags for a in known)


# Columns


CELL = st.text(st.characters(codec="ascii", categories=("L", "N")), max_size=8)


@given(st.lists(st.tuples(CELL, CELL, CELL), max_size=5))
def test_columns_have_as_many_words_in_each_line(rows: list[tuple[str, str, str]]) -> None:
    lines = output.plain(("one", "two", "three"), rows, ("two",))
    assert [line.split() for line in lines[1:]] == [[cell or "-" for cell in row] for row in rows]


# What is said of a slot


@pytest.mark.parametrize(
    ("worker", "state", "being_replaced", "old", "outcome"),
    [
        (1, "ready", True, 1, Outcome.UNDER_WAY),
        (1, "ready", False, 1, Outcome.FAILED),
        (2, "starting", False, 1, Outcome.UNDER_WAY),
        (2, "ready", False, 1, Outcome.DONE),
        (None, "starting", False, 1, Outcome.UNDER_WAY),
        (None, "starting", False, None, Outcome.UNDER_WAY),
        (None, "failed", False, None, Outcome.FAILED),
        (1, "ready", False, None, Outcome.DONE),
    ],
)
def test_what_becomes_of_a_restart(
    worker: int | None, state: str, being_replaced: bool, old: int | None, outcome: Outcome
) -> None:
    slot = {"worker": worker, "state": state, "ready": state == "ready", "being_replaced": being_replaced}
    assert of_restart(slot, old) is outcome


def test_lines_of_a_slot() -> None:
    end = {"time": 0.0, "worker": 3, "asked": False, "how": "signal SIGKILL after 1.0 s", "lost": 1}
    earlier = {**end, "time": -1.0, "asked": True, "how": "exit code 0"}
    lines = exit_lines([{"slot": 0, "exits": [end]}, {"slot": 1, "exits": [earlier]}])
    assert lines[0].endswith("slot 1 worker 3: asked to stop: exit code 0")
    assert lines[1].endswith("slot 0 worker 3: signal SIGKILL after 1.0 s")
    process = {"worker": 3, "serving": [{"request": "GET /", "for": 0.25}]}
    assert serving_lines({"slot": 2, "processes": [process]}) == ["slot 2 worker 3: GET / (0.2 s)"]


# Events


class Told:
    """A pool that keeps its latest events only, and is gone at times."""

    name = "shop"

    def __init__(self, kept: int = 3) -> None:
        self.since, self.number, self.kept, self.gone = 1.0, 0, kept, False

    def happen(self, count: int = 1) -> None:
        self.number += count

    def start_anew(self, since: float) -> None:
        self.since, self.number, self.gone = since, 0, False

    def get(self, path: str) -> dict[str, Any]:
        if self.gone:
            raise Unreachable("gone")
        after = int(path.partition("=")[2])
        first = max(after, self.number - self.kept)
        events = [{"number": n, "of": self.since} for n in range(first + 1, self.number + 1)]
        return {"since": self.since, "last": self.number, "events": events}


def numbers(told: tuple[list[dict[str, Any]], int]) -> tuple[list[int], int]:
    return [event["number"] for event in told[0]], told[1]


def reader(pool: Told) -> Reader:
    return Reader(pool)  # type: ignore[arg-type]


def test_each_event_is_told_once_and_a_gap_shows() -> None:
    pool = Told()
    read = reader(pool)
    pool.happen(2)
    assert numbers(read.new()) == ([1, 2], 0)
    assert numbers(read.new()) == ([], 0)
    pool.happen(5)
    assert numbers(read.new()) == ([5, 6, 7], 2)


@pytest.mark.parametrize("happened", [1, 2, 3])
def test_another_supervisor_counts_from_the_beginning(happened: int) -> None:
    """Whether it has had fewer events by now, as many, or more."""
    pool = Told()
    read = reader(pool)
    pool.happen(2)
    read.new()
    pool.start_anew(2.0)
    pool.happen(happened)
    events, missing = read.new()
    assert [event["number"] for event in events] == list(range(1, happened + 1))
    assert {event["of"] for event in events} == {2.0}
    assert missing == 0


def test_following_waits_for_the_pool(capsys: pytest.CaptureFixture[str]) -> None:
    pool = Told()
    steps: Iterator[Callable[[], None]] = iter(
        [lambda: setattr(pool, "gone", True), lambda: None, lambda: pool.start_anew(2.0), pool.happen]
    )
    pool.happen()
    client: Client = pool  # type: ignore[assignment]
    told = follow(client, lambda seconds: next(steps)())
    assert [next(told)["of"] for _ in range(2)] == [1.0, 2.0]
    said = capsys.readouterr().err
    assert said.count("waiting until it does") == 1
    assert said.count("is there again") == 1
