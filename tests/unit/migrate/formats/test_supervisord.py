"""supervisord's sections: those that serve, and those beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from corepod.migrate.formats.sections import SUPERVISORD, entries
from corepod.migrate.model import Fate, MigrateError
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.migrate.formats.sources import each_once, item, only, read, read_file

if TYPE_CHECKING:
    from pathlib import Path

# nginx, the site and a queue in one container, as small projects have them.
CONTAINER = """\
[supervisord]
nodaemon=true

[program:nginx]
command=nginx -g "daemon off;"

[program:site]
; behind nginx
command=%(here)s/venv/bin/gunicorn site.wsgi
    --bind 127.0.0.1:8001 -w %(ENV_WORKERS)s ; two by default
directory=/srv/site
environment=DJANGO_SETTINGS_MODULE="site.settings",LANG=C.UTF-8
autostart=true
autorestart=true
stopasgroup=true
stopsignal=QUIT
stdout_logfile=/dev/stdout
stdout_logfile_maxbytes=0

[program:queue]
command=/srv/site/venv/bin/celery -A site worker
"""


def test_one_container_with_nginx_and_a_queue(tmp_path: Path) -> None:
    migration = read_file(tmp_path, "supervisord.conf", CONTAINER, WORKERS="2")
    program = only(migration)
    assert (program.name, program.settings["workers"], program.settings["bind"]) == ("site", 2, ["127.0.0.1:8001"])
    before, after = CONTAINER.splitlines(), migration.files["supervisord.conf"].splitlines()
    assert [line for line in after if line not in before] == [
        "command=%(here)s/venv/bin/corepod run",
        "stopsignal=TERM",
        "stopwaitsecs=30",
    ]
    assert [line for line in before if line not in after] == [
        "command=%(here)s/venv/bin/gunicorn site.wsgi",
        "    --bind 127.0.0.1:8001 -w %(ENV_WORKERS)s ; two by default",
        "stopsignal=QUIT",
    ]
    assert "[program:nginx] stays as it is: it runs nginx, which is no web server of Python" in migration.notes
    assert any("celery" in note for note in migration.notes)
    assert "ordinary stop" in item(program, "stopasgroup").note
    assert program.covered


def test_processes_by_number_become_workers() -> None:
    migration = read(
        "[fcgi-program:api]\nsocket=unix:///run/api.sock\nsocket_mode=0660\nsocket_owner=www-data\n"
        "command=/v/bin/uvicorn --fd 0 api:app\nnumprocs=4\nprocess_name=api-%(process_num)d\nstopwaitsecs=60\n"
    )
    program = only(migration)
    assert program.settings["bind"] == ["unix:/run/api.sock"]
    assert (program.settings["workers"], program.settings["socket_mode"]) == (4, "0660")
    assert [one.setting for one in program.of(Fate.NEEDS_YOU)] == ["socket_owner"]
    assert migration.files["the text"] == "[program:api]\ncommand=/v/bin/corepod run\nstopwaitsecs=60\n"


def test_ports_by_number_need_one_address() -> None:
    program = only(
        read("[program:api]\ncommand=uvicorn api:app --port 80%(process_num)02d\nnumprocs=3\nnumprocs_start=1\n")
    )
    assert program.settings["workers"] == 3
    assert "one address" in program.of(Fate.NEEDS_YOU)[0].note


def test_several_programs_are_named_in_their_commands() -> None:
    text = "[program:a]\ncommand=gunicorn a:app\n[program:b]\ncommand=gunicorn b:app\nstopwaitsecs=40\n"
    migration = read(text)
    after = entries(migration.files["the text"], SUPERVISORD)
    assert [one.value for one in after if one.key == "command"] == ["corepod run a", "corepod run b"]
    assert [one.value for one in after if one.key == "stopwaitsecs"] == ["30", "40"]


def test_servers_for_development_are_named() -> None:
    migration = read("[program:dev]\ncommand=flask run --host 0.0.0.0\n")
    assert (migration.programs, migration.files) == ([], {})
    assert "server for development" in migration.notes[0]


def test_a_file_without_programs(tmp_path: Path) -> None:
    with pytest.raises(MigrateError, match="it was looked for"):
        read_file(tmp_path, "x.conf", "[supervisord]\nnodaemon=true\n")


KNOWN = """
directory user environment autostart autorestart startsecs startretries stopwaitsecs stopasgroup killasgroup
stopsignal stdout_logfile stdout_logfile_maxbytes redirect_stderr priority numprocs process_name exitcodes
umask
"""
KEYS = st.sampled_from(KNOWN.split()) | st.from_regex(r"[a-z_]{3,12}", fullmatch=True)
VALUES = st.sampled_from(["true", "5", "3", "QUIT", "/dev/stdout", "unexpected", "A=1,B='2'", "%(program_name)s", "é"])


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(KEYS, VALUES, max_size=12))
def test_no_key_is_lost(keys: dict[str, str]) -> None:
    keys.pop("command", None)
    lines = "".join(f"{key} = {value}\n" for key, value in keys.items())
    migration = read(f"[program:a]\ncommand=gunicorn a:app\n{lines}\n[group:x]\nprograms=a\n")
    each_once(only(migration), {**dict.fromkeys(keys, 1), "command": 1})
    assert "\n[group:x]\nprograms=a\n" in migration.files["the text"]
