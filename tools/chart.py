"""Generates the parts of the chart that come from the code: the settings in its schema, the table of values in its
README, and the configuration of its front. Part of `make docs`; a test compares."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from corepod.config.spec import SETTINGS, Setting

from tools import front

if TYPE_CHECKING:
    from collections.abc import Iterator

CHART = Path(__file__).parents[1] / "deploy" / "helm" / "corepod"
SCHEMA, README, VALUES = CHART / "values.schema.json", CHART / "README.md", CHART / "values.yaml"
BEGIN, END = "<!-- Values, written by `make docs` from values.yaml. -->\n", "<!-- End of the values. -->\n"
LONGEST = 60  # characters of a default in the table

# Decided by other values or by the chart itself: templates/_validate.tpl says by which, and so the schema allows it.
DECIDED = (
    "app",
    "factory",
    "interface",
    "workers",
    "bind",
    "admin",
    "user",
    "group",
    "shared",
    "shared_required",
    "tls_key_password",
    "log_file",
    "log_max_size",
    "log_files",
    "termination_log",
    "reload",
    "reload_dir",
    "reload_include",
    "reload_exclude",
)


def files() -> dict[Path, str]:
    """Path and text of every generated file of the chart."""
    return {SCHEMA: schema(), README: readme(), front.FILE: front.text()}


def schema() -> str:
    """The schema, with the settings as the program's table has them."""
    document = json.loads(SCHEMA.read_text(encoding="utf-8"))
    document["definitions"]["settings"] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {s.name: {} if s.name in DECIDED else _property(s) for s in SETTINGS},
    }
    _require(document, yaml.safe_load(VALUES.read_text(encoding="utf-8")))
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _require(schema: dict[str, Any], values: dict[str, Any]) -> None:
    """Values without an empty form have to be there: `null` takes a default out, and the templates would have no
    number, no answer and no group in its place. Lists, maps and texts that are empty by default may be null, too.
    """
    below = schema["properties"]
    needed = []
    for name, value in values.items():
        if isinstance(value, dict) and "properties" in below[name]:
            _require(below[name], value)
        empty = value in (None, "", [], {}) or isinstance(value, list) or _may_be_empty(below[name])
        if name == "settings" or not empty:
            needed.append(name)
    if needed:
        schema["required"] = needed
    else:
        schema.pop("required", None)


def _may_be_empty(schema: dict[str, Any]) -> bool:
    return any(form in ({"const": ""}, {"type": "null"}) for form in schema.get("anyOf", ()))


def _property(setting: Setting) -> dict[str, Any]:
    number = {} if setting.minimum is None else {"minimum": setting.minimum}
    plain: dict[str, dict[str, Any]] = {
        "flag": {"type": "boolean"},
        "choice": {"enum": list(setting.choices)},
        "count": {"type": "integer", **number},
        # Also as text: that is what `helm --set` makes of a fraction.
        "seconds": {"anyOf": [{"type": "number", **number}, {"type": "string", "pattern": "^[0-9]+([.][0-9]+)?$"}]},
        "bytes": {"anyOf": [{"type": "integer", **number}, {"type": "string", "pattern": "^[0-9]+[kKmMgG]?$"}]},
        "memory": {
            "anyOf": [
                {"const": 0},
                {"type": "integer", "minimum": 16 << 20},
                {"type": "string", "pattern": "^([0-9]+[kKmMgG]?|([1-9][0-9]?|100)%)$"},
            ]
        },
        # What the fields may be, the program says when it starts.
        "cron": {"type": "string", "pattern": "^(@[a-z]+|[^ ]+( +[^ ]+){4})?$"},
        "budget": {"anyOf": [{"const": 0}, {"type": "string", "pattern": "^([1-9][0-9]*/[0-9]+([.][0-9]+)?|0)$"}]},
        # As text: YAML reads 022 as the number 18.
        "mode": {"type": "string", "pattern": "^[0-7]{1,3}$"},
        "networks": {"type": "array", "items": {"type": "string"}},
        "paths": {"type": "array", "items": {"type": "string", "pattern": "^/"}},
        "address": {"type": "string", "pattern": "^.+:[0-9]+$"},
        "text": {"type": "string"},
        "texts": {"type": "array", "items": {"type": "string"}},
        # A variable holds one: whatever could stand between two of them may be part of a command.
        "hooks": {"type": "array", "maxItems": 1, "items": {"type": "string"}},
    }
    return {"description": setting.help, **plain[setting.kind]}


def readme() -> str:
    """The README with its table of values."""
    before, _, rest = README.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    rows = [f"| `{name}` | {_default(value)} | {text.replace('|', chr(92) + '|')} |" for name, value, text in values()]
    table = "\n".join(["", "| value | default | meaning |", "|---|---|---|", *rows, "", ""])
    return before + BEGIN + table + END + after


def values() -> Iterator[tuple[str, Any, str]]:
    """Name, default and comment of each value; the default is ... for a group that is only explained.

    Raises ValueError for a value without a comment.
    """
    text = VALUES.read_text(encoding="utf-8")
    yield from _rows(yaml.compose(text), yaml.safe_load(text), "", text.splitlines())


def _rows(node: Any, defaults: dict[str, Any], prefix: str, lines: list[str]) -> Iterator[tuple[str, Any, str]]:
    for key, below in node.value:
        name, default = prefix + key.value, defaults[key.value]
        comment = _comment(lines, key.start_mark.line, key.start_mark.column)
        group = isinstance(default, dict) and default
        if comment:
            yield name, ... if group else default, comment
        elif not group:
            raise ValueError(f"values.yaml:{key.start_mark.line + 1}: {name} has no comment")
        if group:
            yield from _rows(below, default, name + ".", lines)


def _comment(lines: list[str], line: int, column: int) -> str:
    """The comment right above a line, with the same indentation."""
    start = line
    while start and lines[start - 1].startswith(" " * column + "# "):
        start -= 1
    return " ".join(text.strip()[2:] for text in lines[start:line])


def _default(value: Any) -> str:
    if value is ...:
        return ""
    text = json.dumps(value)
    return f"`{text}`" if len(text) <= LONGEST else "see values.yaml"
