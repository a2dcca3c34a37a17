"""`corepod migrate`: what the configuration of another server becomes, and why."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corepod.config.document import FILE
from corepod.contract.exits import EXIT_OK, EXIT_SETTINGS
from corepod.local import discovery, output
from corepod.local.pools import CommandError
from corepod.migrate import formats, toml
from corepod.migrate.model import Context, Fate, MigrateError

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from corepod.migrate.model import Migration, Program

TITLES = {
    Fate.MAPPED: "corepod does the same",
    Fate.CHECK: "Check: the same if the note holds",
    Fate.DROPPED: "Not needed any more",
    Fate.NEEDS_YOU: "These need you",
}
LONGEST = 60  # of a value in a table


def configure(parser: ArgumentParser) -> None:
    parser.add_argument(
        "source",
        nargs="+",
        metavar="SOURCE",
        help="file (gunicorn.conf.py, Procfile, unit, supervisord.conf, ecosystem file, manifest, Dockerfile, compose "
        "file), or a command line: in quotes, or its words after --; - is standard input. A Dockerfile beside a "
        "manifest says what its image starts",
    )
    parser.add_argument(
        "--write",
        action="store_true",
        help=f"write {FILE} into this folder in place of printing it, and NAME.corepod for each other file that "
        "changes (a unit, a Dockerfile, the chart's values); the files of the other server stay as they are",
    )
    parser.add_argument("--force", action="store_true", help="with --write: replace files that are there")
    parser.add_argument(
        "--no-execute",
        dest="execute",
        action="store_false",
        help="execute nothing: gunicorn.conf.py is Python, and is otherwise executed as gunicorn does, with the "
        "variables that are set here",
    )
    output.add_json(parser, "print JSON: settings, files and what became of each setting")


def main(options: Namespace) -> int:
    """Print what was found, and write the file where that is asked for. 0 also where something needs a person: the
    output says what. Raises CommandError."""
    context = Context(os.environ, Path.cwd(), options.execute)
    migration = _read(options.source, context)
    for program in migration.programs:
        _application(program)
    text = toml.document(migration) if migration.programs else ""
    wrote = _write(migration, text, force=options.force) if options.write else []
    if options.json:
        output.dump(as_json(migration, text))
    else:
        _print(migration, text, wrote)
    return EXIT_OK


def _read(sources: list[str], context: Context) -> Migration:
    words = [word for at, word in enumerate(sources) if at or word != "--"]
    words = [sys.stdin.read() + "\n" if word == "-" else word for word in words]
    # Files, one after the other, or the words of one command line.
    each = words if all(os.path.exists(word) or " " in word or "\n" in word for word in words) else [shlex.join(words)]
    if len(words) == 1:
        each = words
    try:
        return formats.read_all(each, context)
    except MigrateError as error:
        raise CommandError(str(error), EXIT_SETTINGS) from None


def _application(program: Program) -> None:
    """A file alone doesn't say which application it is for."""
    if "app" in program.settings or not (found := discovery.find(Path())):
        return
    program.use("application", "not given", "app", found[0].app, f"found in {found[0].file}", check=True)
    if found[0].chdir and "chdir" not in program.settings:
        program.settings["chdir"] = found[0].chdir
    program.name = program.name or found[0].app.partition(":")[0]


def _write(migration: Migration, text: str, *, force: bool) -> list[str]:
    """Write corepod.toml, and the other files beside those in whose place they come: nothing of another server is
    overwritten. Returns the names."""
    if not text:
        raise CommandError(f"no web application was found, and no {FILE} was written", EXIT_SETTINGS)
    own = {name: content for one in migration.programs for name, content in one.files.items()}
    others = {name: content for name, content in migration.files.items() if name not in own}
    files = {FILE: text, **own, **{_beside(name): content for name, content in others.items()}}
    there = [name for name in files if os.path.lexists(name)]
    if there and not force:
        which = ", ".join(there)
        raise CommandError(
            f"there is a {which} already, and nothing was written; --force replaces what is there", EXIT_SETTINGS
        )
    for name, content in files.items():
        try:
            with open(name, "w" if force else "x", encoding="utf-8") as file:
                file.write(content)
        except OSError as error:
            raise CommandError(f"{name} can't be written: {error.strerror}", EXIT_SETTINGS) from error
    return list(files)


def _beside(name: str) -> str:
    """In this folder, whatever folder the file has its place in."""
    return f"{name.replace('/', '-')}.corepod"


def as_json(migration: Migration, text: str) -> dict[str, Any]:
    """Everything, for programs."""
    return {
        "source": migration.source,
        "kind": migration.kind,
        "programs": [
            {
                "name": name,
                "server": program.server,
                "covered": program.covered,
                "settings": program.settings,
                "variables": program.variables,
                "environments": program.environments,
                "items": [{**vars(item), "fate": item.fate.value} for item in program.items],
            }
            for name, program in zip(toml.names(migration.programs), migration.programs, strict=True)
        ],
        FILE: text,
        "files": migration.files,
        "notes": migration.notes,
    }


def _print(migration: Migration, text: str, wrote: list[str]) -> None:
    if wrote:
        output.say(f"wrote {', '.join(wrote)}")
    for name, content in ({} if wrote else {FILE: text, **migration.files}).items():
        if content:
            output.say(f"# {name}", "bold")
            output.say(content)
    for name, program in zip(toml.names(migration.programs), migration.programs, strict=True):
        of = f" ({name})" if len(migration.programs) > 1 else ""
        for fate, title in TITLES.items():
            _table(program, fate, f"{title}{of}")
    for note in migration.notes:
        output.say(f"- {note}")
    if migration.programs:
        output.say(f"Next: {'' if wrote else f'--write writes {FILE}; '}corepod check says whether it would start")


def _table(program: Program, fate: Fate, title: str) -> None:
    if items := program.of(fate):
        output.say(title, "bold")
        rows = [(item.setting, _short(item.value), item.ours, item.note) for item in items]
        output.table(("setting", "value", "becomes", "why"), rows)
        output.say("")


def _short(value: str) -> str:
    line = " ".join(value.split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 3]}..."
