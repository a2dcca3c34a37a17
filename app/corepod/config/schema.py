"""The JSON schema of corepod.toml, for editors: names, kinds and meanings from the table of settings."""

from __future__ import annotations

from typing import Any

from corepod.config.document import NAME, VARIABLE
from corepod.config.kinds import LEAST_MEMORY, NO, YES
from corepod.config.spec import SETTINGS, Setting

FLOAT = r"[0-9]+([.][0-9]+)?"
TEXT: dict[str, Any] = {"type": ["string", "number"]}  # a number is taken for its digits


def schema() -> dict[str, Any]:
    """What can be written in the file. It forbids no value that the parser takes in its plain form."""
    settings = {setting.name: {"$ref": f"#/definitions/{setting.name}"} for setting in SETTINGS}
    variable = {"type": ["string", "number"], "description": "variable of the application"}
    overlay = {
        "type": "object",
        "description": "what this environment (--env) changes: settings, and variables in capitals",
        "properties": settings,
        "patternProperties": {_whole(VARIABLE.pattern): variable},
        "additionalProperties": False,
    }
    env = {
        "type": "object",
        "description": "variables of the application in capitals, and a table for each environment",
        # A name in capitals may be either. The second pattern would forbid the variable, if it took these, too.
        "patternProperties": {
            _whole(VARIABLE.pattern): {"anyOf": [variable, overlay]},
            f"^(?!{VARIABLE.pattern}$){NAME.pattern}$": overlay,
        },
        "additionalProperties": False,
    }
    section = {**settings, "env": {"$ref": "#/definitions/env"}}
    app = {"type": "object", "properties": section, "additionalProperties": False}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "corepod.toml",
        "description": "Settings of corepod",
        "type": "object",
        "properties": {
            **section,
            "apps": {
                "type": "object",
                "description": "applications by name; the settings above are the defaults of all of them",
                "patternProperties": {_whole(NAME.pattern): app},
                "additionalProperties": False,
            },
        },
        "additionalProperties": False,
        "definitions": {**{setting.name: _definition(setting) for setting in SETTINGS}, "env": env},
    }


def _definition(setting: Setting) -> dict[str, Any]:
    shown = setting.default not in (None, "", []) and not isinstance(setting.default, tuple)
    return {"description": setting.help, **_kind(setting), **({"default": setting.default} if shown else {})}


def _kind(setting: Setting) -> dict[str, Any]:
    number = {} if setting.minimum is None else {"minimum": setting.minimum}
    kinds: dict[str, dict[str, Any]] = {
        "flag": {"anyOf": [{"type": "boolean"}, {"enum": [*YES, *NO]}]},
        "choice": {"enum": list(setting.choices)},
        "count": _either({"type": "integer", **number}, "[0-9]+"),
        "seconds": _either({"type": "number", **number}, FLOAT),
        "bytes": _either({"type": "integer", **number}, "[0-9]+[kKmMgG]?"),
        "workers": _either({"type": "integer", "minimum": 1}, "auto(:[1-9][0-9]*-([1-9][0-9]*)?)?|[1-9][0-9]*"),
        "budget": _either({"const": 0}, f"[1-9][0-9]*/(?=.*[1-9]){FLOAT}|0"),
        # As text: TOML reads 0660 as a fault, and 660 as another number.
        "mode": {"type": "string", "pattern": _whole("(0o)?[0-7]{1,3}")},
        "address": {"type": "string", "pattern": _whole("none|unix:.+|.*:[0-9]+")},
        "addresses": _list({"type": "string", "pattern": _whole(f"{ADDRESS}( *,.*)?")}),
        "networks": _list({"type": "string"}),
        "paths": _list({"type": "string"}),
        "texts": _list(TEXT),
        "hooks": _list({"type": "string"}),
        "text": TEXT,
        "memory": {
            "anyOf": [
                {"const": 0},
                {"type": "integer", "minimum": LEAST_MEMORY},
                {"type": "string", "pattern": _whole("[0-9]+[kKmMgG]?|(100|[1-9][0-9]?)%")},
            ]
        },
        "cron": {"type": "string"},
    }
    return kinds.get(setting.kind, TEXT)


def _either(number: dict[str, Any], pattern: str) -> dict[str, Any]:
    return {"anyOf": [number, {"type": "string", "pattern": _whole(pattern)}]}


def _list(item: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [item, {"type": "array", "items": item}]}


# Of the application: without a port, too.
ADDRESS = r"(unix:.+|.*:[0-9]+|localhost|\*|::1?|\[[0-9a-fA-F:.]+\]|[0-9]+(\.[0-9]+){3})"


def _whole(pattern: str) -> str:
    return f"^({pattern})$"
