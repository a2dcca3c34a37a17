"""The notes after an installation: every command in them runs."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

from tests.e2e.kube import DEADLINE, helm, run, until

if TYPE_CHECKING:
    from tests.e2e.release import Release

ENDLESS = re.compile(r"port-forward| --watch")


def run_all(release: Release) -> dict[str, str]:
    """What each command has said."""
    notes = helm("get", "notes", release.name, "-n", release.namespace)
    return {command: _said(command) for command in commands(notes)}


def commands(notes: str) -> list[str]:
    """Each command, with the lines before it that set its variables."""
    found, before = [], ""
    for line in re.findall(r"^  (\S.*)$", notes, re.MULTILINE):
        command = re.sub(r" +# .*", "", line)
        if re.match(r"[a-z]+=|case ", command):
            before += command + "\n"
        elif re.match(r"kubectl |helm |curl ", command) and "127.0.0.1:8000" not in command:
            found.append(before + command)
            before = ""
    return found


def _said(command: str) -> str:
    if ENDLESS.search(command):
        # A port of this machine is any free one.
        return _first_line(re.sub(r"(port-forward \S+) (?:\d+:)?(\d+)$", r"\1 :\2", command))
    # What leads to a pod may be refused for a moment after it is ready.
    return until(lambda: run("sh", "-ec", command.replace("curl ", "curl -fsS "), deadline=2 * DEADLINE), command)


def _first_line(command: str) -> str:
    """Of a command that goes on until it is interrupted."""
    with subprocess.Popen(["sh", "-ec", f"exec timeout {DEADLINE:g} {command}"], stdout=-1, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        process.terminate()
    assert line, f"nothing from {command}"
    return line
