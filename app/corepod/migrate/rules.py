"""Applies one rule to each setting that is given, so that none is lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from corepod.config.spec import BY_NAME
from corepod.cpu import cores

if TYPE_CHECKING:
    from collections.abc import Mapping

    from corepod.migrate.given import Given
    from corepod.migrate.gunicorn.source import Source
    from corepod.migrate.model import Context, Program


@dataclass
class Case:
    """What is given, and the program that is made of it."""

    program: Program
    context: Context
    given: dict[str, Given] = field(default_factory=dict)
    source: Source | None = None  # of the file that gives them

    def use(self, given: Given, ours: str, to: Any, note: str = "", *, check: bool = False) -> None:
        """The setting becomes `ours`; the note says which variable has decided the value."""
        if given.reads:
            here = "not set here" if not any(name in self.context.environ for name in given.reads) else "as set here"
            decided = f"read from {', '.join(given.reads)} ({here}); {'COREPOD_' + ours.upper()} does that for corepod"
            note = f"{note}; {decided}" if note else decided
        self.program.use(given.setting, given.text, ours, to, note, check=check)

    def drop(self, given: Given, why: str) -> None:
        self.program.drop(given.setting, given.text, why)

    def ask(self, given: Given, what: str) -> None:
        self.program.ask(given.setting, given.text, what)

    def value(self, name: str, default: Any = None) -> Any:
        return self.given[name].value if name in self.given else default


ADDRESSES = ("bind", "host", "port")  # a variable that is missing may be that of a platform
Rule = Callable[[Case, "Given"], None]


def apply(case: Case, rules: Mapping[str, Rule]) -> None:
    """Each setting that is given becomes one item. A rule is needed for all names that can be given."""
    for name, given in case.given.items():
        if given.missing and name not in ADDRESSES:
            case.ask(given, f"{', '.join(given.missing)} isn't set here; set it and try again, or write the value")
            continue
        try:
            rules[name](case, given)
        except ValueError as error:
            case.ask(given, f"has no equivalent with this value: {error}")


def same(ours: str, note: str = "", *, check: bool = False) -> Rule:
    """The value is taken over as it is, as the kind of our setting has it."""

    def rule(case: Case, given: Given) -> None:
        case.use(given, ours, _as_ours(given, ours), note, check=check)

    return rule


def _as_ours(given: Given, ours: str) -> Any:
    kind = BY_NAME[ours].kind
    if kind in ("count", "bytes"):
        return given.count
    if kind == "seconds":
        return given.number
    if kind == "flag":
        return given.truth
    return given.words if kind in ("networks", "texts") else str(given.value)


def zero_is_off(ours: str, note: str = "") -> Rule:
    """As `same`, for a limit that isn't there with 0."""

    def rule(case: Case, given: Given) -> None:
        if given.number == 0:
            case.drop(given, "no limit, as by default")
        else:
            same(ours, note)(case, given)

    return rule


def dropped(why: str) -> Rule:
    return lambda case, given: case.drop(given, why)


def asked(what: str) -> Rule:
    return lambda case, given: case.ask(given, what)


def switch(on: Rule, off: str) -> Rule:
    """A flag: `on` is the rule where it is on; nothing is needed where it is off, for the reason `off`."""
    return lambda case, given: on(case, given) if given.truth else case.drop(given, off)


def usable(context: Context) -> int:
    """Cores that a pool could use here."""
    return context.cores or len(cores.usable().cores)
