"""The schema of corepod.toml: it allows what corepod allows, and an editor marks what corepod would refuse."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from corepod.config import document
from corepod.config.kinds import parse, show
from corepod.config.schema import schema
from corepod.config.spec import BY_NAME, SETTINGS
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.config.test_apps import FILE
from tests.unit.config.test_resolve import BAD, GOOD

if TYPE_CHECKING:
    from pathlib import Path

VALIDATOR = jsonschema.Draft7Validator(schema())
# What only corepod itself finds: what a pattern can't say, or what depends on more than one value.
LEFT = {"hooks", "networks", "paths", "text", "texts", "addresses", "address", "memory", "cron"}


def allows(name: str, value: Any) -> bool:
    return bool(VALIDATOR.is_valid({name: value}))


def test_it_is_a_schema() -> None:
    jsonschema.Draft7Validator.check_schema(schema())


@pytest.mark.parametrize(
    "text",
    [
        "",
        FILE,
        'app = "main:app"\nworkers = 4\nbind = [":80", "unix:/run/a"]\ncrash_budget = "5/60"\nsocket_mode = "660"',
        '[apps.shop.env]\nA = 1\nB = "x"\n[apps.shop.env.STAGING]\nworkers = "auto"\nA = 2',
    ],
)
def test_good_files(text: str, tmp_path: Path) -> None:
    assert list(VALIDATOR.iter_errors(tomllib.loads(text))) == []
    assert faults(tmp_path, text) == []


@pytest.mark.parametrize(
    "text",
    [
        "wrokers = 1",
        "workers = 0",
        'standby = "x"',
        "backlog = -1",
        "umask = 22",
        "access_log = 7",
        "[apps.shop]\nwrokers = 1",
        "[apps.shop]\nworkers = 0",
        "[apps.'a b']\nworkers = 1",
        "[apps]\nshop = 1",
        "[env]\nhttp_proxy = 'x'",
        "[env]\nDEBUG = true",
        "[env.production]\nwrokers = 1",
        "[apps.shop.env.production]\nworkers = 0",
        "[apps.shop.env.production]\nhttp_proxy = 'x'",
        "apps = 1",
        "env = 1",
    ],
)
def test_bad_files(text: str, tmp_path: Path) -> None:
    assert not VALIDATOR.is_valid(tomllib.loads(text))
    assert faults(tmp_path, text)


def faults(tmp_path: Path, text: str) -> list[str]:
    path, found = tmp_path / "corepod.toml", list[str]()
    path.write_text(text)
    document.read(str(path), found)
    return found


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_each_setting_is_there_with_its_meaning_and_its_defaults(setting: Any) -> None:
    assert schema()["definitions"][setting.name]["description"] == setting.help
    for value in (setting.default, setting.pod):
        if shown := show(setting, value):
            assert allows(setting.name, shown)
            assert allows(setting.name, value) or isinstance(value, tuple | int)


@pytest.mark.parametrize(("name", "raw", "value"), GOOD, ids=lambda v: repr(v)[:30])
def test_what_the_parser_takes_is_allowed(name: str, raw: Any, value: Any) -> None:
    # Spaces around a value and capitals in it are taken, too, but nobody writes them in a file.
    assert allows(name, raw) or raw in (" 3 ", "OFF", " 080% ")


@pytest.mark.parametrize(("name", "raw", "phrase"), BAD, ids=lambda v: repr(v)[:30])
def test_what_the_parser_refuses_is_marked(name: str, raw: Any, phrase: str) -> None:
    # The least of a number that is written as text is one of the things that only corepod finds.
    of_text = isinstance(raw, str) and BY_NAME[name].minimum is not None
    assert not allows(name, raw) or BY_NAME[name].kind in LEFT or of_text


VALUES = st.one_of(
    st.booleans(),
    st.integers(-5, 10**6),
    st.floats(-5, 1e6, allow_nan=False),
    st.from_regex(r"[0-9]{1,5}[kKmMgG]?", fullmatch=True),
    st.from_regex(r"[0-9]{1,2}/[0-9]{1,2}([.][0-9])?", fullmatch=True),
    st.sampled_from(["auto", "none", "true", "off", "660", "0o22", "127.0.0.1:80", "unix:/a", ":1", "*", "/path", ""]),
    st.sampled_from(sorted({choice for setting in SETTINGS for choice in setting.choices})),
)


@given(st.sampled_from([s for s in SETTINGS if s.kind not in LEFT]), VALUES)
def test_schema_and_parser_agree(setting: Any, value: Any) -> None:
    """For every kind whose values a pattern can describe, in both directions."""
    try:
        parse(setting, value)
    except ValueError:
        taken = False
    else:
        taken = True
    if isinstance(value, float) and setting.kind != "seconds":
        return  # 3.0 is an integer to a schema, and not to corepod
    if isinstance(value, str) and setting.minimum is not None:
        return  # the least of a number that is written as text
    if setting.kind == "flag" and value in (0, 1) and not isinstance(value, bool | str):
        return
    assert allows(setting.name, value) == taken
