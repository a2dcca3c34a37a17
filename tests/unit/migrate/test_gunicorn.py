"""What gunicorn is told, by flags, variables and its file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from corepod.migrate.given import Given
from corepod.migrate.gunicorn.read import convert
from corepod.migrate.gunicorn.table import DEFAULTS, HOOKS, LOG_FORMAT, NAMES
from corepod.migrate.model import Context, Fate, MigrateError, Program
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.migrate.told import faults, told


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    return tmp_path / "gunicorn.conf.py"


def test_the_file_is_executed_and_flags_take_precedence(conf: Path) -> None:
    conf.write_text("import os\ntimeout = int(os.environ['SECONDS'])\nworkers = 3\nbind = ':1'\n")
    found = told("gunicorn --bind :3 app:app", conf.parent, {"SECONDS": "90", "GUNICORN_CMD_ARGS": "-b :2 -w 2"})
    assert found.settings["wsgi_timeout"] == 90
    assert found.settings["workers"] == 2
    assert found.settings["bind"] == ["0.0.0.0:3"]
    assert any(item.setting == "timeout" and "SECONDS" in item.note for item in found.items)


def test_what_the_file_prints_is_no_output_of_the_command(conf: Path, capfd: pytest.CaptureFixture[str]) -> None:
    conf.write_text("print('loaded')\n")
    told("gunicorn app:app", conf.parent)
    assert capfd.readouterr() == ("", "loaded\n")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import gunicorn_that_is_nowhere", "environment that runs the application"),
        ("import os\nbind = os.environ['NOT_SET_HERE']", "set the variables"),
        ("import sys\nsys.exit(3)", "SystemExit"),
        ("import os\nos._exit(0)", "ended before"),
        ("bind = ", "SyntaxError"),
    ],
)
def test_a_file_that_fails_says_why(conf: Path, text: str, said: str) -> None:
    conf.write_text(text)
    with pytest.raises(MigrateError, match=said):
        told("gunicorn app:app", conf.parent)


def test_a_module_is_a_configuration_too(tmp_path: Path) -> None:
    (tmp_path / "deploy.py").write_text("workers = 2\nwsgi_app = 'shop.wsgi'\n")
    found = told("gunicorn -c python:deploy", tmp_path)
    assert found.settings["workers"] == 2
    assert found.settings["app"] == "shop.wsgi"


def test_a_number_computed_from_the_cores_follows_them(conf: Path) -> None:
    conf.write_text("import multiprocessing\nworkers = multiprocessing.cpu_count() * 2 + 1\n")
    assert told("gunicorn app:app", conf.parent).settings["workers"] == "auto"


def test_a_variable_that_decides_the_number_is_no_computation(conf: Path) -> None:
    conf.write_text("import multiprocessing, os\nworkers = int(os.getenv('N', multiprocessing.cpu_count() * 2 + 1))\n")
    assert told("gunicorn app:app", conf.parent, {"N": "2"}).settings["workers"] == 2
    assert told("gunicorn app:app", conf.parent).settings["workers"] == "auto"


def test_more_workers_than_cores_start_nevertheless() -> None:
    found = told("gunicorn -w 5 app:app", cores=2)
    assert (found.settings["workers"], found.settings["pin"]) == (5, "never")
    assert [item.setting for item in found.of(Fate.CHECK)] == ["-w"]


def test_names_that_gunicorn_ignores_are_said(conf: Path) -> None:
    conf.write_text("log_level = 'debug'\nTIMEOUT = 3\ncores = 2\nworkers = cores\nmax_worker_memory = 5\n")
    dropped = {item.setting: item.note for item in told("gunicorn app:app", conf.parent).of(Fate.DROPPED)}
    assert dropped.keys() == {"log_level", "TIMEOUT", "max_worker_memory"}
    assert "loglevel" in dropped["log_level"]
    assert "timeout" in dropped["TIMEOUT"]
    assert "max_memory" in dropped["max_worker_memory"]


@pytest.mark.parametrize(
    ("flags", "settings"),
    [
        ("", {"wsgi_threads": 1, "wsgi_timeout": 30}),
        ("-k sync", {"wsgi_threads": 1, "wsgi_timeout": 30}),
        ("--threads 8", {"wsgi_threads": 8, "wsgi_timeout": 30}),
        ("-k gthread --threads 8 -t 0", {"wsgi_threads": 8, "wsgi_timeout": 0}),
        ("-k gevent --worker-connections 10", {"wsgi_threads": 10, "wsgi_timeout": 30}),
        ("-k eventlet", {"wsgi_threads": 64, "wsgi_timeout": 30}),
        ("-k uvicorn.workers.UvicornWorker", {}),
        ("-k uvicorn_worker.UvicornH11Worker -t 40", {"stuck_timeout": 40, "busy_timeout": 40}),
        ("-k asgi --threads 4", {}),
        ("-k shop.workers.MyUvicornWorker", {}),
        ("-b unix:/run/a.sock", {"bind": ["unix:/run/a.sock"], "socket_mode": "666"}),
        ("-b unix:/run/a.sock -m 027", {"bind": ["unix:/run/a.sock"], "socket_mode": "640"}),
        ("-b 127.0.0.1", {"bind": ["127.0.0.1:8000"]}),
        ("-b :80 -b [::1]:81", {"bind": ["0.0.0.0:80", "[::1]:81"]}),
        ("-b [::]", {"bind": ["[::]:8000"]}),
        ("-b 0.0.0.0:$PORT", {}),
        ("-b $PORT", {}),
        ("-b :${PORT:-80}", {"bind": ["0.0.0.0:80"]}),
        ("--access-logfile -", {"access_log": True, "access_log_format": LOG_FORMAT}),
        (
            "--access-logfile a.log",
            {"access_log": True, "access_log_format": LOG_FORMAT, "access_log_file": "a.log"},
        ),
        ("--error-logfile /var/log/e.log --capture-output", {"log_file": "/var/log/e.log"}),
        ("--log-level critical", {"log_level": "error"}),
        ("--keep-alive 0", {"connection_max_requests": 1}),
        ("--max-requests 500 --max-requests-jitter 50", {"max_requests": 500, "max_requests_jitter": 50}),
        ("--max-requests 0", {}),
        ("--limit-request-line 6000", {"limit_header": 16384}),
        ("--limit-request-line 0", {"limit_header": 1 << 20}),
        ("--preload", {"preload": "application"}),
        ("--forwarded-allow-ips=*", {"trusted_proxies": ["*"]}),
        ("--worker-tmp-dir /dev/shm --no-control-socket --no-sendfile --daemon", {}),
        ("-p /run/a.pid --name shop --chdir src", {"pid_file": "/run/a.pid", "name": "shop", "chdir": "src"}),
    ],
)
def test_what_flags_become(flags: str, settings: dict[str, Any]) -> None:
    expected = {"app": "app:app", "workers": 1, **settings}
    found = told(f"gunicorn {flags} app:app").settings
    assert {name: found[name] for name in found if name in expected or "wsgi" not in name} == expected


@pytest.mark.parametrize(
    "flags",
    ["--statsd-host a:1", "-k tornado", "--proxy-protocol", "--log-syslog", "-b $HERE", "-w 0"],
)
def test_what_only_a_person_can_decide(flags: str) -> None:
    assert len(told(f"gunicorn {flags} app:app").of(Fate.NEEDS_YOU)) == 1


def test_variables_of_the_application() -> None:
    found = told("env A=1 gunicorn -e B=2 --env C=x=y app:app")
    assert found.variables == {"A": "1", "B": "2", "C": "x=y"}


@pytest.mark.parametrize("loggers", [{}, {"gunicorn.access": {}}, {"shop": {}}])
def test_a_configuration_of_logging(conf: Path, loggers: dict[str, Any]) -> None:
    config = {
        "version": 1,
        "formatters": {"f": {"()": "pythonjsonlogger.jsonlogger.JsonFormatter"}},
        "loggers": loggers,
    }
    conf.write_text(f"logconfig_dict = {json.dumps(config)}\n")
    found = told("gunicorn app:app", conf.parent)
    assert found.settings["log_format"] == "json"
    assert found.covered == ("shop" not in loggers)


def test_a_logger_class_that_leaves_out_probes(conf: Path) -> None:
    conf.write_text(
        "class Logger:\n    def access(self, resp, req, environ, request_time):\n"
        "        if req.path in ('/health', '/ready'):\n            return\nlogger_class = Logger\n"
    )
    assert told("gunicorn app:app", conf.parent).settings["access_log_skip"] == ["/health", "/ready"]


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 10_000),
    st.floats(0, 100),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    st.sampled_from(["unix:/run/a.sock", ":80", "-", "/dev/null", "gevent", "A=b", "007", "*"]),
    st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=6), max_size=3),
    st.dictionaries(st.text(max_size=4), st.integers(), max_size=2),
)
SETTABLE = [name for name in NAMES if name not in HOOKS and name != "config"]


@given(st.dictionaries(st.sampled_from(SETTABLE), VALUES, max_size=12))
def test_no_setting_is_lost_and_the_file_is_one_that_corepod_takes(
    tmp_path_factory: pytest.TempPathFactory, values: dict[str, Any]
) -> None:
    program = Program("shop", "gunicorn")
    items = {name: Given(name, value, str(value)) for name, value in values.items()}
    convert(program, items, Context({}, Path("/nowhere"), cores=2))
    named = [item.setting for item in program.items if not item.value.startswith("not given")]
    assert sorted(named) == sorted(values)
    assert faults([program, program], tmp_path_factory.getbasetemp() / "migrated.toml") == []


def test_every_default_is_that_of_a_setting() -> None:
    assert DEFAULTS.keys() <= set(NAMES)


@pytest.mark.parametrize(
    ("line", "environ", "bind"),
    [
        ("gunicorn -b 127.0.0.1:$PORT app:app", {}, ["127.0.0.1:8000"]),
        ("gunicorn -b 127.0.0.1:$PORT app:app", {"PORT": "5000"}, ["127.0.0.1:5000"]),
        ("uvicorn --port $PORT app:app", {}, ["127.0.0.1:8000"]),
        ("gunicorn -b '[::1]:$PORT' app:app", {}, ["[::1]:8000"]),
        ("gunicorn -b 0.0.0.0:$PORT app:app", {}, None),
        ("uvicorn --host 0.0.0.0 --port $PORT app:app", {"PORT": "5000"}, None),
        ("gunicorn -b $PORT app:app", {}, None),
    ],
)
def test_a_port_of_the_platform_opens_no_address_that_was_closed(
    line: str, environ: dict[str, str], bind: list[str] | None
) -> None:
    found = told(line, environ=environ)
    assert found.settings.get("bind") == bind
    assert found.covered
    notes = [item.note for item in found.of(Fate.CHECK) if item.ours.startswith("bind = ")]
    assert bind is None or "which other machines reach" in notes[0]


@pytest.mark.parametrize(
    ("given", "ours"),
    [("unix:///tmp/x", "unix:/tmp/x"), ("unix:/tmp/x", "unix:/tmp/x"), ("unix:x", "unix:x"), ("unix://x", "unix:x")],
)
def test_unix_sockets_as_gunicorn_reads_them(given: str, ours: str) -> None:
    assert told(f"gunicorn -b {given} app:app").settings["bind"] == [ours]


def test_options_of_an_own_worker_are_uvicorn_s(tmp_path: Path) -> None:
    (tmp_path / "worker.py").write_text(
        "class Own(UvicornWorker):\n"
        "    CONFIG_KWARGS = {**UvicornWorker.CONFIG_KWARGS, 'lifespan': 'off', 'server_header': True,\n"
        "        'root_path': '/v1', 'proxy_headers': False, 'ws': 'wsproto', 'unknown': 1, 'h': compute()}\n"
        "    def init_signals(self): pass\n"
    )
    found = told("gunicorn -k worker.Own app:app", tmp_path)
    assert (
        found.settings.items()
        >= {
            "lifespan": "off",
            "server_header": True,
            "root_path": "/v1",
            "trusted_proxies": ["none"],
        }.items()
    )
    assert [item.setting for item in found.of(Fate.NEEDS_YOU)] == [
        "CONFIG_KWARGS['unknown']",
        "CONFIG_KWARGS['h']",
        "Own (worker_class)",
    ]


def test_an_application_of_paste_is_loaded_by_a_module(tmp_path: Path) -> None:
    (tmp_path / "live.ini").write_text("[app:shop]\n[loggers]\nkeys = root\n")
    found = told("gunicorn --paste live.ini#shop --paste-global debug=false -w 2", tmp_path)
    assert found.covered
    assert found.settings["app"] == "paste_app:application"
    asked: list[Any] = []
    module = {"__file__": str(tmp_path / "paste_app.py")}
    text = found.files["paste_app.py"]
    text = text.replace("from paste.deploy import loadapp", "").replace("from logging.config import fileConfig", "")
    names = {
        "loadapp": lambda *words, **more: asked.append((words, more)),
        "fileConfig": lambda *words, **more: asked.append((words, more)),
    }
    exec(compile(text, "paste_app.py", "exec"), {**module, **names})
    assert asked == [
        ((tmp_path / "live.ini",), {"disable_existing_loggers": False}),
        ((f"config:{tmp_path}/live.ini",), {"name": "shop", "global_conf": {"debug": "false"}}),
    ]
