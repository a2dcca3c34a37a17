"""`kubectl corepod`: what corepod does in a cluster, for people with a kubeconfig, through the API server alone.

kubectl runs the program `kubectl-corepod` that is on the PATH.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from typing import TYPE_CHECKING, NamedTuple

from corepod import __version__
from corepod.contract import escaping
from corepod.contract.exits import EXIT_NO_POOL, EXIT_OK, EXIT_SETTINGS
from corepod.ending import ended

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

PROGRAM = "kubectl corepod"
EXTRA = "pip install 'corepod[kubectl]'"


class Command(NamedTuple):
    """The module is in this package; `example` is what the help shows."""

    help: str
    example: str


COMMANDS = {
    "top": Command("show live which core of which node has which worker, its state, CPU and deaths", "top -n shop"),
    "why": Command("show how many pods the nodes hold, node by node, and the operator's reasons", "why -n shop shop"),
    "restarts": Command("list the last deaths of workers over all pods, with reasons and requests", "restarts -A"),
    "dump": Command("show the stacks of all threads and tasks of a pod's workers", "dump shop-5d8f-x2k4p"),
    "reload": Command("reload the code of one pod after the other; no pod is replaced", "reload shop"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `kubectl-corepod`. Returns or exits with a code of `corepod.contract.exits`."""
    return ended(PROGRAM, lambda: _parse_and_run(list(sys.argv[1:] if argv is None else argv)))


def _parse_and_run(words: list[str]) -> int:
    options = parser(words).parse_args(words)
    if options.command is None:
        parser(list(COMMANDS)).print_help()
        return EXIT_OK
    return _run(options)


def parser(names: Sequence[str]) -> argparse.ArgumentParser:
    """The parser of all commands, with the arguments of those that are named."""
    root = argparse.ArgumentParser(
        prog=PROGRAM, allow_abbrev=False, description="Show the workers of a cluster, and reload their code."
    )
    root.add_argument("--version", action="version", version=f"corepod {__version__}")
    _add_common(root, first=True)
    commands = root.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for name, command in COMMANDS.items():
        text = f"{command.help[:1].upper()}{command.help[1:]}."
        own = commands.add_parser(
            name, help=command.help, description=text, epilog=f"{PROGRAM} {command.example}", allow_abbrev=False
        )
        _add_common(own, first=False)
        if name in names:
            _module(name).configure(own)
    return root


def _add_common(parser: argparse.ArgumentParser, *, first: bool) -> None:
    """The flags of kubectl that choose a cluster and pods; they may stand before the command, or behind it."""

    def add(*names: str, default: object, **options: object) -> None:
        # Behind the command, what isn't given must not undo what was given before it.
        parser.add_argument(*names, default=default if first else argparse.SUPPRESS, **options)  # type: ignore[arg-type]

    add("-n", "--namespace", default="", metavar="NAMESPACE", help="the namespace; by default that of the context")
    add("-A", "--all-namespaces", default=False, action="store_true", help="all namespaces")
    add(
        "-l", "--selector", default="", metavar="LABELS", help="labels of the pods, for pods without those of the chart"
    )
    add("--context", default="", metavar="CONTEXT", help="context of the kubeconfig; by default the current one")
    add("--kubeconfig", default="", metavar="FILE", help="kubeconfig file; by default KUBECONFIG or ~/.kube/config")


def _module(name: str) -> ModuleType:
    try:
        return importlib.import_module(f"corepod.kubectl.{name}")
    except ImportError as error:
        print(f"{PROGRAM}: further packages are needed: {EXTRA} ({error})", file=sys.stderr)
        sys.exit(EXIT_SETTINGS)


def _run(options: argparse.Namespace) -> int:
    from corepod.kubectl.access import told
    from corepod.kubectl.execute import NotStarted
    from corepod.local.pools import CommandError
    from corepod.operator.api.errors import ClusterError

    try:
        code: int = _module(options.command).main(options)
        return code
    except CommandError as error:
        said = error
    except NotStarted as error:
        hint = "its image needs corepod on the PATH"
        said = CommandError(f"the command could not be started in the pod: {error}; {hint}", EXIT_NO_POOL)
    except ClusterError as error:
        said = told(error)
    print(f"{PROGRAM}: {escaping.lines(str(said))}", file=sys.stderr)
    return said.code
