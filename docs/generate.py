"""Writes docs/reference from the code: `make docs`. A test compares, so that neither can drift."""

from __future__ import annotations

from pathlib import Path

from corepod.config.kinds import show
from corepod.config.spec import SETTINGS, Setting
from corepod.contract.exits import EXIT_CODES, SIGNALS
from corepod.operator.admin import metrics as operator_metrics
from corepod.operator.options import PREFIX, ROWS
from corepod.operator.sizing.annotations import MEANINGS
from corepod.supervisor.admin.metrics import METRICS

from docs import chart

FOLDER = Path(__file__).parent / "reference"
NOTE = "<!-- Written by `make docs` from the code. Change it there. -->"


def pages() -> dict[str, str]:
    """File name and text of every page."""
    return {
        "settings.md": settings(),
        "metrics.md": metrics(),
        "exit-codes.md": exit_codes(),
        "signals.md": signals(),
        "operator.md": operator(),
    }


def settings() -> str:
    lines = [
        NOTE,
        "# Settings",
        "",
        "Each setting is a flag of `corepod run` and `corepod pid1`, a variable `COREPOD_…` and a key of",
        "`corepod.toml` (`--config FILE` or `COREPOD_CONFIG` for another file). A flag wins over a variable, a",
        "variable over the file, the file over the default. An unknown flag or key is an error, and all faults are",
        "reported together. `corepod config` prints every effective value and where it came from;",
        "`corepod config --pod` does so for `corepod pid1`.",
        "",
        "Lists are repeated flags, or texts with commas. On/off flags also exist as `--no-…`. An empty variable counts",
        "as not set.",
    ]
    group = ""
    for setting in SETTINGS:
        if setting.group != group:
            group = setting.group
            lines += ["", f"## {group}", "", "| flag, variable | default | meaning |", "|---|---|---|"]
        lines.append(_setting(setting))
    return _text(lines)


def _setting(setting: Setting) -> str:
    flag = "`MODULE:ATTRIBUTE`" if setting.name == "app" else f"`{setting.flag}`"
    default = _code(show(setting, setting.default))
    if setting.pod is not None:
        default += f"; `pid1`: {_code(show(setting, setting.pod))}"
    meaning = setting.help + (f" ({', '.join(setting.choices)})" if setting.choices else "")
    unit = {"seconds": "; seconds", "bytes": "; bytes, or with k, m, g"}.get(setting.kind, "")
    return f"| {flag}<br>`{setting.variable}` | {default} | {_cell(meaning + unit)} |"


def metrics() -> str:
    rows = [f"| `{m[0]}` | {m[1]} | {_cell(', '.join(m[3]))} | {_cell(m[2])} |" for m in METRICS]
    head = [
        NOTE,
        "# Metrics",
        "",
        "Served by the supervisor at `/metrics` of the admin port, in Prometheus' text format.",
    ]
    head += ["Counters live in the slots and so survive the workers' deaths.", ""]
    return _text([*head, "| name | type | labels | meaning |", "|---|---|---|---|", *rows])


def exit_codes() -> str:
    rows = [f"| {code} | {meaning} |" for code, meaning in EXIT_CODES.items()]
    head = [NOTE, "# Exit codes", "", "Of the supervisor, and so of the container and of `corepod run`.", ""]
    tail = [
        "",
        "With `--exit-code worker` a used-up crash budget passes on the last worker's exit code (128 + signal).",
    ]
    return _text([*head, "| code | meaning |", "|---|---|", *rows, *tail])


def signals() -> str:
    rows = [f"| {names} | {meaning} |" for names, meaning in SIGNALS.items()]
    head = [NOTE, "# Signals", "", "To the supervisor; a handler only records, the loop acts.", ""]
    tail = [
        "",
        "Every other signal that can be caught is ignored with one line in the log, so that none ends a pool by",
        "surprise; job control (STOP, TSTP, CONT) does what it does everywhere. Only what the processor raises for a",
        "fault (SEGV, BUS, FPE, ILL) ends an ordinary process at once, with its workers; sent to PID 1 it is ignored.",
        "",
        "A worker that gets TERM or INT itself drains and ends, and the supervisor starts the next one: it counts as",
        "a death.",
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
        "Served at `/metrics` of the operator's admin port.",
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
    for path, text in chart.files().items():
        path.write_text(text)
        print(path.relative_to(chart.CHART.parents[2]))
