"""docs/migrating.md has a row for each setting and flag that corepod migrate knows, with the setting it becomes."""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from corepod.config.spec import BY_NAME
from corepod.migrate import granian, hypercorn, uvicorn
from corepod.migrate.formats import pm2_apps, pm2_sources, supervisord, systemd
from corepod.migrate.formats.taking import Taking
from corepod.migrate.gunicorn import mapping, table
from corepod.migrate.model import Program

from tools.corpus import __main__ as command

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tools.corpus.outcome import Outcome

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "migrating.md").read_text()
COMMANDS = re.findall(r"^    (.+)$", PAGE, re.MULTILINE)
SERVERS = {"uvicorn": uvicorn, "granian": granian, "hypercorn": hypercorn}


def rows(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("| ")]


def part(title: str) -> str:
    """The section, or the table of which this is the head."""
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    table_ = re.search(rf"^\| {title} \|.*\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    return (found or table_)[1]  # type: ignore[index]


def names(row: str) -> list[str]:
    return re.findall(r"`([^`]+)`", row)


def has(row: str, name: str) -> bool:
    """`syslog_*` names each setting that begins so. What stands behind the first column counts, too: `-c`."""
    return any(
        one == name or (one.endswith("*") and len(one) > 1 and name.startswith(one[:-1]))
        for one in names(row.split(" | ")[0])
    )


def unnamed(wanted: Iterable[str], text: str) -> list[str]:
    return [name for name in wanted if not any(has(row, name) for row in rows(text))]


def positive(flag: str) -> str:
    return flag.replace("--no-", "--", 1)


def test_every_setting_and_hook_of_gunicorn_is_named() -> None:
    assert unnamed(table.NAMES, part("gunicorn")) == []


@pytest.mark.parametrize("server", SERVERS)
def test_every_flag_of_other_servers_is_named(server: str) -> None:
    assert unnamed(map(positive, SERVERS[server].FLAGS), part(server)) == []


class Asked(dict[str, Any]):
    """Settings that remember which were looked for."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def __contains__(self, key: object) -> bool:
        self.names.add(str(key))
        return False

    def get(self, key: str, default: Any = None) -> Any:
        self.names.add(key)
        return default


def test_every_setting_of_pm2_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked()

    def taking(self: Taking, program: Program, settings: Any, prefix: str = "") -> None:
        self.program, self.left, self.prefix = program, asked, prefix

    monkeypatch.setattr(Taking, "__init__", taking)
    pm2_apps.settings({}, Program("shop", "pm2"), True)
    known = {*asked.names, *pm2_sources._SAME.split(), *pm2_apps._NODE_ONLY.split()}
    assert len(known) > 50
    assert unnamed(sorted(known), part("PM2")) == []


def test_every_key_of_supervisord_and_systemd_is_named() -> None:
    changed = inspect.getsource(supervisord._changes)
    keys = {*supervisord._KEPT, *re.findall(r'"(num\w+|process_name|socket\w*|stop\w+|command)"', changed)}
    assert unnamed(sorted(keys), part("supervisord")) == []
    assert unnamed([*systemd._COMMENTS, *systemd._NOTES], part("systemd")) == []


def renamed(rules: dict[str, Any]) -> dict[str, str]:
    """Settings that become one of ours as they are, with its name."""
    found = {name: inspect.getclosurevars(rule).nonlocals.get("ours") for name, rule in rules.items()}
    return {name: ours for name, ours in found.items() if ours in BY_NAME}


def test_rows_of_gunicorn_name_the_setting_that_a_setting_becomes() -> None:
    assert len(renamed(mapping.RULES)) > 10
    wrong = [
        f"{name}: {ours}"
        for name, ours in renamed(mapping.RULES).items()
        if not any(has(row, name) and (ours in row or "the same" in row) for row in rows(part("gunicorn")))
    ]
    assert wrong == []


@pytest.mark.parametrize("server", SERVERS)
def test_rows_name_the_flag_that_a_flag_becomes(server: str) -> None:
    flags, ours = SERVERS[server].FLAGS, renamed(SERVERS[server].RULES)
    assert len(ours) > 10
    wrong = [
        f"{flag}: {ours[one.name]}"
        for flag, one in flags.items()
        if one.name in ours
        and not any(
            has(row, positive(flag)) and (f"--{ours[one.name].replace('_', '-')}" in row or "the same" in row)
            for row in rows(part(server))
        )
    ]
    assert wrong == []


def test_what_the_page_calls_a_setting_of_corepod_is_one() -> None:
    """Flags in the second column of the tables of servers."""
    shown = {flag for server in SERVERS for row in rows(part(server)) for flag in names(row.split(" | ")[1])}
    flags = {flag.partition(" ")[0] for flag in shown if flag.startswith("--")}
    assert len(flags) > 20
    assert [flag for flag in flags if flag[2:].replace("-", "_") not in {*BY_NAME, "version"}] == []


def test_a_setting_without_a_row_is_found() -> None:
    """Negative control."""
    text = "| `syslog_*` | none | |\n| a `*` | `other` | |\n"
    assert unnamed(["syslog_addr", "other", "syslog"], text) == ["other", "syslog"]


@pytest.mark.timeout(600)
def test_the_command_of_the_page_works(
    corpus: list[Outcome], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert COMMANDS == ["make migrate-corpus"]
    recipe = re.search(r"^migrate-corpus:.*\n\t@\$\(BIN\)/(.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert recipe is not None
    assert recipe[1] == f"python -m {command.__name__.removesuffix('.__main__')} $(ARGS)"
    monkeypatch.setattr(command, "outcomes", lambda: corpus)  # to find them anew would take as long again
    monkeypatch.setattr(sys, "argv", ["corpus"])
    command.main()
    assert "covered: every setting is mapped, or dropped" in capsys.readouterr().out
