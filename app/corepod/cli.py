"""The command line: parses the arguments, and imports the room of the subcommand that was chosen."""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
from typing import TYPE_CHECKING, Any, NoReturn

from corepod import __version__
from corepod.config.kinds import LISTS
from corepod.config.resolve import SettingsError, hint
from corepod.config.spec import BY_NAME, COMMON, SETTINGS
from corepod.contract.exits import EXIT_OK, EXIT_SETTINGS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from corepod.config.spec import Setting

COMMANDS = {
    "run": "run an application on every usable core of this machine",
    "pid1": "run an application as a container's main process: one worker, on all addresses",
    "config": "show every effective setting and its source",
    "hit": "send a few requests to a running application, and show which worker answered",
    "operator": "keep Deployments in a cluster at the number of pods that its nodes can hold",
}


class _Parser(argparse.ArgumentParser):
    """Raises argparse.ArgumentError in place of leaving, so that all faults can be reported together."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "exit_on_error": False})

    def error(self, message: str) -> NoReturn:
        fail([message])


def fail(faults: list[str]) -> NoReturn:
    """Print every fault, and exit with the code for bad settings."""
    for fault in faults:
        print(f"corepod: {fault}", file=sys.stderr)
    print("corepod: nothing was started; see corepod run --help, or docs/reference/settings.md", file=sys.stderr)
    sys.exit(EXIT_SETTINGS)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `corepod`. Returns or exits with a code of `corepod.contract.exits`."""
    if argv is None:
        # Asked to stop before the supervisor is there, it has to stop then: PID 1 loses what it doesn't handle.
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT))
    parser = _parser()
    words, foreign_faults = _without_foreign(list(sys.argv[1:] if argv is None else argv))
    options, unknown, faults = _parse(parser, words)
    faults = foreign_faults + faults
    flags = vars(options)
    command = flags.pop("command")
    if command in OWN:
        return OWN[command](unknown)
    faults += [_unknown(argument) for argument in unknown]
    if command is None and faults:
        fail(faults)
    if command is None:
        parser.print_help()
        return EXIT_OK
    if not sys.platform.startswith("linux") and command != "config":
        fail([f"corepod runs on Linux, and this is {sys.platform}; use a Linux container or virtual machine"])
    try:
        return _start(command, flags, faults)
    except SettingsError as error:
        fail(error.faults)


def _without_foreign(words: list[str]) -> tuple[list[str], list[str]]:
    """The arguments without flags of other servers, whose values would be taken for the application."""
    from corepod.config import foreign

    if not words or words[0] in OWN:
        return words, []
    if words[0] not in COMMANDS:
        if ":" in words[0] or foreign.is_flag(words[0]):
            fail([f"the command is missing; write corepod run {shlex.join(words)}"])
        return words, []

    rest, faults = foreign.take(words[1:])
    return [words[0], *rest], faults


def _parse(parser: _Parser, argv: list[str]) -> tuple[argparse.Namespace, list[str], list[str]]:
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
                fail(faults)
            del argv[faulty[-1]]
        else:
            return options, unknown, list(dict.fromkeys(faults))


def _operator(arguments: list[str]) -> int:
    try:
        from corepod.operator import main as operator
    except ImportError as error:
        fail([f"corepod operator needs further packages: pip install 'corepod[operator]' ({error})"])
    return operator.main(arguments)


def _hit(arguments: list[str]) -> int:
    try:
        from corepod.hit import main as hit
    except ImportError as error:
        fail([f"corepod hit needs further packages: pip install 'corepod[loadtest]' ({error})"])
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM, signal.SIGINT))
    return hit.main(arguments)


# These parse their arguments themselves, and are imported only when they are chosen.
OWN = {"operator": _operator, "hit": _hit}


def _start(command: str, flags: dict[str, Any], faults: list[str]) -> int:
    if command == "config":
        from corepod.config import listing

        return listing.main(flags, faults)
    from corepod.local import launch

    return launch.main(flags, faults, pod=command == "pid1")


def _parser() -> _Parser:
    parser = _Parser(prog="corepod", description="One worker, one core, one pod.", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"corepod {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser)
    for name, text in COMMANDS.items():
        if name in OWN:
            commands.add_parser(name, help=text, add_help=False)
            continue
        usage = f"corepod {name} [FLAG ...] MODULE:ATTRIBUTE"
        command = commands.add_parser(name, usage=usage, help=text, description=text, allow_abbrev=False)
        _add_settings(command, pod=name == "pid1")
        if name == "config":
            command.add_argument("--json", action="store_true", help="print JSON")
            command.add_argument("--pod", action="store_true", help="show the settings of corepod pid1")
    return parser


def _add_settings(parser: argparse.ArgumentParser, *, pod: bool) -> None:
    parser.add_argument("app", nargs="?", metavar="MODULE:ATTRIBUTE", help=SETTINGS[0].help)
    parser.add_argument("--config", metavar="FILE", help="settings file; by default corepod.toml, where it exists")
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


def _unknown(argument: str) -> str:
    if not argument.startswith("-"):
        return f"the argument {argument!r} is one too many"
    flag = argument.partition("=")[0]
    return f"there is no flag {flag}{hint(flag, [setting.flag for setting in SETTINGS])}"
