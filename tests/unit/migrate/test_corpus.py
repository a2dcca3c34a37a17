"""The corpus that `corepod migrate` is measured on is like what was counted, and covered."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from typing import Any

import pytest

from tools.corpus import usage
from tools.corpus.entries import CORPUS, GUNICORN, Entry, of_gunicorn, read

COUNTS: dict[str, Any] = tomllib.loads((CORPUS / "counts.toml").read_text())
CONFIGURATIONS = 2  # by which a group may differ from the counts
POINTS = 3.0  # by which all groups of gunicorn together may
SETTINGS = COUNTS["gunicorn"]["settings"]
TABLES = [
    (group, pattern, percent)
    for group, rows in COUNTS.items()
    if group != "gunicorn"
    for pattern, percent in rows.items()
]


@cache
def entries() -> list[Entry]:
    return read()


@cache
def gunicorn() -> list[tuple[str, Entry, list[str]]]:
    return of_gunicorn(entries())


@cache
def flat() -> list[dict[str, str]]:
    """The settings of each configuration of gunicorn, with their values as they are written."""
    return [
        usage.of_words(words) | (usage.of_file(entry.settings_file) if entry.settings_file else {})
        for _, entry, words in gunicorn()
    ]


def used() -> dict[str, list[dict[str, str]]]:
    found: dict[str, list[dict[str, str]]] = {group: [] for group in GUNICORN}
    for (group, _, _), settings in zip(gunicorn(), flat(), strict=True):
        found[group].append(settings)
    return found


def test_as_many_configurations_of_gunicorn_as_were_counted() -> None:
    assert {group: len(found) for group, found in used().items()} == COUNTS["gunicorn"]["sizes"]


@pytest.mark.parametrize("names", SETTINGS)
def test_the_settings_of_gunicorn_are_used_as_often_as_was_counted(names: str) -> None:
    counted = SETTINGS[names]
    wanted = set(names.split("|"))
    have = {group: sum(bool(wanted & one.keys()) for one in found) for group, found in used().items()}
    shares = COUNTS["gunicorn"]["sizes"]
    off = {
        group: f"{number} of {shares[group]}, counted {counted[group]} %"
        for group, number in have.items()
        if abs(number - counted[group] * shares[group] / 100) > CONFIGURATIONS
    }
    overall = 100 * sum(have.values()) / sum(shares.values())
    if abs(overall - counted["all"]) > POINTS:
        off["all"] = f"{overall:.1f} %, counted {counted['all']} %"
    assert not off, have


def units(group: str) -> list[str]:
    """What a table counts: programs of supervisord's files, or else whole entries."""
    if group == "supervisord":
        programs = [part for one in entries() if one.group == group for part in re.split(r"(?m)^(?=\[)", one.text)]
        return [part for part in programs if re.search(r"command=.*(gunicorn|uvicorn|runserver)", part)]
    return [entry.text for entry in entries() if entry.group == group.removesuffix("_files")]


@pytest.mark.parametrize(("group", "pattern", "percent"), TABLES)
def test_the_rows_of_other_groups_are_as_frequent_as_was_counted(group: str, pattern: str, percent: int) -> None:
    texts = units(group)
    have = sum(re.search(pattern, text, re.MULTILINE) is not None for text in texts)
    assert abs(have - percent * len(texts) / 100) <= CONFIGURATIONS, f"{have} of {len(texts)}, counted {percent} %"


def near(have: int, percent: float, of: int) -> bool:
    return abs(have - percent * of / 100) <= CONFIGURATIONS


def test_as_many_files_of_gunicorn_read_the_environment_as_was_counted() -> None:
    paths = [entry.settings_file for entry in entries() if entry.group == "F" and entry.settings_file]
    have = sum(map(usage.reads_environment, paths))
    assert near(have, COUNTS["gunicorn"]["properties"]["reads the environment"]["F"], len(paths)), have


def test_command_lines_without_flags_and_with_one_process_are_as_frequent_as_was_counted() -> None:
    lines = [(entry, settings) for (group, entry, _), settings in zip(gunicorn(), flat(), strict=True) if group == "C"]
    bare = sum(not settings for _, settings in lines)
    one = sum(
        settings.get("workers", "1") == "1" and "config" not in settings and "WEB_CONCURRENCY" not in entry.text
        for entry, settings in lines
    )
    counted = COUNTS["gunicorn"]["properties"]
    assert near(bare, counted["no flag"]["C"], len(lines)), bare
    assert near(one, counted["one process"]["C"], len(lines)), one


def test_hooks_that_only_log_are_no_more_frequent_than_was_counted() -> None:
    bodies = [logs for entry in entries() if entry.settings_file for _, logs in usage.hooks(entry.settings_file)]
    counted = COUNTS["gunicorn"]["properties"]["hooks that only log"]["bodies"]
    assert counted - 5 <= 100 * sum(bodies) / len(bodies) <= counted + 3, (sum(bodies), len(bodies))


KINDS = {
    "0.0.0.0 and a port": ("bind", r".*0\.0\.0\.0\W?:\d+.*"),
    "Unix socket": ("bind", r"\W?unix:.*"),
    "uvicorn": ("worker_class", r".*[Uu]vicorn.*"),
    "gevent": ("worker_class", r".*\bgevent\W*"),
    "eventlet": ("worker_class", r"\W?eventlet\W?"),
    "gthread": ("worker_class", r".*\bgthread\b.*"),
    "sync": ("worker_class", r"\W?sync\W?"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_values_are_as_frequent_as_was_counted(kind: str) -> None:
    name, pattern = KINDS[kind]
    counted = COUNTS["gunicorn"]["values"][kind]
    have = sum(re.fullmatch(pattern, settings.get(name, "")) is not None for settings in flat())
    assert abs(have - counted) <= max(CONFIGURATIONS, counted / 10), have
