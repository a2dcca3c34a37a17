"""Units of systemd: what changes in them, and that nothing else does."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from corepod.migrate.formats import detect
from corepod.migrate.formats.sections import SYSTEMD, entries
from corepod.migrate.formats.systemd import seconds
from corepod.migrate.model import Fate, MigrateError
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.migrate.formats.sources import context, each_once, item, only, read, read_file

if TYPE_CHECKING:
    from pathlib import Path

# Three workers, a Unix socket, a umask for nginx and no Restart=: what tutorials for a first server show.
TUTORIAL = """\
[Unit]
Description=gunicorn of the shop
After=network.target

[Service]
User=ada
Group=www-data
# the folder of manage.py
WorkingDirectory=/home/ada/shop
ExecStart=/home/ada/shop/env/bin/gunicorn \\
          --access-logfile - \\
          --workers 3 \\
          --bind unix:/home/ada/shop/shop.sock -m 007 \\
          shop.wsgi:application

[Install]
WantedBy=multi-user.target
"""
# Type=notify, a socket unit and five seconds for a stop: what gunicorn's own page has.
NOTIFY = """\
[Unit]
Description=shop
Requires=shop.socket

[Service]
Type=notify
NotifyAccess=main
DynamicUser=yes
RuntimeDirectory=shop
WorkingDirectory=/srv/shop
ExecStart=/srv/shop/venv/bin/gunicorn shop.wsgi --bind unix:/run/shop.sock
ExecReload=/bin/kill -s HUP $MAINPID
KillMode=mixed
TimeoutStopSec=5
PrivateTmp=true
ProtectSystem=strict
Restart=on-failure
"""


def test_a_tutorials_unit(tmp_path: Path) -> None:
    migration = read_file(tmp_path, "shop.service", TUTORIAL)
    program = only(migration)
    assert (program.name, program.server, program.covered) == ("shop", "gunicorn", True)
    assert program.settings["workers"] == 3
    assert program.settings["bind"] == ["unix:/home/ada/shop/shop.sock"]
    assert migration.files == {
        "shop.service": TUTORIAL[: TUTORIAL.index("ExecStart")]
        + "ExecStart=/home/ada/shop/env/bin/corepod run\n"
        + "Type=notify\nNotifyAccess=main\nTimeoutStartSec=300\nKillMode=mixed\n"
        + "ExecReload=/bin/kill -s HUP $MAINPID\n"
        + TUTORIAL[TUTORIAL.index("\n[Install]") :]
    }
    assert migration.notes == ["corepod.toml goes to /home/ada/shop"]


def test_a_unit_with_a_socket_and_a_short_stop(tmp_path: Path) -> None:
    (tmp_path / "shop.socket").write_text("[Socket]\nListenStream=/run/shop.sock\n")
    migration = read_file(tmp_path, "shop.service", NOTIFY)
    program = only(migration)
    assert "bind" not in program.settings
    assert item(program, "--bind").fate is Fate.DROPPED
    assert item(program, "sockets").value == "shop.socket (/run/shop.sock)"
    stop = item(program, "TimeoutStopSec")
    assert stop.ours == "TimeoutStopSec=30"
    assert "stop_timeout" in stop.note
    changed = [line for line in migration.files["shop.service"].splitlines() if line not in NOTIFY.splitlines()]
    assert changed == [
        "ExecStart=/srv/shop/venv/bin/corepod run",
        "TimeoutStopSec=30",
        "TimeoutStartSec=300",
        "RestartPreventExitStatus=2 4",
    ]


def test_lines_of_a_unit_that_are_no_longer_right() -> None:
    migration = read(
        "[Service]\nType=forking\nPIDFile=/run/shop.pid\nEnvironment=WORKERS=5 'A=b c'\nTimeoutStopSec=2min\n"
        "ExecStartPre=/srv/manage.py migrate\nExecStart=\n"
        "ExecStart=-/usr/bin/python3 -m gunicorn shop:app -w $WORKERS\n"
        "ExecStop=/bin/kill -QUIT $MAINPID\nKillSignal=SIGQUIT\nExecReload=/bin/kill -USR2 $MAINPID\nRestart=always\n"
        "RestartPreventExitStatus=4 99\n"
    )
    program = only(migration)
    assert program.settings["workers"] == 5
    after = {one.key: one.value for one in entries(migration.files["the text"], SYSTEMD)}
    assert after == {
        "Type": "notify",
        "Environment": "WORKERS=5 'A=b c'",
        "TimeoutStopSec": "2min",
        "ExecStartPre": "/srv/manage.py migrate",
        "ExecStart": "-/usr/bin/python3 -m corepod run",
        "ExecReload": "/bin/kill -s HUP $MAINPID",
        "Restart": "always",
        "RestartPreventExitStatus": "4 99 2",
        "NotifyAccess": "main",
        "TimeoutStartSec": "300",
        "KillMode": "mixed",
    }
    assert {one.setting for one in program.of(Fate.DROPPED)} >= {"PIDFile", "ExecStop", "KillSignal"}
    assert item(program, "ExecStartPre").fate is Fate.CHECK


def test_a_shell_in_a_unit() -> None:
    migration = read(
        "[Service]\nExecStart=/bin/bash -c 'source /srv/env/bin/activate && exec gunicorn shop:app'\nRestart=no\n"
    )
    assert "ExecStart=/srv/env/bin/corepod run\n" in migration.files["the text"]
    assert "RestartPreventExitStatus" not in migration.files["the text"]


@pytest.mark.parametrize(
    ("unit", "message"),
    [
        ("[Service]\nType=simple\n", "no ExecStart="),
        ("[Service]\nExecStart=/usr/bin/node server.js\n", "a Node program stays as it is"),
        ("[Service]\nExecStart=/srv/venv/bin/flask run\n", "a server for development"),
        ("[Service]\nExecStart=/bin/gunicorn 'app\n", "can't be read"),
    ],
)
def test_units_that_start_no_server(unit: str, message: str) -> None:
    with pytest.raises(MigrateError, match=message):
        read(unit)


def test_a_program_that_starts_its_server_itself(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(
        "import uvicorn\nfrom fastapi import FastAPI\napp = FastAPI()\n"
        "if __name__ == '__main__':\n    uvicorn.run(app, host='0.0.0.0', port=9090)\n"
    )
    text = "[Service]\nType=simple\nTimeoutSec=10\nExecStart=/srv/venv/bin/python main.py\n"
    migration = read_file(tmp_path, "api.service", text)
    assert only(migration).settings["bind"] == ["0.0.0.0:9090"]
    after = {one.key: one.value for one in entries(migration.files["api.service"], SYSTEMD)}
    assert after["ExecStart"] == "/srv/venv/bin/python -m corepod run"
    assert (after["TimeoutStartSec"], after["TimeoutStopSec"]) == ("300", "30")


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
@pytest.mark.parametrize("text", [TUTORIAL, NOTIFY], ids=["tutorial", "notify"])
def test_systemd_finds_no_fault_in_what_a_unit_becomes(tmp_path: Path, text: str) -> None:
    (tmp_path / "shop.socket").write_text("[Socket]\nListenStream=/run/shop.sock\n")
    program = text.partition("ExecStart=")[2].split()[0]
    source = text.replace(program, f"{sys.executable} -m gunicorn", 1)
    changed = read_file(tmp_path, "shop.service", source).files["shop.service"]
    assert verify(tmp_path, changed) == ""
    assert "kill mode" in verify(
        tmp_path, changed.replace("KillMode=mixed", "KillMode=everything")
    )  # it would find one


def verify(folder: Path, text: str) -> str:
    (folder / "shop.service").write_text(text)
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(folder), "HOME": str(folder)}
    words = ["systemd-analyze", "verify", "--man=no", str(folder / "shop.service")]
    return subprocess.run(words, capture_output=True, text=True, timeout=60, env=environment, check=False).stderr


def test_a_socket_unit_stays() -> None:
    migration = read("[Unit]\n[Socket]\nListenStream=80\n")
    assert (migration.programs, migration.files) == ([], {})
    assert "stays as it is" in migration.notes[0]


@pytest.mark.parametrize(
    ("span", "expected"),
    [("5", 5), ("1min 30s", 90), ("2h", 7200), ("500ms", 0.5), ("infinity", None), ("0", None), ("soon", None)],
)
def test_times(span: str, expected: float | None) -> None:
    assert seconds(span) == expected


KNOWN = """
Type PIDFile User Group Environment EnvironmentFile Restart RestartSec ExecReload KillMode TimeoutStopSec
TimeoutSec PrivateTmp RuntimeDirectory ExecStartPre ExecStop KillSignal StandardOutput LimitNOFILE
NoNewPrivileges
"""
KEYS = st.sampled_from(KNOWN.split()) | st.from_regex(r"[A-Z][a-zA-Z]{2,9}", fullmatch=True)
VALUES = st.sampled_from(["", "5", "yes", "a b", "mixed", "append:/var/log/x.log", "notify", "%h/x", "'quoted'"])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(KEYS, VALUES), max_size=12))
def test_no_line_is_lost(lines: list[tuple[str, str]]) -> None:
    lines = [(key, value) for key, value in lines if not key.startswith("Exec") or key in KNOWN.split()]
    text = "".join(f"{key}={value}\n" for key, value in [*lines, ("ExecStart", "/b/gunicorn shop:app")])
    migration = read(f"[Unit]\n# a comment\nAfter=x\n\n[Service]\n{text}; another\n[Install]\nWantedBy=y\n")
    counts = {key: sum(one == key for one, _ in lines) for key, _ in lines}
    each_once(only(migration), {**counts, "After": 1, "WantedBy": 1, "ExecStart": 1})
    after = entries(migration.files["the text"], SYSTEMD)
    untouched = [one for one in only(migration).items if one.ours == f"{one.setting}={one.value}"]
    for kept in untouched:
        assert kept.value in [one.value for one in after if one.key == kept.setting]
    assert migration.files["the text"].count("# a comment") == migration.files["the text"].count("; another") == 1


def test_an_instance_of_a_template_is_a_pool_of_its_own() -> None:
    """systemd fills in specifiers on the command line only."""
    unit = "[Service]\nExecStart=/v/bin/gunicorn %i.wsgi -b unix:/run/%i.sock --access-logformat '%%(h)s'\n"
    (found,) = (migration := detect.text(unit, context(), "shop@.service")).programs
    start = "ExecStart=/v/bin/corepod run %i.wsgi --bind unix:/run/%i.sock --name shop-%i\n"
    assert start in migration.files["shop@.service"]
    assert not {"app", "bind"} & found.settings.keys()
    assert "%%" not in str(found.settings)


def test_a_command_beside_the_server_is_for_people() -> None:
    unit = (
        "[Service]\nType=oneshot\nExecStart=/old\nExecStart=\nExecStart=/v/bin/gunicorn a:app\nExecStart=/bin/touch x\n"
    )
    program = only(migration := read(unit))
    assert [one.value for one in program.of(Fate.NEEDS_YOU)] == ["/bin/touch x"]
    assert migration.files["the text"].count("ExecStart=") == 1


def test_drop_ins_are_part_of_the_unit(tmp_path: Path) -> None:
    (tmp_path / "shop.service.d").mkdir()
    dropped = "[Service]\nExecStart=\nExecStart=/v/bin/gunicorn b:app -w 2\nLimitNOFILE=9\n"
    (tmp_path / "shop.service.d" / "override.conf").write_text(dropped)
    migration = read_file(tmp_path, "shop.service", "[Service]\nExecStart=/v/bin/gunicorn a:app\nUser=www\n")
    assert only(migration).settings["app"] == "b:app"
    assert {"User=www", "LimitNOFILE=9"} <= set(migration.files["shop.service"].splitlines())
    assert any("override.conf" in note for note in migration.notes)
