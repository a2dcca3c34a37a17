"""`corepod config`: every effective setting and its source."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

from corepod.config import document
from corepod.config.kinds import show
from corepod.config.resolve import resolve
from corepod.config.spec import SETTINGS
from corepod.contract.env import SECRETS
from corepod.contract.exits import EXIT_OK

if TYPE_CHECKING:
    from argparse import ArgumentParser

    from corepod.config.resolve import Effective


def configure(parser: ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--pod", action="store_true", help="show the settings of corepod pid1")


def main(flags: dict[str, Any], faults: list[str]) -> int:
    """Print the table, or JSON with `--json`."""
    as_json, pod, file = flags.pop("json"), flags.pop("pod"), document.asked_for(flags, os.environ)
    effective = resolve(flags, os.environ, file, pod=pod, faults=faults)
    for warning in effective.warnings:
        print(f"corepod: {warning}", file=sys.stderr)
    if effective.application and not as_json:
        print(f"Application {effective.application} of the settings file\n")
    if as_json:
        rows = {s.name: {"value": _value(s.name, effective), "from": effective.sources[s.name]} for s in SETTINGS}
        print(json.dumps(rows, indent=2))
    else:
        _print_table(effective)
    return EXIT_OK


def _value(name: str, effective: Effective) -> Any:
    value = effective.values[name]
    return "***" if name in SECRETS and value else value


def _print_table(effective: Effective) -> None:
    width = max(len(setting.name) for setting in SETTINGS)
    shown = {s.name: show(s, _value(s.name, effective)) for s in SETTINGS}
    widest = max(len(text) for text in shown.values())
    group = ""
    for setting in SETTINGS:
        if setting.group != group:
            group = setting.group
            print(f"\n{group}" if setting is not SETTINGS[0] else group)
        print(f"  {setting.name:{width}}  {shown[setting.name]:{widest}}  {effective.sources[setting.name]}".rstrip())
    if effective.variables:
        # Their values may be secrets.
        print(f"\nVariables from the settings file: {', '.join(sorted(effective.variables))}")
