"""The command line: parses the arguments, and imports the room of the subcommand that was chosen."""

from __future__ import annotations

import argparse
import importlib
import shlex
import signal
import sys
from typing import TYPE_CHECKING, Any, NoReturn

from corepod import __version__
from corepod.config.kinds import LISTS
from corepod.config.resolve import SettingsError, hint
from corepod.config.spec import BY_NAME, COMMON, SETTINGS
from corepod.contract.exits import EXIT_FAILED, EXIT_OK, EXIT_SETTINGS
from corepod.ending import ended
from corepod.subcommands import COMMANDS, Takes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from corepod.config.spec import Setting
    from corepod.subcommands import Command


class _Parser(argparse.ArgumentParser):
    """Raises argparse.ArgumentError in place of leaving, so that all faults can be reported together."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "exit_on_error": False})

    def error(self, message: str) -> NoReturn:
        fail([message], self.prog.removeprefix("corepod").strip())


class _Root(_Parser):
    """The parser of all commands. Its help shows them in groups."""

    def format_help(self) -> str:
        lines = ["usage: corepod COMMAND [FLAG ...]", "", "One worker, one core, one pod."]
        width, group = max(map(len, COMMANDS)), ""
        for name, command in COMMANDS.items():
            if command.group != group:
                group = command.group
                lines += ["", f"{group}:"]
            lines.append(f"  {name:{width}}  {command.help}")
        lines += ["", "corepod COMMAND --help explains a command; corepod --version shows the version.", ""]
        return "\n".join(lines)


def fail(faults: list[str], name: str = "run") -> NoReturn:
    """Print every fault, and exit with the code for bad settings. `name` is the command."""
    for fault in faults:
        print(f"corepod: {fault}", file=sys.stderr)
    if name in COMMANDS and COMMANDS[name].takes is not Takes.SETTINGS:
        print(f"corepod: nothing was done; see corepod {name} --help", file=sys.stderr)
    else:
        where = f"corepod {name} --help" if name in COMMANDS else "corepod --help"
        print(f"corepod: nothing was started; see {where}, or docs/reference/settings.md", file=sys.stderr)
    sys.exit(EXIT_SETTINGS)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `corepod`. Returns or exits with a code of `corepod.contract.exits`."""
    if argv is None:
        # Asked to stop before the supervisor is there, it has to stop then: PID 1 loses what it doesn't handle.
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT))
    words, faults = _without_foreign(list(sys.argv[1:] if argv is None else argv))
    name = words[0] if words and words[0] in COMMANDS else None
    if name is not None and COMMANDS[name].takes is Takes.ARGUMENTS:
        return _pass_on(name, words[1:])
    options, unknown, more = _parse(parser([name] if name else []), words)
    faults += [*more, *(_unknown(argument, name) for argument in unknown)]
    if name is None and not faults:
        parser([]).print_help()
        return EXIT_OK
    if name is None:
        fail(faults)
    if not sys.platform.startswith("linux") and name != "config":
        fail([f"corepod runs on Linux, and this is {sys.platform}; use a Linux container or virtual machine"])
    return ended("corepod", lambda: _call(name, options, faults))


def parser(names: Sequence[str]) -> argparse.ArgumentParser:
    """A parser of all commands that knows the arguments of these."""
    root = _Root(prog="corepod", allow_abbrev=False)
    root.add_argument("--version", action="version", version=f"corepod {__version__}")
    commands = root.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser)
    for name, command in COMMANDS.items():
        if name not in names:
            commands.add_parser(name, help=command.help, add_help=False)
            continue
        if command.takes is Takes.ARGUMENTS:
            commands.add_parser(
                name, help=command.help, description=command.help, parents=_their_parser(command), add_help=False
            )
            continue
        usage = f"corepod {name} [FLAG ...] MODULE:ATTRIBUTE" if command.takes is Takes.SETTINGS else None
        own = commands.add_parser(name, usage=usage, help=command.help, description=command.help, allow_abbrev=False)
        if command.takes is Takes.SETTINGS:
            _add_settings(own, pod=name == "pid1")
        if configure := getattr(_module(name), "configure", None):
            configure(own)
    return root


def _their_parser(command: Command) -> list[Any]:
    """The parser of a command that parses its arguments itself; none where its packages aren't installed."""
    try:
        return [importlib.import_module(command.module).parser()]
    except ImportError:
        return []


def _module(name: str) -> Any:
    """The module of a command."""
    command = COMMANDS[name]
    try:
        return importlib.import_module(command.module)
    except ImportError as error:
        extra = command.extra or "local"
        fail([f"corepod {name} needs further packages: pip install 'corepod[{extra}]' ({error})"], name)


def _call(name: str, options: argparse.Namespace, faults: list[str]) -> int:
    """What the command returns, or the code of the reason for which it can't do what was asked."""
    command, module = COMMANDS[name], _module(name)
    flags = vars(options)
    del flags["command"]
    if command.takes is Takes.SETTINGS:
        try:
            code: int = module.main(flags, faults, **command.options)
            return code
        except SettingsError as error:
            fail(error.faults, name)
        except Exception as error:
            return _refused(error)
    if faults:
        fail(faults, name)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM, signal.SIGINT))
    try:
        everything = [parser(list(COMMANDS))] if command.takes is Takes.PARSER else []
        code = module.main(options, *everything)
        return code
    except Exception as error:
        return _refused(error)


def _refused(error: Exception) -> int:
    """The exit code of a command that can't do what was asked. Raises any other error again."""
    from corepod.local.client import other_versions  # late: a pool's start doesn't pay for it
    from corepod.local.pools import CommandError

    if not isinstance(error, CommandError):
        if isinstance(error, OSError) or not (others := other_versions()):
            raise error
        error = CommandError(f"what a pool has answered isn't understood ({error!r}): {others}", EXIT_FAILED)
    print(f"corepod: {error}", file=sys.stderr)
    return error.code


def _pass_on(name: str, arguments: list[str]) -> int:
    """Leave the arguments to a command that parses them itself, and needs packages of its own."""
    module = _module(name)
    if name != "operator":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM, signal.SIGINT))
    code: int = module.main(arguments)
    return code


def _without_foreign(words: list[str]) -> tuple[list[str], list[str]]:
    """The arguments without flags of other servers, whose values would be taken for the application."""
    from corepod.config import foreign

    if words and words[0] not in COMMANDS and (":" in words[0] or foreign.is_flag(words[0])):
        fail([f"the command is missing; write corepod run {shlex.join(words)}"])
    if words and words[0] not in COMMANDS and not words[0].startswith("-"):
        fail([f"there is no command {words[0]}{hint(words[0], COMMANDS) or '; corepod --help lists all'}"], words[0])
    if not words or words[0] not in COMMANDS or COMMANDS[words[0]].takes is not Takes.SETTINGS:
        return words, []
    rest, faults = foreign.take(words[1:], COMMANDS[words[0]].flags)
    return [words[0], *rest], faults


def _parse(parser: argparse.ArgumentParser, argv: list[str]) -> tuple[argparse.Namespace, list[str], list[str]]:
    """What argparse makes of the arguments, those that it doesn't know, and what is wrong with those that it knows.

    argparse stops at the first fault: that argument is left out then, and the others are parsed again.
    """
    faults: list[str] = []
    while True:
        try:
            options, unknown = parser.parse_known_args(argv)
        except argparse.ArgumentError as error:
            flags = (error.argument_name or "").split("/")
            name = next((flag for flag in flags if flag.startswith("--")), flags[0])
            faults.append(f"{name}: {error.message}")
            faulty = [at for at, argument in enumerate(argv) if argument.partition("=")[0] in flags]
            if not faulty:
                fail(faults, argv[0] if argv else "run")
            at = faulty[-1]
            has_value = "=" not in argv[at] and not error.message.startswith("expected")
            del argv[at : at + 1 + has_value]  # left there, the value would be taken for the application
        else:
            return options, unknown, list(dict.fromkeys(faults))


def _add_settings(parser: argparse.ArgumentParser, *, pod: bool) -> None:
    text = f"{SETTINGS[0].help}; or the name of an application in the settings file"
    parser.add_argument("app", nargs="?", metavar="MODULE:ATTRIBUTE", help=text)
    parser.add_argument("--config", metavar="FILE", help="settings file; by default corepod.toml, where it exists")
    parser.add_argument(
        "--env", metavar="NAME", help="environment of the settings file, such as production (COREPOD_ENV)"
    )
    groups: dict[str, Any] = {}
    common = [BY_NAME[name] for name in COMMON]
    for title, setting in [
        *(("Most used", setting) for setting in common),
        *((setting.group, setting) for setting in SETTINGS[1:] if setting not in common),
    ]:
        if title not in groups:
            groups[title] = parser.add_argument_group(title)
        _add_setting(groups[title], setting, pod=pod)


def _add_setting(group: Any, setting: Setting, *, pod: bool) -> None:
    variables = ", ".join(filter(None, (setting.variable, setting.platform)))
    text = f"{setting.help} ({_default(setting, pod=pod)}{variables})".replace("%", "%%")
    names = [name for name in (setting.short, setting.flag) if name]
    if setting.kind == "flag":
        group.add_argument(*names, action=argparse.BooleanOptionalAction, default=None, help=text)
    elif setting.kind in LISTS:
        group.add_argument(*names, action="append", metavar="VALUE", help=text)
    else:
        group.add_argument(*names, metavar="|".join(setting.choices) or setting.kind.upper(), help=text)


def _default(setting: Setting, *, pod: bool) -> str:
    from corepod.config.kinds import show

    shown = show(setting, setting.pod if pod and setting.pod is not None else setting.default)
    return f"default: {shown}; " if shown else ""


def _unknown(argument: str, command: str | None) -> str:
    if not argument.startswith("-"):
        return f"the argument {argument!r} is one too many"
    flag = argument.partition("=")[0]
    settings = command is None or COMMANDS[command].takes is Takes.SETTINGS
    return f"there is no flag {flag}{hint(flag, [setting.flag for setting in SETTINGS]) if settings else ''}"
