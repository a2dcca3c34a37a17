"""Servers that are told everything by flags, and programs that start one themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from corepod.migrate import fastapi, granian, hypercorn, uvicorn
from corepod.migrate.commands import python
from corepod.migrate.gunicorn import mapping, table
from corepod.migrate.model import Context, Fate

from tests.unit.migrate.told import faults, told

if TYPE_CHECKING:
    from pathlib import Path

SERVERS = [uvicorn.SERVER, granian.SERVER, hypercorn.SERVER, fastapi.SERVER]
OF_THE_MACHINE = ("user", "group", "sendfile", "proxy_protocol")  # or of the version
UVICORN: dict[str, Any] = {"workers": 1, "access_log": True}


@pytest.mark.parametrize(
    ("line", "settings"),
    [
        ("uvicorn a:app --port 80 --host ::", {**UVICORN, "bind": ["[::]:80"]}),
        ("uvicorn a:app --host localhost", {**UVICORN, "bind": ["localhost:8000"]}),
        ("uvicorn a:app --host 0.0.0.0 --port $PORT", UVICORN),
        ("uvicorn a:app --uds /run/a.sock", {**UVICORN, "bind": ["unix:/run/a.sock"]}),
        ("uvicorn a:app --fd 0 --loop uvloop --http httptools --ws auto", {**UVICORN, "loop": "uvloop"}),
        ("uvicorn a:app --lifespan off --factory", {**UVICORN, "lifespan": "off", "factory": True}),
        ("uvicorn a:app --no-proxy-headers --forwarded-allow-ips='*'", {**UVICORN, "trusted_proxies": ["none"]}),
        ("uvicorn a:app --proxy-headers --forwarded-allow-ips='*'", {**UVICORN, "trusted_proxies": ["*"]}),
        ("uvicorn a:app --log-level trace --no-access-log", {"workers": 1, "access_log": False, "log_level": "debug"}),
        (
            "uvicorn a:app --ws-ping-interval 45 --ws-ping-timeout 30 --ws-max-size 1000",
            {**UVICORN, "websocket_ping": 45, "websocket_ping_timeout": 30, "websocket_max_message": 1000},
        ),
        (
            "uvicorn a:app --timeout-keep-alive 65 --timeout-graceful-shutdown 10 --limit-concurrency 100",
            {**UVICORN, "keep_alive": 65, "stop_timeout": 10, "limit_requests": 100},
        ),
        ("uvicorn a:app --app-dir src --root-path /api", {**UVICORN, "pythonpath": ["src"], "root_path": "/api"}),
        (
            "granian --interface wsgi --blocking-threads 4 --workers-max-rss 512 --workers-lifetime 1h30m a:app",
            {"workers": 1, "interface": "wsgi", "wsgi_threads": 4, "max_memory": "512m", "max_age": 5400},
        ),
        ("granian --interface asginl --uds a.sock --uds-permissions 0o660 a:app", None),
        (
            "hypercorn -w 2 -k uvloop -b :80 --access-logfile - a:app",
            {
                "workers": 2,
                "loop": "uvloop",
                "bind": ["0.0.0.0:80"],
                "access_log": True,
                "access_log_format": hypercorn.LOG_FORMAT,
            },
        ),
        ("fastapi run --port 80 --workers 2 a.py", {"workers": 2, "access_log": True, "bind": ["0.0.0.0:80"]}),
    ],
)
def test_what_flags_become(line: str, settings: dict[str, Any] | None, tmp_path: Path) -> None:
    found = told(line)
    assert found.covered
    assert settings is None or found.settings == {"app": "a:app", **settings}
    assert faults([found], tmp_path / "corepod.toml") == []


@pytest.mark.parametrize(
    ("line", "setting"),
    [
        ("uvicorn a:app --header a:b", "--header"),
        ("uvicorn a:app --no-such-flag", "--no-such-flag"),
        ("granian a:app", "--interface"),
        ("granian --interface wsgi --static-path-mount static a:app", "--static-path-mount"),
        ("hypercorn -k trio a:app", "-k"),
        ("hypercorn --quic-bind :443 a:app", "--quic-bind"),
    ],
)
def test_what_only_a_person_can_decide(line: str, setting: str) -> None:
    assert [item.setting for item in told(line).of(Fate.NEEDS_YOU)] == [setting]


def test_variables_are_read_in_the_place_of_flags() -> None:
    assert told("uvicorn a:app", environ={"FORWARDED_ALLOW_IPS": "*"}).settings["trusted_proxies"] == ["*"]
    assert told("granian a:app", environ={"GRANIAN_INTERFACE": "asgi"}).covered


def test_fastapi_looks_for_the_beginning_of_a_package(tmp_path: Path) -> None:
    (tmp_path / "src" / "shop").mkdir(parents=True)
    (tmp_path / "src" / "shop" / "main.py").touch()
    assert told("fastapi run src/shop/main.py", tmp_path).settings["chdir"] == "src/shop"
    (tmp_path / "src" / "shop" / "__init__.py").touch()
    found = told("fastapi run src/shop/main.py --app api", tmp_path).settings
    assert (found["chdir"], found["app"]) == ("src", "shop.main:api")


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        (
            "PORT = int(os.getenv('PORT', '8080'))\nuvicorn.run('shop:app', host='0.0.0.0', port=PORT, workers=2)",
            {"app": "shop:app", "bind": ["0.0.0.0:8080"], "workers": 2, "access_log": True},
        ),
        (
            "app = FastAPI()\nif __name__ == '__main__':\n    uvicorn.run(app, access_log=False)",
            {"app": "main:app", "workers": 1, "access_log": False},
        ),
        ("def make():\n    ...\nuvicorn.run(make(), log_config=None)", {"app": "main:make()", **UVICORN}),
        (
            "app = Flask('a')\napp.run('0.0.0.0', 5000, debug=True)",
            {"app": "main:app", "bind": ["0.0.0.0:5000"], **UVICORN},
        ),
    ],
)
def test_a_program_that_starts_its_server(text: str, settings: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(f"import os\n{text}\n")
    for found in (told("python main.py", tmp_path), python(tmp_path / "main.py", Context({}, tmp_path))):
        assert found.settings == settings


@pytest.mark.parametrize("server", SERVERS, ids=lambda server: server.name)
def test_there_is_a_rule_for_each_flag(server: Any) -> None:
    assert {flag.name for flag in server.flags.values()} == server.rules.keys()


def test_there_is_a_rule_for_each_setting_of_gunicorn() -> None:
    assert set(table.NAMES) - {"config", "wsgi_app", *table.HOOKS} == mapping.RULES.keys()


@pytest.mark.compat("gunicorn")
def test_the_table_has_what_gunicorn_has() -> None:
    from gunicorn.config import KNOWN_SETTINGS

    for setting in KNOWN_SETTINGS:
        assert setting.name in table.NAMES
        assert {table.FLAGS[flag].name for flag in setting.cli or []} <= {setting.name}
        if setting.name in table.DEFAULTS:
            assert table.DEFAULTS[setting.name] == setting.default or setting.name in (
                "user",
                "group",
                "proxy_protocol",
            )


@pytest.mark.compat("uvicorn")
def test_the_table_has_what_uvicorn_has() -> None:
    from uvicorn.main import main

    flags = {flag for option in main.params for flag in (*option.opts, *option.secondary_opts) if flag.startswith("-")}
    assert flags <= uvicorn.FLAGS.keys()
