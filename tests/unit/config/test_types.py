"""Declared types of settings: the worker's and the supervisor's classes against what the table's parsers return."""

from __future__ import annotations

from dataclasses import fields
from types import UnionType
from typing import Any, get_args, get_type_hints

import pytest
from corepod.config.kinds import parse
from corepod.config.spec import BY_NAME, SETTINGS, Setting
from corepod.supervisor.settings import Settings
from corepod.worker.settings import WorkerSettings

# For each kind texts that, together, give a value of each type that its parser returns.
SAMPLES: dict[str, list[str]] = {
    "text": ["text"],
    "flag": ["yes"],
    "choice": [],  # the setting's own choices
    "count": ["3"],
    "seconds": ["3"],
    "bytes": ["16k"],
    "memory": ["512m", "80%"],
    "cron": ["0 4 * * *"],
    "workers": ["auto", "3", "auto:2-8"],
    "budget": ["5/60", "0"],
    "mode": ["660"],
    "address": ["127.0.0.1:8000"],
    "addresses": ["127.0.0.1:8000", "unix:/run/app.sock,[::1]:80"],
    "networks": ["10.0.0.0/8"],
    "paths": ["/users,/?a=b"],
    "texts": ["*.py,*.html"],
    "hooks": ["notify a,b"],
}
# Known to the command line, not to the table.
BESIDE = {
    "profile",
    "python",
    "interpreter",
    "cwd",
    "env_names",
    "admin_explicit",
    "attended",
    "ld_preload",
    "prefixed",
    "lifeline",
    "starter",
    "sources",
    "console",
    "terminal",
    "outputs",
}


def values(setting: Setting) -> list[Any]:
    """Every kind of value that the setting can have: parsed ones, and its defaults."""
    texts = [*SAMPLES[setting.kind], *setting.choices]
    return [*(parse(setting, text) for text in texts), setting.default, setting.pod or setting.default]


def type_of(value: Any) -> Any:
    """The type as an annotation would say it."""
    if isinstance(value, list):
        return list[str]
    return tuple[tuple(type(one) for one in value)] if isinstance(value, tuple) else type(value)  # type: ignore[misc]


def members(declared: Any) -> set[Any]:
    return set(get_args(declared)) if isinstance(declared, UnionType) else {declared}


DECLARED = [
    (where, name, declared)
    for where in (WorkerSettings, Settings)
    for name, declared in get_type_hints(where).items()
    if name not in BESIDE
]


@pytest.mark.parametrize(("where", "name", "declared"), DECLARED, ids=lambda value: getattr(value, "__name__", value))
def test_the_declared_type_is_what_the_parser_returns(where: type, name: str, declared: Any) -> None:
    assert members(declared) == {type_of(value) for value in values(BY_NAME[name])}


def test_every_setting_is_used() -> None:
    """By the worker, by the supervisor, or by the command line itself."""
    used = {name for _, name, _ in DECLARED} | {"chdir", "log_prefix", "reload_dir", "reload_include", "reload_exclude"}
    assert used == {setting.name for setting in SETTINGS}


def test_the_worker_takes_its_part_of_all_values() -> None:
    everything = {setting.name: setting.default for setting in SETTINGS} | dict.fromkeys(BESIDE, "beside")
    settings = WorkerSettings.from_values(everything)
    assert all(getattr(settings, one.name) == everything[one.name] for one in fields(WorkerSettings))
    assert "secret" not in repr(WorkerSettings.from_values({**everything, "tls_key_password": "secret"}))
    with pytest.raises(KeyError, match="keep_alive"):
        WorkerSettings.from_values({name: value for name, value in everything.items() if name != "keep_alive"})
