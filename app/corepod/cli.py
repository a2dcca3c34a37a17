"""The command line: reads the words, and imports the room of the subcommand that was chosen."""

from __future__ import annotations

import argparse
import signal
import sys
from typing import TYPE_CHECKING, Any, NoReturn

from corepod import __version__
from corepod.config.resolve import SettingsError, hint
from corepod.config.spec import SETTINGS
from corepod.contract.exits import EXIT_OK, EXIT_SETTINGS

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS = {
    "run": "run an application on every usable core of this machine",
    "pid1": "run it as a container's main process: one worker, all addresses",
    "config": "show every effective setting and where it comes from",
    "hit": "ask a running application a few times, and show which worker answered",
    "operator": "keep Deployments in a cluster at the number of pods that its nodes can hold",
}


class _Parser(argparse.ArgumentParser):
    """Collects what it doesn't understand, so that all faults are reported together."""

    def error(self, message: str) -> NoReturn:
        fail([message])


def fail(faults: list[str]) -> NoReturn:
    """Say what is wrong, and leave with the code for bad settings."""
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
    options, unknown = parser.parse_known_args(argv)
    if options.command is None:
        parser.print_help()
        return EXIT_OK
    flags = vars(options)
    command = flags.pop("command")
    if command in OWN:
        return OWN[command](unknown)
    faults = [_unknown(word) for word in unknown]
    if not sys.platform.startswith("linux") and command != "config":
        fail([f"corepod runs on Linux, this is {sys.platform}; on this machine use a Linux container or VM"])
    try:
        return _start(command, flags, faults)
    except SettingsError as error:
        fail(error.faults)


def _operator(words: list[str]) -> int:
    try:
        from corepod.operator import main as operator
    except ImportError as error:
        fail([f"the operator needs more than the workers: pip install 'corepod[operator]' ({error})"])
    return operator.main(words)


def _hit(words: list[str]) -> int:
    try:
        from corepod.hit import main as hit
    except ImportError as error:
        fail([f"hit draws a table, for which more is needed: pip install 'corepod[loadtest]' ({error})"])
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM, signal.SIGINT))
    return hit.main(words)


# These have a command line of their own, and are imported only where they are meant.
OWN = {"operator": _operator, "hit": _hit}


def _start(command: str, flags: dict[str, Any], faults: list[str]) -> int:
    if command == "config":
        from corepod.config import listing

        return listing.main(flags, faults)
    from corepod.local import launch

    return launch.main(flags, faults, pod=command == "pid1")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="corepod", description="One worker, one core, one pod.", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"corepod {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser)
    for name, text in COMMANDS.items():
        if name in OWN:
            commands.add_parser(name, help=text, add_help=False)
            continue
        command = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        _add_settings(command, pod=name == "pid1")
        if name == "config":
            command.add_argument("--json", action="store_true", help="JSON, for programs")
            command.add_argument("--pod", action="store_true", help="what corepod pid1 would use")
    return parser


def _add_settings(parser: argparse.ArgumentParser, *, pod: bool) -> None:
    parser.add_argument("app", nargs="?", metavar="MODULE:ATTRIBUTE", help=SETTINGS[0].help)
    parser.add_argument("--config", metavar="FILE", help="settings file; corepod.toml where there is one")
    groups: dict[str, Any] = {}
    for setting in SETTINGS[1:]:
        group = groups.setdefault(setting.group, parser.add_argument_group(setting.group))
        text = f"{setting.help} ({_default(setting, pod=pod)}{setting.variable})".replace("%", "%%")
        if setting.kind == "flag":
            group.add_argument(setting.flag, action=argparse.BooleanOptionalAction, default=None, help=text)
        elif setting.kind in ("addresses", "networks"):
            group.add_argument(setting.flag, action="append", metavar="VALUE", help=text)
        else:
            choices = "|".join(setting.choices)
            group.add_argument(setting.flag, metavar=choices or setting.kind.upper(), help=text)


def _default(setting: Any, *, pod: bool) -> str:
    from corepod.config.kinds import show

    shown = show(setting, setting.pod if pod and setting.pod is not None else setting.default)
    return f"default: {shown}; " if shown else ""


def _unknown(word: str) -> str:
    if not word.startswith("-"):
        return f"the argument {word!r} is one too many"
    flag = word.partition("=")[0]
    return f"there is no flag {flag}{hint(flag, [setting.flag for setting in SETTINGS])}"
