"""`kubectl_complete-corepod`: what kubectl's completion of a shell asks for the arguments of `kubectl corepod`.

kubectl calls it with the words up to the cursor, the last one unfinished. It prints what may follow, a line each, and a
last line with a directive of Cobra's completion: 4 means that these are no names of files.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from corepod.kubectl.main import COMMANDS, parser

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Sequence

NO_FILES = 4
COMMON = ("-n", "--namespace", "--context", "--kubeconfig", "-l", "--selector")  # flags with a value


def main(argv: Sequence[str] | None = None) -> int:
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        found = sorted(candidates(words))
    except Exception:  # no cluster, no rights, no packages: a completion that complains would spoil the line
        found = []
    print("".join(f"{word}\n" for word in found if word.startswith(words[-1] if words else "")) + f":{NO_FILES}")
    return 0


def candidates(words: Sequence[str]) -> Iterable[str]:
    """What may stand in the place of the last word, whatever it begins with."""
    before, last = list(words[:-1]), words[-1] if words else ""
    command = next((word for word in before if word in COMMANDS), None)
    if before and before[-1] in COMMON:
        return []
    if last.startswith("-"):
        root = parser([command] if command else [])
        return _flags(_of(root, command) if command else root)
    if command is None:
        return COMMANDS
    return _names(command, before) if command in ("dump", "reload", "why") else []


def _flags(known: argparse.ArgumentParser) -> list[str]:
    return [flag for action in known._actions for flag in action.option_strings]


def _of(root: argparse.ArgumentParser, command: str) -> argparse.ArgumentParser:
    from corepod.local.arguments import commands

    return commands(root)[command]


def _names(command: str, before: list[str]) -> list[str]:
    """Names from the cluster that the words so far choose."""
    from corepod.kubectl.access import connect
    from corepod.kubectl.pods import find_all
    from corepod.operator.api.cluster import DEPLOYMENTS, Cluster

    own = [word for word in before if word != command]
    access = connect(parser([]).parse_known_args([*own, "top"])[0])
    access = access._replace(cluster=Cluster(access.transport, 2.0))
    if command == "dump":
        return [pod.name for pod in find_all(access)]
    pages = access.cluster.list_pages(DEPLOYMENTS, access.namespace)
    return [item["metadata"]["name"] for page in pages for item in page.items]
