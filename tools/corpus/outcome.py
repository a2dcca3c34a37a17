"""What `corepod migrate` makes of each configuration of the corpus."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from enum import Enum

from corepod.migrate.formats import read_all
from corepod.migrate.model import Context, Fate, MigrateError, Migration, Program

from tools.corpus.entries import CORPUS, Entry, read

# Cores of the machine that the configurations are read on: those of this one would change what becomes of them.
CORES = 4
# What users have installed where they run the command: modules that configurations import.
INSTALLED = str(CORPUS / "installed")
NOTHING = "no application is named in it"
MEANING = (
    "covered: every setting is mapped, or dropped without a difference that users see; with CHECK: provided that the "
    "assumptions hold that corepod migrate names beside the settings"
)


class Verdict(Enum):
    OUTRIGHT = "outright"
    CHECK = "check"
    NOT = "not"


@dataclass(frozen=True)
class Outcome:
    """One configuration: an entry, or a program of one where `group` is S. `costs` are the settings that aren't
    covered, or why nothing could be made of it."""

    group: str
    entry: Entry
    programs: tuple[Program, ...]
    costs: tuple[str, ...]
    migration: Migration | None = None

    @property
    def verdict(self) -> Verdict:
        if self.costs:
            return Verdict.NOT
        return Verdict.CHECK if any(one.of(Fate.CHECK) for one in self.programs) else Verdict.OUTRIGHT


def context(entry: Entry) -> Context:
    """Variables of its own, and never those of this machine."""
    told = re.match(r"\S+ variables: (.+)\n", entry.text)
    own = dict(word.split("=", 1) for word in shlex.split(told[1])) if told else {}
    folder = entry.path.parent if entry.path else CORPUS
    return Context({"PYTHONPATH": INSTALLED, "PYTHONDONTWRITEBYTECODE": "1", **own}, folder, cores=CORES)


def outcomes() -> list[Outcome]:
    """Of the whole corpus. A configuration of gunicorn that systemd or supervisord starts is in S and in its own."""
    return [one for entry in read() for one in _of(entry)]


def sources(entry: Entry) -> list[str]:
    """A manifest whose image says what starts has the Dockerfile beside it, as its repository has."""
    image = CORPUS / "kubernetes" / "images" / f"{entry.name.partition('.')[0]}.Dockerfile"
    if entry.group == "kubernetes" and image.is_file():
        return [entry.name, str(image)]
    return [entry.line or entry.name]


def _of(entry: Entry) -> list[Outcome]:
    try:
        migration = read_all(sources(entry), context(entry))
    except MigrateError as error:
        return [Outcome(entry.group, entry, (), (str(error),))]
    programs = tuple(migration.programs)
    costs = tuple(cost for one in programs for cost in _costs(one)) if programs else (NOTHING,)
    found = [Outcome(entry.group, entry, programs, costs, migration)]
    if entry.group.startswith(("systemd", "supervisord")):
        found += [Outcome("S", entry, (one,), _costs(one), migration) for one in programs if one.server == "gunicorn"]
    return found


def _costs(program: Program) -> tuple[str, ...]:
    return tuple(dict.fromkeys(item.setting for item in program.of(Fate.NEEDS_YOU)))
