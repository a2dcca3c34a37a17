"""The log of a pool that systemd runs: journalctl shows it."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING

from corepod.contract.exits import EXIT_FAILED
from corepod.local.loglines import entries
from corepod.local.pools import CommandError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Iterator

    from corepod.local.loglines import Entry


def unit(pid: int) -> list[str]:
    """The arguments of journalctl that name the unit of this process. Raises CommandError."""
    try:
        with open(f"/proc/{pid}/cgroup", encoding="utf-8") as file:
            return named(file.read())
    except (OSError, ValueError) as error:
        raise CommandError(
            f"the journal has the log, and the unit of process {pid} isn't known", EXIT_FAILED
        ) from error


def named(cgroup: str) -> list[str]:
    """The same, by what /proc/PID/cgroup says. Raises ValueError where no unit is in it.

    A service of a user is below the service manager of that user, which is a unit of the system.
    """
    for line in cgroup.splitlines():
        path = line.split(":", 2)[-1]
        units = re.findall(r"[^/]+\.(?:service|scope)(?=/|$)", path)
        if units:
            return ["--user-unit" if re.search(r"/user@\d+\.service/", path) else "--unit", units[-1]]
    raise ValueError("no unit")


def show(unit: list[str], options: argparse.Namespace, show: Callable[..., None]) -> int:
    """Run journalctl for the unit; what it shows is its own output, unless lines have to be chosen or be JSON."""
    if shutil.which("journalctl") is None:
        raise CommandError(
            f"the journal has the log of {unit[-1]}, and there is no journalctl here: ask for it on the host",
            EXIT_FAILED,
        )
    command = ["journalctl", *unit, "--no-pager", f"--lines={options.lines}"]
    command += ["--follow"] if options.follow else []
    if options.slot is None and not options.json:
        return subprocess.run(command, check=False).returncode
    with subprocess.Popen([*command, "--output=cat"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for entry in _entries(process.stdout, options.follow):
            if options.slot is None or entry.is_about(options.slot):
                show([entry], as_json=options.json)
    return process.returncode


def _entries(lines: Iterable[bytes], follow: bool) -> Iterator[Entry]:
    """Followed, each line counts as complete: what continues an entry may come late, or never."""
    stripped = (line.rstrip(b"\n") for line in lines)
    if not follow:
        yield from entries(stripped)
    else:
        for line in stripped:
            yield from entries([line])
