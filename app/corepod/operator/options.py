"""What `corepod operator` can be told: a flag, or a variable COREPOD_OPERATOR_… for the container."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from corepod.contract.env import ADMIN_PORT, NOTIFY_PORT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PREFIX = "COREPOD_OPERATOR_"


@dataclass(frozen=True, slots=True)
class Options:
    """All of them; the command line's help says what they mean."""

    namespace: str
    kubeconfig: str
    context: str
    once: bool
    dry_run: bool
    json: bool
    admin: tuple[str, int] | None
    admin_status: str
    notify: tuple[str, int] | None
    pods_admin_port: int
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
        raise argparse.ArgumentTypeError(f"{text!r} is not an address: write HOST:PORT, or none")
    return host.strip("[]") or "0.0.0.0", int(port)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port")
    return int(text)


def _flag(variable: str, text: str) -> bool:
    if text not in ("", "true", "false"):
        raise SystemExit(f"corepod operator: {variable}: {text!r} is neither true nor false")
    return text == "true"


def _who(text: str) -> str:
    if text not in ("loopback", "all"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither loopback nor all")
    return text


def _seconds(least: float) -> Any:
    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not least <= value < 1e6:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds of at least {least:g}")
        return value

    return parse


# Name, what argparse is told, help. The default of a flag that is only there or not is off.
ROWS: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("namespace", {"default": ""}, "look after workloads of this namespace only; nodes and pods are seen of all"),
    ("kubeconfig", {"default": ""}, "kubeconfig to use; in a pod its service account, elsewhere what kubectl uses"),
    ("context", {"default": ""}, "context of the kubeconfig"),
    ("once", {}, "size everything once, and end"),
    ("dry-run", {}, "write nothing; say what would be written"),
    ("json", {}, "with --once: JSON, for programs"),
    ("admin", {"default": f"127.0.0.1:{ADMIN_PORT}", "type": _address}, "where probes, metrics and status answer"),
    ("admin-status", {"default": "loopback", "type": _who}, "who may see the status: loopback or all"),
    ("notify", {"default": f"127.0.0.1:{NOTIFY_PORT}", "type": _address}, "UDP: where pods say that a worker died"),
    ("pods-admin-port", {"default": str(ADMIN_PORT), "type": _port}, "admin port of the pods"),
    ("scale-down-wait", {"default": "60", "type": _seconds(1)}, "seconds that fewer pods have to be right for"),
    ("leader-elect", {}, "act only while holding a Lease: for two or more operators"),
    ("lease-name", {"default": "corepod-operator"}, "its name"),
    ("lease-namespace", {"default": ""}, "its namespace; in a pod the pod's own"),
    ("lease-owner", {"default": ""}, "Deployment in that namespace that the Lease is removed with"),
    ("lease-seconds", {"default": "15", "type": _seconds(2)}, "another operator may take it when it is that old"),
    ("watch-seconds", {"default": "60", "type": _seconds(1)}, "length of a watch; silence beyond it is a broken one"),
)


def parser(environ: Mapping[str, str]) -> argparse.ArgumentParser:
    """Defaults are taken from the variables."""
    found = argparse.ArgumentParser(
        prog="corepod operator",
        description="Keeps Deployments and StatefulSets labelled corepod.dev/sized=true at the number of pods that "
        "the nodes can hold.",
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


def parse(words: Sequence[str], environ: Mapping[str, str]) -> Options:
    """Ends the process with code 2 and words where something is wrong."""
    return Options(**vars(parser(environ).parse_args(words)))
