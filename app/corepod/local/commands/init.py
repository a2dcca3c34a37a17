"""`corepod init`: a commented corepod.toml for the application in this folder."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from corepod.config.document import FILE
from corepod.config.schema import schema
from corepod.contract.exits import EXIT_OK, EXIT_SETTINGS
from corepod.local import discovery, output
from corepod.local.discovery import Found
from corepod.local.pools import CommandError
from corepod.migrate.model import quoted

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

SCHEMA = ".corepod.schema.json"
MOST_OTHERS = 4


def configure(parser: ArgumentParser) -> None:
    parser.add_argument(
        "app", nargs="?", metavar="MODULE:ATTRIBUTE", help="the application; by default it is looked for in this folder"
    )
    parser.add_argument("--force", action="store_true", help=f"replace a {FILE} that is there")
    parser.add_argument("--print", dest="only_print", action="store_true", help="print the file, and write nothing")
    output.add_json(parser, "print JSON: what was found and written")


def main(options: Namespace) -> int:
    """Write the file, and say what comes next. Raises CommandError."""
    found = [Found(options.app, "")] if options.app else discovery.find(Path())
    if not found:
        raise CommandError(
            "no application was found in this folder; name it: corepod init MODULE:ATTRIBUTE", EXIT_SETTINGS
        )
    text = content(found, Path().resolve().name, has_env_file=Path(".env").is_file())
    if options.only_print:
        print(text, end="")
        return EXIT_OK
    _write(text, force=options.force)
    if options.json:
        output.dump({"app": found[0].app, "file": found[0].file, "wrote": [FILE, SCHEMA]})
        return EXIT_OK
    where = f", found in {found[0].file}" if found[0].file else ""
    print(f"wrote {FILE} for {found[0].app}{where}, and {SCHEMA} for editors")
    print("Next: corepod check    says whether it would start")
    print("      corepod run      runs it on every usable core of this machine")
    print("      corepod systemd  prints a unit that runs it after each boot")
    return EXIT_OK


def content(found: list[Found], folder: str, *, has_env_file: bool) -> str:
    """The text of the file for the first one that was found; the others are named in a comment."""
    first, *others = found
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", folder).strip("-") or "app"
    lines = [
        f"#:schema ./{SCHEMA}",
        "# All settings: corepod run --help. A flag or a variable COREPOD_... takes precedence over this file;",
        "# corepod config shows every value and where it comes from.",
        "",
        *(f"# Also found: {quoted(one.app)} in {one.file}" for one in others[:MOST_OTHERS]),
        f"app = {quoted(first.app)}",
        f"name = {quoted(name)}",
        *([f"chdir = {quoted(first.chdir)}"] if first.chdir else []),
        'workers = "auto"               # one for each usable core',
        'bind = ["127.0.0.1:8000"]      # :8000 for all addresses, unix:/run/app.sock for a Unix socket',
        "# access_log = true",
        f'{"" if has_env_file else "# "}env_file = ".env"              # variables of the application',
        "",
        "# What production changes: corepod run --env production. Small letters are settings, capitals variables.",
        "# [env.production]",
        '# log_format = "json"',
        '# DATABASE_URL = "postgres://..."',
        "",
        "# Several applications: each has a table, and what stands above are their defaults; corepod run NAME.",
        "# [apps.admin]",
        '# app = "admin:app"',
        '# bind = ["127.0.0.1:8001"]',
    ]
    return "\n".join(lines) + "\n"


def _write(text: str, *, force: bool) -> None:
    try:
        with open(FILE, "w" if force else "x", encoding="utf-8") as file:
            file.write(text)
        Path(SCHEMA).write_text(json.dumps(schema(), indent=2) + "\n", encoding="utf-8")
    except FileExistsError:
        raise CommandError(
            f"there is a {FILE} already, and it was left alone; --force replaces it", EXIT_SETTINGS
        ) from None
    except OSError as error:
        raise CommandError(f"{FILE} can't be written: {error}", EXIT_SETTINGS) from error
