"""`corepod man`: the manual page, from the same parser as every help."""

from __future__ import annotations

from typing import TYPE_CHECKING

from corepod import __version__
from corepod.contract.exits import COMMAND_CODES, EXIT_CODES, EXIT_OK, SIGNALS
from corepod.local import arguments
from corepod.subcommands import COMMANDS, Takes

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterator

    from corepod.local.arguments import Argument

DESCRIPTION = (
    "A supervisor runs one worker process on each core and replaces those that die. The commands find a running pool "
    "by its name, and ask it over a Unix socket that only its owner may open. Each command has --json."
)
VARIABLES = {
    "COREPOD_...": "each setting, as its flag is called: COREPOD_STOP_TIMEOUT is --stop-timeout",
    "COREPOD_CONFIG": "the settings file, as --config",
    "PORT, WEB_CONCURRENCY": "the address and the number of workers, where nothing else gives them",
    "XDG_RUNTIME_DIR": "the control sockets of a user's pools are in its folder corepod",
    "RUNTIME_DIRECTORY": "the control socket is there, where a systemd unit has RuntimeDirectory=corepod",
}
FILES = {
    "corepod.toml": "settings, in the folder where a pool is started",
    "$XDG_RUNTIME_DIR/corepod/NAME.sock": "the control socket of a pool, by which the commands find it",
    "/run/corepod/NAME.sock": "the same, where there is no runtime folder of the user",
    "@corepod-UID/NAME.sock": "the same as an abstract socket, where no folder can be written",
}


def main(options: Namespace, parser: ArgumentParser) -> int:
    print("\n".join(page(parser)))
    return EXIT_OK


def page(parser: ArgumentParser) -> Iterator[str]:
    """The lines of the page in roff, with the macros of man(7)."""
    yield f'.TH COREPOD 1 "" "corepod {__version__}" "User Commands"'
    yield from (".SH NAME", r"corepod \- run Python web applications, one worker on each core")
    yield from (".SH SYNOPSIS", ".B corepod", r"\fICOMMAND\fR [\fIARGUMENT\fR ...]")
    yield from (".SH DESCRIPTION", _text(DESCRIPTION))
    yield ".SH COMMANDS"
    commands = arguments.commands(parser)
    settings = {argument.flags for argument in arguments.of(commands["run"])}
    for name, one in commands.items():
        yield from _command(name, list(arguments.of(one)), arguments.synopsis(one), settings)
    for title, rows in (
        ("EXIT STATUS", {str(code): text for code, text in {**EXIT_CODES, **COMMAND_CODES}.items()}),
        ("SIGNALS", SIGNALS),
        ("ENVIRONMENT", VARIABLES),
        ("FILES", FILES),
    ):
        yield f".SH {title}"
        for term, text in rows.items():
            yield from (".TP", rf"\fB{_text(term)}\fR", _text(_unquoted(text)))


def _command(name: str, known: list[Argument], synopsis: str, settings: set[tuple[str, ...]]) -> Iterator[str]:
    yield from (f".SS corepod {name}", rf"\fB{_text(synopsis)}\fR", ".PP", _text(_sentence(COMMANDS[name].help)))
    if name != "run" and COMMANDS[name].takes is Takes.SETTINGS:
        yield from (".PP", _text("It takes the arguments of corepod run; some defaults differ: see its --help."))
        known = [argument for argument in known if argument.flags not in settings]
    for argument in known:
        names = [rf"\fB{_text(flag)}\fR" for flag in argument.flags] or [rf"\fI{_text(argument.value)}\fR"]
        value = rf" \fI{_text(argument.value)}\fR" if argument.value and argument.flags else ""
        yield from (".TP", ", ".join(names) + value, _text(argument.help or "no more is known about it"))


def _text(text: str) -> str:
    """Text that roff shows as it is."""
    escaped = " ".join(text.split()).replace("\\", r"\e").replace("-", r"\-")
    return rf"\&{escaped}" if escaped.startswith((".", "'")) else escaped


def _sentence(phrase: str) -> str:
    return f"{phrase[:1].upper()}{phrase[1:]}."


def _unquoted(text: str) -> str:
    return text.replace("`", "")
