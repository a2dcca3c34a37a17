"""PM2: ecosystem files, what pm2 jlist shows, and command lines."""

from __future__ import annotations

import json
import shutil
import tomllib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from corepod.migrate import formats, toml
from corepod.migrate.model import Fate, MigrateError
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.migrate.formats.sources import context, each_once, item, only, read, read_file

if TYPE_CHECKING:
    from pathlib import Path

ECOSYSTEM = """
const name = process.env.SITE || "api";
console.log("not part of it");
module.exports = {
  apps: [
    {
      name, script: "./venv/bin/uvicorn", args: "main:app --host 0.0.0.0 --port 8000", interpreter: "none",
      instances: 1, exec_mode: "fork", max_memory_restart: "500M", kill_timeout: 5000, watch: false,
      max_restarts: 10, min_uptime: "10s", restart_delay: 3000, cron_restart: "0 4 * * *",
      out_file: "/var/log/api.log", error_file: "/var/log/api.err", merge_logs: true, time: true,
      env: { PYTHONUNBUFFERED: "1", RETRIES: 3 }, env_production: { APP_ENV: "production" },
    },
    { name: "site", script: "npm", args: "start", instances: "max", exec_mode: "cluster" },
    { name: "bot", script: "bot.py", interpreter: "venv/bin/python" },
  ],
  deploy: { production: { user: "ada", host: "10.0.0.1", ref: "main" } },
};
"""


@pytest.mark.skipif(not shutil.which("node"), reason="needs node")
def test_an_ecosystem_file_is_a_program(tmp_path: Path) -> None:
    migration = read_file(tmp_path, "ecosystem.config.js", ECOSYSTEM, SITE="shop")
    shop, bot = migration.programs
    assert shop.name == "shop"
    wanted: dict[str, Any] = {
        "app": "main:app",
        "bind": ["0.0.0.0:8000"],
        "workers": 1,
        "max_memory": 500 << 20,
        "stop_timeout": 5,
        "crash_budget": "10/100",
        "recycle_at": "0 4 * * *",
        "log_file": "/var/log/api.log",
    }
    assert {name: shop.settings.get(name) for name in wanted} == wanted
    assert (shop.variables, shop.covered) == ({"PYTHONUNBUFFERED": "1", "RETRIES": "3"}, True)
    assert item(shop, "error_file").fate is Fate.CHECK
    assert [one.setting for one in bot.of(Fate.NEEDS_YOU)] == ["script"]
    assert "site: isn't Python: it stays with PM2" in migration.notes
    assert any(note.startswith("deploy:") for note in migration.notes)
    content = tomllib.loads(toml.document(migration))
    assert content["apps"]["shop"]["env"]["production"] == {"APP_ENV": "production"}


def test_an_ecosystem_file_that_must_not_or_cannot_be_executed(tmp_path: Path) -> None:
    (tmp_path / "ecosystem.config.cjs").write_text("throw new Error('no database')")
    with pytest.raises(MigrateError, match="pm2 jlist"):
        formats.read("ecosystem.config.cjs", replace(context(tmp_path), execute=False))
    with pytest.raises(MigrateError, match="node isn't on the PATH"):
        formats.read("ecosystem.config.cjs", context(tmp_path, PATH="/nonexistent"))
    if shutil.which("node"):
        with pytest.raises(MigrateError, match="Error: no database"):
            formats.read("ecosystem.config.cjs", context(tmp_path))


def test_what_pm2_runs_now() -> None:
    state = {
        "pm_exec_path": "/srv/api/venv/bin/gunicorn",
        "exec_interpreter": "none",
        "args": ["api:app", "-w", "2"],
        "exec_mode": "fork_mode",
        "pm_cwd": "/srv/api",
        "env": {
            "DATABASE_URL": "postgres:///api",
            "PATH": "/usr/bin",
            "SSH_TTY": "/dev/pts/0",
            "api": {},
            "lower": "x",
        },
        "pm_out_log_path": "/root/.pm2/logs/api-out.log",
        "max_memory_restart": 314572800,
        "restart_time": 3,
        "status": "online",
        "axm_monitor": {},
        "PATH": "/usr/bin",
    }
    listing = json.dumps([{"pid": 1, "name": "api", "pm2_env": state}, {"pid": 2, "name": "api", "pm2_env": state}])
    program = only(read(listing))
    assert program.settings["workers"] == 2
    assert (program.settings["max_memory"], program.settings["chdir"]) == (314572800, "/srv/api")
    assert program.variables == {"DATABASE_URL": "postgres:///api"}


def test_yaml_and_json_files(tmp_path: Path) -> None:
    text = "apps:\n  - script: gunicorn app:app -b :8000\n    name: web\n    instances: 3\n    cwd: .\n"
    assert only(read_file(tmp_path, "pm2.yml", text)).settings["workers"] == 3
    text = json.dumps({"apps": {"script": "main.sh", "instances": -1}})
    (tmp_path / "main.sh").write_text("#!/bin/sh\nset -e\n# gunicorn old:app\nexec venv/bin/gunicorn new:app\n")
    program = only(read_file(tmp_path, "processes.json", text))
    assert (program.settings["app"], program.settings["workers"]) == ("new:app", "auto")
    assert item(program, "instances").fate is Fate.CHECK


def test_a_command_line_of_pm2() -> None:
    line = "pm2 start venv/bin/uvicorn --name api -i 2 --interpreter none --max-memory-restart 1G -- main:app --port 80"
    program = only(read(line))
    assert (program.name, program.settings["workers"], program.settings["max_memory"]) == ("api", 2, 1 << 30)
    assert program.settings["bind"] == ["127.0.0.1:80"]
    with pytest.raises(MigrateError, match=r"corepod migrate ecosystem\.config\.js"):
        read("pm2 start ecosystem.config.js --env production")
    with pytest.raises(MigrateError, match="only pm2 start"):
        read("pm2 logs")


@pytest.mark.parametrize(
    ("field", "value", "setting", "expected"),
    [
        ("max_restarts", 999999, "crash_budget", "0"),
        ("max_restarts", 5, "crash_budget", "5/5"),
        ("exp_backoff_restart_delay", 100, "crash_budget", "0"),
        ("cron_restart", "30 0 4 * * *", "recycle_at", "0 4 * * *"),
        ("kill_timeout", 1500, "stop_timeout", 1.5),
        ("max_memory_restart", "200000K", "max_memory", 200000 << 10),
        ("watch", True, "reload", True),
        ("watch", ["src"], "reload_dir", ["src"]),
        ("env_file", ".env", "env_file", ".env"),
        ("uid", "ada", "user", "ada"),
        ("log_type", "json", "log_format", "json"),
    ],
)
def test_fields(field: str, value: object, setting: str, expected: object) -> None:
    app = {"script": "gunicorn app:app", "name": "web", field: value}
    assert only(read(json.dumps({"apps": [app]}))).settings[setting] == expected


@pytest.mark.parametrize(
    ("field", "value", "fate"),
    [
        ("autorestart", False, Fate.NEEDS_YOU),
        ("max_memory_restart", "1M", Fate.NEEDS_YOU),
        ("max_memory_restart", "much", Fate.NEEDS_YOU),
        ("stop_exit_codes", [0], Fate.NEEDS_YOU),
        ("increment_var", "PORT", Fate.NEEDS_YOU),
        ("instance_var", "INSTANCE", Fate.CHECK),
        ("env", {"lower": "x"}, Fate.NEEDS_YOU),
        ("env", {"COREPOD_WORKERS": "2"}, Fate.NEEDS_YOU),
        ("node_args", "--max-old-space-size=512", Fate.DROPPED),
        ("out_file", "/dev/null", Fate.DROPPED),
        ("no_such_field", 1, Fate.NEEDS_YOU),
    ],
)
def test_fates_of_fields(field: str, value: object, fate: Fate) -> None:
    app = {"script": "gunicorn app:app", "name": "web", field: value}
    assert item(only(read(json.dumps({"apps": [app]}))), field).fate is fate


KNOWN = """
name args interpreter cwd instances exec_mode watch ignore_watch watch_delay max_memory_restart kill_timeout
listen_timeout wait_ready max_restarts min_uptime restart_delay exp_backoff_restart_delay cron_restart
autorestart out_file error_file log_file merge_logs log_date_format time log_type env env_production env_file
node_args interpreter_args instance_var increment_var treekill stop_exit_codes uid gid source_map_support
vizion namespace
"""
KEYS = st.sampled_from(KNOWN.split()) | st.from_regex(r"[a-z_]{3,14}", fullmatch=True)
VALUES = (
    st.none() | st.booleans() | st.integers(-3, 10**7) | st.sampled_from(["", "max", "1G", "10s", "x.log", "* * * * *"])
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(KEYS, VALUES | st.lists(VALUES, max_size=2) | st.dictionaries(st.text(max_size=4), VALUES)))
def test_no_field_is_lost(app: dict[str, Any]) -> None:
    for key in ("script", "interpreter", "args", "cwd", "exec", "exec_interpreter", "interpreter_args", "node_args"):
        app.pop(key, None)
    migration = read(json.dumps({"apps": [{**app, "script": "gunicorn app:app"}]}))
    each_once(only(migration), {**dict.fromkeys(app, 1), "script": 1})
    tomllib.loads(toml.document(migration))
