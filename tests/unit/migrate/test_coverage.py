"""How much of the corpus `corepod migrate` covers, and that corepod accepts each corepod.toml that it writes."""

from __future__ import annotations

import json
import re
import shutil
import sys
from typing import TYPE_CHECKING

import pytest
from corepod.config.apps import resolve_all
from corepod.config.resolve import SettingsError
from corepod.migrate.toml import document

from tools.corpus import __main__ as command
from tools.corpus.__main__ import covered, shares

if TYPE_CHECKING:
    from pathlib import Path

    from tools.corpus.outcome import Outcome

# Percent that may not fall. Where less than 95 is asked for, the rest can't be known from the configuration: the
# several sockets of one program (supervisord); programs that aren't web applications, or that say nowhere what their
# application is (PM2); images that start something else, and pods that are scaled by memory (Kubernetes).
LEAST = {
    "gunicorn": 95,
    "uvicorn": 95,
    "uvicorn_by_flag": 95,
    "systemd": 95,
    "systemd_documented": 95,
    "supervisord": 95,
    "pm2": 85,
    "kubernetes": 80,
}
# What these configurations ask for and this machine hasn't got.
ELSEWHERE = re.compile(
    r"can't be read: no such file|there is no folder|only root may run workers|there is no (user|group)"
    r"|uvloop isn't installed"
)


# The first of them to run waits until all configurations have been executed.
pytestmark = pytest.mark.timeout(600)


@pytest.mark.parametrize("group", LEAST)
def test_the_share_that_is_covered(corpus: list[Outcome], group: str) -> None:
    if group == "pm2" and shutil.which("node") is None:
        pytest.skip("most of PM2's configurations are programs for Node, which isn't here")
    row = shares(corpus)[group]
    left = {one.entry.name: one.costs for one in row if one.costs}
    assert covered(row) >= LEAST[group], left


def test_corepod_accepts_each_file_that_is_written(corpus: list[Outcome], tmp_path: Path) -> None:
    path = tmp_path / "corepod.toml"
    refused = {}
    for one in corpus:
        if one.migration is None or not one.programs or not all("app" in program.settings for program in one.programs):
            continue
        path.write_text(document(one.migration))
        try:
            resolve_all({}, {}, str(path))
        except SettingsError as error:
            faults = [fault for fault in error.faults if not ELSEWHERE.search(fault)]
            if faults:
                refused[one.entry.name] = faults
    assert not refused


def test_most_configurations_say_which_application_they_run(corpus: list[Outcome]) -> None:
    for one in shares(corpus)["gunicorn"]:
        assert all(program.settings.get("app") for program in one.programs), one.entry.name


def test_the_command_prints_each_group_and_what_covered_means(
    corpus: list[Outcome], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "outcomes", lambda: corpus)
    monkeypatch.setattr(sys, "argv", ["corpus"])
    command.main()
    printed = capsys.readouterr().out
    assert "gunicorn, well-known projects" in printed
    assert "dropped without a difference" in " ".join(printed.split())
    monkeypatch.setattr(sys, "argv", ["corpus", "--json"])
    command.main()
    assert json.loads(capsys.readouterr().out)["groups"]["uvicorn"]["configurations"] == 60
