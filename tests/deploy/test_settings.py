"""Every setting of the program can be given to the chart, arrives as it was meant, and a bad one is refused."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from corepod.config.kinds import parse
from corepod.config.spec import BY_NAME, SETTINGS, Setting

from tests.deploy.render import chart, environment, refused, worker
from tools.chart import DECIDED, SCHEMA

FREE = [setting for setting in SETTINGS if setting.name not in DECIDED]
# A value that isn't the default, for each kind, as YAML has it.
EXAMPLES: dict[str, list[Any]] = {
    "flag": [True, False],
    "count": [7, 1048576],
    "seconds": [0.5, 90, 86400, 1e7],
    "bytes": [16777216, 1 << 40, "64k", "8M"],
    "budget": ["3/30", "3/0.5", "0", 0],
    "memory": ["80%", "512m", 1 << 30, 0],
    "cron": ["0 4 * * *", "*/15 8-18 * jan,jul mon-fri", "@daily"],
    "mode": ["022", "0"],
    "networks": [["10.0.0.0/8", "::1"], ["*"], []],
    "paths": [["/", "/reports?year=1"], ["/a%2Cb"], []],
    "texts": [["src", "/some where"], ["/live*"], []],
    "hooks": [["https://hooks.example/a?b=c,d"], ["shop.alerts:told"], ["sh -c 'cat > /tmp/told'"], []],
    "address": ["operator.default:9001", "[fd00::1]:9001"],
    "text": ["/some where", "%(h)s \"quoted\" 'single' $HOME {{ braces }}", "yes", "0123"],
}
BAD: dict[str, list[Any]] = {
    "flag": ["maybe", 1],
    "count": ["many", 1.5, -1],
    "seconds": ["5s", -1, True],
    "bytes": ["16 MB", -1, 1.5],
    "budget": ["5", "5/", 5],
    "memory": ["0%", "101%", "much", 512, -1],
    "cron": ["4:00", "0 4 * *", 4],
    "mode": ["9", 660],
    "networks": ["10.0.0.0/8", [8]],
    "paths": ["/", [8], ["reports"]],
    "texts": ["src", [8]],
    "hooks": ["shop.alerts:told", [8], ["shop.alerts:told", "sh -c true"]],
    "address": ["somewhere", 9001],
    "text": [5, ["a"]],
    "choice": ["other", True],
}


def examples(setting: Setting) -> list[Any]:
    return list(setting.choices) or EXAMPLES[setting.kind]


def given(settings: dict[str, Any]) -> dict[str, str]:
    """The settings' variables in the worker's container."""
    variables = environment(worker(chart({"settings": settings})))
    return {name: variables[BY_NAME[name].variable] for name in settings}


def schema() -> jsonschema.Draft7Validator:
    return jsonschema.Draft7Validator(json.loads(SCHEMA.read_text())["definitions"]["settings"])


@pytest.mark.parametrize("index", range(4))
def test_every_setting_arrives_as_it_was_meant(index: int) -> None:
    settings = {s.name: examples(s)[index % len(examples(s))] for s in FREE}
    # Bounds between two settings are not what this is about.
    settings |= {"lame_duck": 0.5, "stop_timeout": 90}
    for name, text in given(settings).items():
        setting, value = BY_NAME[name], settings[name]
        assert text, f"{name}: an empty variable means the default"
        assert parse(setting, text) == parse(setting, value), name


@pytest.mark.parametrize("setting", FREE, ids=lambda s: s.name)
def test_the_schema_takes_what_the_program_takes_and_nothing_else(setting: Setting) -> None:
    for value in examples(setting):
        assert schema().is_valid({setting.name: value}), value
        parse(setting, value)
    for value in BAD[setting.kind]:
        assert not schema().is_valid({setting.name: value}), value


@pytest.mark.parametrize("setting", [s for s in FREE if s.minimum], ids=lambda s: s.name)
def test_the_schema_knows_the_least_value(setting: Setting) -> None:
    assert setting.minimum is not None
    assert schema().is_valid({setting.name: setting.minimum})
    assert not schema().is_valid({setting.name: setting.minimum - 0.01})
    with pytest.raises(ValueError, match="at least"):
        parse(setting, setting.minimum / 2 if setting.kind == "seconds" else 0)


def test_helm_says_which_setting_is_bad() -> None:
    error = refused({"settings": {"keep_alve": 10}})
    assert "/settings" in error
    assert "keep_alve" in error
    assert "/settings/lame_duck" in refused({"settings": {"lame_duck": "long"}})


def test_numbers_from_the_command_line() -> None:
    """`--set` makes texts of fractions and integers of whole numbers."""
    flags = ("--set", "settings.lame_duck=2.5,settings.keep_alive=75,settings.umask=022,settings.crash_budget=0")
    variables = environment(worker(chart({}, *flags)))
    assert variables["COREPOD_LAME_DUCK"] == "2.5"
    assert variables["COREPOD_KEEP_ALIVE"] == "75"
    assert variables["COREPOD_UMASK"] == "022"
    assert variables["COREPOD_CRASH_BUDGET"] == "0"


@pytest.mark.parametrize("name", DECIDED)
def test_what_something_else_decides_is_refused_by_name(name: str) -> None:
    error = refused({"settings": {name: "x"}})
    assert f"settings.{name} can't be set here: it is decided by" in error


def test_a_default_is_left_to_the_image() -> None:
    """A variable would win over a corepod.toml in it."""
    variables = environment(worker(chart({"app": {"module": "", "factory": False, "interface": "auto"}})))
    assert set(variables) == {"COREPOD_WORKERS", "COREPOD_NOTIFY", "POD_NAME", "NODE_NAME"}
    variables = environment(worker(chart({"app": {"module": "a.b:c", "factory": True, "interface": "wsgi"}})))
    assert variables["COREPOD_APP"] == "a.b:c"
    assert variables["COREPOD_FACTORY"] == "true"
    assert variables["COREPOD_INTERFACE"] == "wsgi"
