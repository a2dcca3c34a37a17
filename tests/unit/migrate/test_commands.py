from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
from corepod.migrate.commands import program
from corepod.migrate.model import Context, Fate, Program


def told(line: str, cores: int = 4, **environ: str) -> Program:
    found = program(shlex.split(line), Context(environ, Path("/nowhere"), execute=False, cores=cores))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("line", "settings"),
    [
        (
            "gunicorn shop.wsgi:application",
            {"app": "shop.wsgi:application", "workers": 1, "wsgi_threads": 1, "wsgi_timeout": 30},
        ),
        (
            "venv/bin/gunicorn --workers=3 -b unix:shop.sock -m 007 --timeout 120 wsgi:app",
            {
                "app": "wsgi:app",
                "workers": 3,
                "bind": ["unix:shop.sock"],
                "socket_mode": "660",
                "wsgi_timeout": 120,
                "wsgi_threads": 1,
            },
        ),
        (
            "uvicorn main:app --host 0.0.0.0 --port 80 --no-access-log",
            {"app": "main:app", "bind": ["0.0.0.0:80"], "workers": 1, "access_log": False},
        ),
    ],
)
def test_what_a_command_line_becomes(line: str, settings: dict[str, Any]) -> None:
    assert told(line).settings == settings


@pytest.mark.parametrize(
    "line",
    [
        "exec gunicorn app:app",
        "python3 -u -m gunicorn app:app",
        "env A=b C=d gunicorn app:app",
        "poetry run gunicorn app:app",
        "uv run --extra web gunicorn app:app",
        "opentelemetry-instrument --traces_exporter otlp gunicorn app:app",
        "newrelic-admin run-program gunicorn app:app",
        "sh -ec 'set -x; exec gunicorn app:app 2>&1'",
        "gosu www-data /opt/venv/bin/gunicorn app:app",
        "python manage.py migrate && gunicorn app:app > /dev/null",
    ],
)
def test_the_server_is_found_behind_what_starts_it(line: str) -> None:
    assert told(line).settings["app"] == "app:app"


@pytest.mark.parametrize("line", ["npm start", "celery -A shop worker", "", "cd app"])
def test_other_programs_are_none_of_ours(line: str) -> None:
    assert program(shlex.split(line), Context({}, Path())) is None


def test_a_flag_that_nobody_knows_is_for_people() -> None:
    assert [item.setting for item in told("gunicorn --frobnicate 3 app:app").of(Fate.NEEDS_YOU)] == ["--frobnicate 3"]
