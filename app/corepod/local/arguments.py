"""What a parser of argparse takes, for the man page, the reference and the completion: they say what its help says."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Argument:
    """A flag with all its names, or an argument without any. `value` is what it takes, empty for a switch."""

    flags: tuple[str, ...]
    value: str
    help: str
    group: str
    optional: bool


def commands(root: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The parsers of the commands, by name."""
    found: dict[str, argparse.ArgumentParser] = {}
    for action in root._actions:
        if isinstance(action, argparse._SubParsersAction):
            found.update(action.choices)
    return found


def of(parser: argparse.ArgumentParser) -> Iterator[Argument]:
    """Its arguments in the order of its help, without those that the help hides, and without --help itself."""
    formatter = parser._get_formatter()
    for group in parser._action_groups:
        for action in group._group_actions:
            if action.help is argparse.SUPPRESS or isinstance(
                action, argparse._HelpAction | argparse._SubParsersAction
            ):
                continue
            value = "" if action.nargs == 0 else _value(action)
            text = formatter._expand_help(action) if action.help else ""
            yield Argument(tuple(action.option_strings), value, text, group.title or "", action.nargs == "?")


def synopsis(parser: argparse.ArgumentParser) -> str:
    """How the command is called, on one line."""
    known = list(of(parser))
    flags = [f"[{_with_value(a.flags[-1], a.value)}]" for a in known if a.flags]
    if len(flags) > MANY:
        flags = ["[FLAG ...]"]
    return " ".join([parser.prog, *flags, *(f"[{a.value}]" if a.optional else a.value for a in known if not a.flags)])


MANY = 12  # flags that are named one by one


def _value(action: argparse.Action) -> str:
    if isinstance(action.metavar, str):
        return action.metavar
    if action.choices is not None:
        return "|".join(map(str, action.choices))
    return action.dest.upper() if action.option_strings else action.dest


def _with_value(flag: str, value: str) -> str:
    return f"{flag} {value}" if value else flag
