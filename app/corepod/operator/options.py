"""Options of `corepod operator`: flags, or variables COREPOD_OPERATOR_… for the container."""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from corepod.contract.env import ADMIN_PORT, NOTIFY_PORT
from corepod.contract.listening import ALL

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PREFIX = "COREPOD_OPERATOR_"
STEPS, EXACT, OFF = RESTART_LABELS = ("steps", "exact", "off")
NAMESPACE = "[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"  # a label as DNS has it


@dataclass(frozen=True, slots=True)
class Options:
    """The parsed options. ROWS describes each of them."""

    namespace: tuple[str, ...]
    kubeconfig: str
    context: str
    once: bool
    dry_run: bool
    json: bool
    admin: tuple[str, int] | None
    admin_status: str
    notify: tuple[str, int] | None
    pods_admin_port: int
    restart_label: str
    scale_down_wait: float
    leader_elect: bool
    lease_name: str
    lease_namespace: str
    lease_owner: str
    lease_seconds: float
    watch_seconds: float


def _address(text: str) -> tuple[str, int] | None:
    if text == "none":
        return None
    host, colon, port = text.rpartition(":")
    if not colon or not (port.isascii() and port.isdecimal()) or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} isn't an address: write HOST:PORT, *:PORT (all addresses) or none")
    return host.strip("[]") or ALL, int(port)


def _namespaces(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    if names == ("",):
        return ()
    if wrong := [name for name in names if not re.fullmatch(NAMESPACE, name)]:
        raise argparse.ArgumentTypeError(
            f"{wrong[0]!r} isn't a namespace: write one, or several with commas between them"
        )
    return names


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError(f"{text!r} isn't a port")
    return int(text)


def _flag(variable: str, text: str) -> bool:
    if text not in ("", "true", "false"):
        raise SystemExit(f"corepod operator: {variable}: {text!r} is neither true nor false")
    return text == "true"


def _who(text: str) -> str:
    if text not in ("loopback", "all"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither loopback nor all")
    return text


def _restart_label(text: str) -> str:
    if text not in RESTART_LABELS:
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(RESTART_LABELS)}")
    return text


def _seconds(least: float) -> Any:
    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not least <= value < 1e6:
            raise argparse.ArgumentTypeError(f"{text!r} isn't a number of seconds of at least {least:g}")
        return value

    return parse


# Name, arguments for argparse, help. Without a default it is an on/off flag, off by default.
ROWS: tuple[tuple[str, dict[str, Any], str], ...] = (
    (
        "namespace",
        {"default": "", "type": _namespaces},
        "size only workloads of this namespace, or of several with commas between them; nodes and pods are still read "
        "from all namespaces",
    ),
    (
        "kubeconfig",
        {"default": ""},
        "kubeconfig file; by default the service account in a pod, and kubectl's configuration elsewhere",
    ),
    ("context", {"default": ""}, "context of the kubeconfig; the current one by default"),
    ("once", {}, "size all workloads once, show how, and exit"),
    ("dry-run", {}, "write nothing, only show what would be written"),
    ("json", {}, "with --once: print JSON instead of tables"),
    (
        "admin",
        {"default": f"127.0.0.1:{ADMIN_PORT}", "type": _address},
        "address for probes, metrics and status, *:PORT for all addresses, or none",
    ),
    ("admin-status", {"default": "loopback", "type": _who}, "which addresses may see /status: loopback, or all"),
    (
        "notify",
        {"default": f"127.0.0.1:{NOTIFY_PORT}", "type": _address},
        "UDP address where pods report the death of a worker, *:PORT for all addresses, or none",
    ),
    ("pods-admin-port", {"default": str(ADMIN_PORT), "type": _port}, "admin port of the pods, to read their metrics"),
    (
        "restart-label",
        {"default": STEPS, "type": _restart_label},
        "what the label corepod.dev/worker-restarts of a pod shows: the range of its deaths of workers (steps: 0, 1, "
        "2-4, 5-9, 10-19, 20-49 and so on), the number itself (exact), or nothing (off)",
    ),
    (
        "scale-down-wait",
        {"default": "60", "type": _seconds(1)},
        "how long a lower target must hold before pods are removed, in seconds",
    ),
    ("leader-elect", {}, "act only while holding a Lease, for two or more operators"),
    ("lease-name", {"default": "corepod-operator"}, "name of the Lease"),
    ("lease-namespace", {"default": ""}, "namespace of the Lease; by default the pod's own, elsewhere `default`"),
    ("lease-owner", {"default": ""}, "Deployment that owns the Lease, so that it is deleted with it"),
    (
        "lease-seconds",
        {"default": "15", "type": _seconds(2)},
        "how long after its last renewal another operator may take the Lease, in seconds",
    ),
    (
        "watch-seconds",
        {"default": "60", "type": _seconds(1)},
        "length of a watch, in seconds; a longer silence means that its connection is broken",
    ),
)


def parser(environ: Mapping[str, str]) -> argparse.ArgumentParser:
    """The command line. Variables replace the defaults."""
    found = argparse.ArgumentParser(
        prog="corepod operator",
        description="Keeps Deployments and StatefulSets with the label corepod.dev/sized=true at the number of pods "
        "that the nodes have room for.",
        allow_abbrev=False,
    )
    for name, how, text in ROWS:
        variable = PREFIX + name.upper().replace("-", "_")
        shown = f" (default: {how['default']})" if how.get("default") else ""
        if "default" in how:
            how = {**how, "default": environ.get(variable) or how["default"], "metavar": name.split("-")[-1].upper()}
        else:
            how = {"action": argparse.BooleanOptionalAction, "default": _flag(variable, environ.get(variable, ""))}
        found.add_argument(f"--{name}", help=f"{text}{shown}; {variable}", **how)
    return found


def parse(arguments: Sequence[str], environ: Mapping[str, str]) -> Options:
    """Parse the arguments. Exits with code 2 and a message if one is wrong."""
    return Options(**vars(parser(environ).parse_args(arguments)))
