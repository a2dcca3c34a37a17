"""Writes docs/reference, parts of the chart and the type of `corepod.run` from the code: `make docs`. Tests check that
they are up to date."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from corepod.cli import parser
from corepod.config import schema
from corepod.config.kinds import show
from corepod.config.spec import BY_NAME, SETTINGS, Setting
from corepod.contract.exits import COMMAND_CODES, EXIT_CODES, SIGNALS
from corepod.kubectl import main as kubectl
from corepod.local import arguments
from corepod.operator.admin import metrics as operator_metrics
from corepod.operator.options import PREFIX, ROWS
from corepod.operator.sizing.annotations import MEANINGS
from corepod.subcommands import COMMANDS
from corepod.supervisor.admin.metrics import METRICS

from tools import chart, keywords

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

FOLDER = Path(__file__).parents[1] / "docs" / "reference"
NOTE = "<!-- Written by `make docs` from the code. Change it there. -->"


def pages() -> dict[str, str]:
    """File name and text of every page."""
    return {
        "settings.md": settings(),
        "metrics.md": metrics(),
        "exit-codes.md": exit_codes(),
        "signals.md": signals(),
        "operator.md": operator(),
        "corepod.schema.json": json.dumps(schema.schema(), indent=2) + "\n",
        "commands.md": commands(),
        "kubectl.md": plugin(),
    }


def commands() -> str:
    lines = [
        NOTE,
        "# Commands",
        "",
        "`corepod man` prints this as a manual page, and `corepod completion` the completion of a shell. How the",
        "commands are used is in [Commands](../commands.md), their exit codes are in [Exit codes](exit-codes.md).",
    ]
    known, group = arguments.commands(parser(list(COMMANDS))), ""
    for name, command in COMMANDS.items():
        if command.group != group:
            group = command.group
            lines += ["", f"## {group}"]
        lines += ["", f"### corepod {name}", "", f"{command.help[:1].upper()}{command.help[1:]}."]
        where = {"run": "settings.md", "pid1": "settings.md", "operator": "operator.md"}.get(name)
        lines += [f"Its flags are in [{where}]({where})."] if where else _arguments(known[name])
    return _text(lines)


def plugin() -> str:
    root = kubectl.parser(list(kubectl.COMMANDS))
    common = [one for one in arguments.of(root) if one.flags != ("--version",)]
    flags = {one.flags for one in common}
    lines = [
        NOTE,
        "# kubectl corepod",
        "",
        "[The kubectl plugin](../kubectl.md) says how these commands are used, and which permissions they need. Their",
        "exit codes are those of [the other commands](exit-codes.md).",
        "",
        "## Flags of every command",
        "",
        "They may stand before the command or behind it.",
        *_rows(common),
    ]
    for name, command in arguments.commands(root).items():
        own = [one for one in arguments.of(command) if one.flags not in flags]
        names = " ".join(f"[{one.value}]" if one.optional else one.value for one in own if not one.flags)
        usage = " ".join(filter(None, (f"{kubectl.PROGRAM} {name}", names, "[FLAG ...]")))
        lines += ["", f"## {name}", "", command.description or "", "", f"    {usage}", *_rows(own)]
    return _text(lines)


def _arguments(command: argparse.ArgumentParser) -> list[str]:
    if len(known := list(arguments.of(command))) > arguments.MANY:
        known = [one for one in known if one.flags and one.flags[0][2:].replace("-", "_") not in BY_NAME]
    return ["", f"    {arguments.synopsis(command)}", *_rows(known)]


def _rows(known: Sequence[arguments.Argument]) -> list[str]:
    rows = [
        f"| {', '.join(f'`{name}`' for name in one.flags or (_cell(one.value),))}"
        f"{f' `{_cell(one.value)}`' if one.flags and one.value else ''} | {_cell(one.help)} |"
        for one in known
    ]
    return ["", "| argument | meaning |", "|---|---|", *rows] if rows else []


def settings() -> str:
    lines = [
        NOTE,
        "# Settings",
        "",
        "Each setting is a flag of `corepod run` and `corepod pid1`, a variable `COREPOD_…` and a key of",
        "`corepod.toml` (`--config FILE` or `COREPOD_CONFIG` names another file). A flag takes precedence over a",
        "variable, a variable over the file, and the file over the default. An unknown flag or key is an error, and",
        "all errors are reported together. `corepod config` prints every effective value and where it came from;",
        "`corepod config --pod` does the same for `corepod pid1`. [The settings file](../configuration.md) can hold",
        "several applications, and what environments change of them.",
        "",
        "Hosting platforms tell every server its port and its number of workers in `PORT` and `WEB_CONCURRENCY`. These",
        "take precedence over the default and over nothing else. `PORT` means this port on all addresses.",
        "`WEB_CONCURRENCY` is limited to the usable cores, unless `pin` is `never`.",
        "",
        "A list is given as repeated flags, or as text with commas. On/off flags also exist as `--no-…`. An empty",
        "variable counts as not set.",
    ]
    group = ""
    for setting in SETTINGS:
        if setting.group != group:
            group = setting.group
            lines += ["", f"## {group}", "", "| flag, variable | default | meaning |", "|---|---|---|"]
        lines.append(_setting(setting))
    return _text(lines)


def _setting(setting: Setting) -> str:
    flags = ", ".join(f"`{name}`" for name in (setting.flag, setting.short) if name)
    flag = "`MODULE:ATTRIBUTE`" if setting.name == "app" else flags
    variables = ", ".join(f"`{name}`" for name in (setting.variable, setting.platform) if name)
    default = _code(show(setting, setting.default))
    if setting.pod is not None:
        default += f"; `pid1`: {_code(show(setting, setting.pod))}"
    meaning = setting.help + (f" ({', '.join(setting.choices)})" if setting.choices else "")
    unit = {"seconds": "; seconds", "bytes": "; bytes, or with k, m, g"}.get(setting.kind, "")
    return f"| {flag}<br>{variables} | {default} | {_cell(meaning + unit)} |"


def metrics() -> str:
    rows = [f"| `{m[0]}` | {m[1]} | {_cell(', '.join(m[3]))} | {_cell(m[2])} |" for m in METRICS]
    head = [
        NOTE,
        "# Metrics",
        "",
        "The supervisor serves these metrics at `/metrics` of the admin port, in Prometheus' text format.",
    ]
    head += ["Counters belong to the slots, so they survive the deaths of workers.", ""]
    return _text([*head, "| name | type | labels | meaning |", "|---|---|---|---|", *rows])


def exit_codes() -> str:
    rows = [f"| {code} | {meaning} |" for code, meaning in EXIT_CODES.items()]
    head = [
        NOTE,
        "# Exit codes",
        "",
        "These are the exit codes of the supervisor, and therefore of the container and of `corepod run`.",
        "",
    ]
    tail = [
        "",
        "With `--exit-code worker`, the supervisor exits with the code of the last worker (128 + signal) when the",
        "crash budget is used up.",
        "",
        "## Of commands",
        "",
        "The commands that ask a running pool for something exit with 0 when it was done, with 2 for bad arguments,",
        "and with these codes:",
        "",
        "| code | meaning |",
        "|---|---|",
        *(f"| {code} | {meaning} |" for code, meaning in COMMAND_CODES.items()),
    ]
    return _text([*head, "| code | meaning |", "|---|---|", *rows, *tail])


def signals() -> str:
    rows = [f"| {names} | {meaning} |" for names, meaning in SIGNALS.items()]
    head = [
        NOTE,
        "# Signals",
        "",
        "These are the signals to the supervisor. A handler only records a signal; the loop acts on it.",
        "",
    ]
    tail = [
        "",
        "Every other signal that can be caught is ignored with one line in the log, so that none ends a pool by",
        "surprise. Job control (STOP, TSTP, CONT) works as usual. Only the signals that the processor raises for an",
        "error (SEGV, BUS, FPE, ILL) end an ordinary supervisor at once, with its workers; PID 1 ignores them when",
        "they are sent to it.",
        "",
        "A worker that gets TERM or INT itself goes on serving. 4 s later the supervisor replaces it: a new worker",
        "starts, and the old one drains when the new one is ready (without `overlap`, before it starts). This is no",
        "death. The supervisor waits because whoever stops a pool may signal all of its processes, one after the",
        "other and in any order, as systemd does by default; if it gets its own TERM meanwhile, nothing is",
        "replaced. The other processes of a pool, such as the standby and the template, let both signals pass and",
        "end with the pool.",
    ]
    return _text([*head, "| signal | action |", "|---|---|", *rows, *tail])


def operator() -> str:
    head = [
        NOTE,
        "# The operator",
        "",
        "## Annotations",
        "",
        'For Deployments and StatefulSets with the label `corepod.dev/sized: "true"`. All names are under',
        "`corepod.dev/`. An invalid annotation is reported as an Event, and the number of pods stays as it is. The",
        "chart writes the annotations from `operator.sizing`.",
        "",
        "| annotation | meaning |",
        "|---|---|",
    ]
    notes = [f"| `{name}` | {_cell(meaning)} |" for name, meaning in MEANINGS.items()]
    flags = ["", "## Flags", "", "| flag, variable | default | meaning |", "|---|---|---|"]
    for name, how, meaning in ROWS:
        variable = PREFIX + name.upper().replace("-", "_")
        flags.append(f"| `--{name}`<br>`{variable}` | {_code(str(how.get('default', 'off')))} | {_cell(meaning)} |")
    values = [
        "",
        "## Metrics",
        "",
        "The operator serves these metrics at `/metrics` of its admin port.",
        "",
        "| name | type | labels | meaning |",
        "|---|---|---|---|",
    ]
    values += [f"| `{m[0]}` | {m[1]} | {_cell(', '.join(m[3]))} | {_cell(m[2])} |" for m in operator_metrics.METRICS]
    return _text([*head, *notes, *flags, *values])


def _code(text: str) -> str:
    return f"`{text}`" if text else "none"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _text(lines: list[str]) -> str:
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text)
        print(f"docs/reference/{name}")
    for path, text in {**chart.files(), keywords.FILE: keywords.text()}.items():
        path.write_text(text)
        print(path.relative_to(FOLDER.parents[1]))
