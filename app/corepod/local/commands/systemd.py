"""`corepod systemd`: units that run the applications after each boot."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corepod.config import document
from corepod.config.apps import resolve_all
from corepod.contract.exits import EXIT_OK, EXIT_SETTINGS
from corepod.local import output, unit
from corepod.local.pools import CommandError

if TYPE_CHECKING:
    from argparse import ArgumentParser

    from corepod.config.resolve import Effective
    from corepod.local.unit import Facts, Unit


def configure(parser: ArgumentParser) -> None:
    # The setting `user` can still be given in the file, and as COREPOD_USER.
    units = parser.add_argument_group("Units", conflict_handler="resolve")
    units.add_argument(
        "--user", dest="user_unit", action="store_true", help="units of this user's own service manager, without root"
    )
    units.add_argument("--run-as", metavar="USER", help="user of the service; by default the owner of this folder")
    units.add_argument(
        "--socket", action="store_true", help="socket activation: systemd opens the addresses, also across restarts"
    )
    units.add_argument("--write", metavar="FOLDER", help="write the units into this folder in place of printing them")
    units.add_argument("--force", action="store_true", help="with --write: replace units that are there")
    output.add_json(units)


def main(flags: dict[str, Any], faults: list[str]) -> int:
    """Print the units of the named application, or of all in the file. Raises SettingsError or CommandError."""
    options = {name: flags.pop(name) for name in ("user_unit", "run_as", "socket", "write", "force", "json")}
    file = document.asked_for(flags, os.environ)
    environment = flags.get("env") or os.environ.get("COREPOD_ENV") or ""
    made: list[Unit] = []
    for effective in resolve_all(flags, os.environ, file, faults=faults):
        for warning in effective.warnings:
            print(f"corepod: {warning}", file=sys.stderr)
        made += unit.units(effective, _facts(effective, options, file, environment))
    if options["write"]:
        _write(made, Path(options["write"]), force=options["force"])
    if options["json"]:
        output.dump({one.name: one.text for one in made})
    else:
        for one in made:
            shown = f"wrote {Path(options['write']) / one.name}" if options["write"] else one.text
            print(f"# {one.name}\n{shown}" if len(made) > 1 and not options["write"] else shown)
    return EXIT_OK


def _facts(effective: Effective, options: dict[str, Any], file: str | None, environment: str) -> Facts:
    if options["socket"] and not effective.values["bind"]:
        raise CommandError("a socket unit needs an address (--bind)", EXIT_SETTINGS)
    config = os.path.abspath(file or document.FILE)
    return unit.Facts(
        python=sys.executable,
        folder=os.getcwd(),
        prefix=sys.base_prefix,
        config=config if os.path.exists(config) else "",
        environment=environment,
        user_unit=options["user_unit"],
        socket=options["socket"],
        run_as=options["run_as"] or _owner("."),
        version=_version(),
    )


def _owner(folder: str) -> str:
    """Whom the folder belongs to; empty for root, as whom no application should run."""
    uid = os.stat(folder).st_uid
    try:
        return pwd.getpwuid(uid).pw_name if uid else ""
    except KeyError:
        return str(uid)


def _version() -> int:
    """That of the service manager here; 0 where there is none: its units then do with what all versions know."""
    if (program := shutil.which("systemctl")) is None:
        return 0
    try:
        shown = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=5, check=False).stdout
        return int(shown.split()[1])
    except (OSError, subprocess.TimeoutExpired, IndexError, ValueError):
        return 0


def _write(made: list[Unit], folder: Path, *, force: bool) -> None:
    there = [one.name for one in made if (folder / one.name).exists()]
    if there and not force:
        raise CommandError(
            f"{folder} has {', '.join(there)} already, and nothing was written; --force replaces it", EXIT_SETTINGS
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for one in made:
            (folder / one.name).write_text(one.text)
    except OSError as error:
        raise CommandError(f"the units can't be written: {error}", EXIT_SETTINGS) from error
