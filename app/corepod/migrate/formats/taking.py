"""A table of settings of which each is taken once; what nobody takes is a person's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from corepod.migrate.formats.documents import shown
from corepod.migrate.model import Fate, Item, Program

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def use_or_ask(
    program: Program, setting: str, value: str, ours: str, to: Any, why: str = "", *, check: bool = False
) -> None:
    """The setting becomes one of ours; a person's where its value is none of ours."""
    try:
        program.use(setting, value, ours, to, why, check=check)
    except ValueError as error:
        program.ask(setting, value, f"{ours} can't have this value: {error}")


class Taking:
    """Settings of one program, and the items that they became. `prefix` stands before each name that is shown."""

    def __init__(self, program: Program, settings: Mapping[str, Any], prefix: str = "") -> None:
        self.program = program
        self.left = {str(key): value for key, value in settings.items()}
        self.prefix = prefix

    def __contains__(self, key: str) -> bool:
        return key in self.left

    def get(self, key: str, default: Any = None) -> Any:
        return self.left.get(key, default)

    def take(self, key: str, default: Any = None) -> Any:
        return self.left.pop(key, default)

    def note(self, fate: Fate, key: str, ours: str = "", why: str = "", value: Any = None) -> None:
        """The setting is dealt with: an item for it."""
        taken = self.left.pop(key, value)
        self.program.items.append(Item(fate, self.prefix + key, shown(taken), ours, why))

    def use(self, key: str, ours: str, to: Any, why: str = "", *, check: bool = False) -> None:
        """The setting becomes one of ours; a person's where its value is none of ours."""
        value = shown(self.left.pop(key, None))
        use_or_ask(self.program, self.prefix + key, value, ours, to, why, check=check)

    def drop(self, why: str, *keys: str) -> None:
        for key in keys:
            if key in self.left:
                self.note(Fate.DROPPED, key, why=why)

    def ask(self, what: str, *keys: str) -> None:
        for key in keys:
            if key in self.left:
                self.note(Fate.NEEDS_YOU, key, why=what)

    def keep(self, why: str, *keys: str) -> None:
        """The setting stays where it is."""
        for key in keys:
            if key in self.left:
                self.note(Fate.MAPPED, key, ours=f"{key} stays", why=why)

    def rest(self, known: Iterable[str] = ()) -> None:
        """What nobody has taken."""
        for key in [key for key in self.left if key not in known]:
            self.note(Fate.NEEDS_YOU, key, why="corepod knows no such setting; look up what it was for")
