"""systemd's units: what is in them, and that the real systemd takes them."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from corepod.config.resolve import resolve
from corepod.local.unit import Facts, command, units

if TYPE_CHECKING:
    from pathlib import Path

FACTS = Facts(python=sys.executable, folder="/srv/shop")


def made(
    tmp_path: Path, facts: Facts, file: str = "", environ: dict[str, str] | None = None, **flags: Any
) -> dict[str, str]:
    path = tmp_path / "corepod.toml"
    path.write_text(file)
    effective = resolve({"app": "shop:app", **flags}, environ or {}, str(path), pod=False)
    return {one.name: one.text for one in units(effective, facts)}


def service(tmp_path: Path, facts: Facts = FACTS, file: str = "", **flags: Any) -> list[str]:
    return made(tmp_path, facts, file, name="shop", **flags)["shop.service"].splitlines()


@pytest.mark.parametrize(
    ("version", "expected", "never"),
    [
        (253, "Type=notify-reload", "ExecReload"),
        (252, "Type=notify", "notify-reload"),
        (0, "Type=notify", "notify-reload"),
    ],
)
def test_the_type_that_the_manager_knows(tmp_path: Path, version: int, expected: str, never: str) -> None:
    lines = service(tmp_path, Facts(python="/p", folder="/srv", version=version))
    assert expected in lines
    assert not any(never in line for line in lines)


def test_a_stop_has_the_time_that_the_pool_takes(tmp_path: Path) -> None:
    assert "TimeoutStopSec=65" in service(tmp_path, stop_timeout="60")


def test_the_control_socket_is_where_commands_look(tmp_path: Path) -> None:
    assert "RuntimeDirectory=corepod/shop" in service(tmp_path)
    of_user = service(tmp_path, Facts(python="/p", folder="/srv", user_unit=True))
    assert not [line for line in of_user if line.startswith(("RuntimeDirectory", "User=", "DynamicUser", "Protect"))]
    assert "WantedBy=default.target" in of_user


@pytest.mark.parametrize(
    ("flags", "run_as", "expected"),
    [
        ({}, "", ["DynamicUser=yes", "CapabilityBoundingSet="]),
        ({}, "web", ["User=web", "CapabilityBoundingSet="]),
        ({"bind": ":80"}, "web", ["User=web", "AmbientCapabilities=CAP_NET_BIND_SERVICE"]),
        ({"user": "0"}, "web", ["CapabilityBoundingSet=CAP_SETUID CAP_SETGID CAP_KILL"]),
    ],
)
def test_the_user_and_what_it_may(tmp_path: Path, flags: dict[str, str], run_as: str, expected: list[str]) -> None:
    if "user" in flags and os.geteuid() != 0:
        pytest.skip("only root may give workers another user")
    lines = service(tmp_path, Facts(python="/p", folder="/srv", run_as=run_as), **flags)
    assert [line for line in expected if line not in lines] == []
    assert ("User=web" in lines) == ("User=web" in expected)


@pytest.mark.parametrize(("folder", "expected"), [("/srv/shop", "yes"), ("/home/ann/shop", "read-only")])
def test_an_application_at_home_can_be_read(tmp_path: Path, folder: str, expected: str) -> None:
    assert f"ProtectHome={expected}" in service(tmp_path, Facts(python="/usr/bin/python3", folder=folder))


def test_the_folder_of_a_unix_socket_can_be_written(tmp_path: Path) -> None:
    assert "ReadWritePaths=/run/nginx" in service(tmp_path, bind="unix:/run/nginx/shop.sock")
    activated = Facts(python="/p", folder="/srv", socket=True)
    assert not any(
        "ReadWritePaths=/" in line for line in service(tmp_path, activated, bind="unix:/run/nginx/shop.sock")
    )


def test_a_socket_unit_has_the_addresses(tmp_path: Path) -> None:
    facts = Facts(python="/p", folder="/srv", socket=True)
    text = made(
        tmp_path, facts, name="shop", bind=["0.0.0.0:80", "unix:/run/shop.sock"], socket_mode="660", backlog="9"
    )
    lines = text["shop.socket"].splitlines()
    for line in ("ListenStream=0.0.0.0:80", "ListenStream=/run/shop.sock", "Backlog=9", "SocketMode=0660"):
        assert line in lines
    assert "BindIPv6Only=both" not in lines
    assert "Requires=shop.socket" in text["shop.service"]


def test_all_addresses_are_a_port_for_systemd(tmp_path: Path) -> None:
    facts = Facts(python="/p", folder="/srv", socket=True)
    lines = made(tmp_path, facts, name="shop", bind=":80")["shop.socket"].splitlines()
    assert {"ListenStream=80", "BindIPv6Only=both"} <= set(lines)


def test_what_is_not_in_the_file_is_a_flag(tmp_path: Path) -> None:
    path = tmp_path / "corepod.toml"
    path.write_text('[apps.shop]\napp = "shop:app"\nbacklog = 7\n[apps.shop.env.production]\nkeep_alive = 9\n')
    flags = {"app": "shop", "bind": [":80", ":81"], "access_log": False, "env": "production"}
    environ = {"COREPOD_WORKERS": "1", "COREPOD_TLS_KEY_PASSWORD": ""}
    effective = resolve(flags, environ, str(path), pod=False)
    facts = Facts(python="/p", folder="/srv", config=str(path), environment="production")
    words = command(effective, facts)
    assert words[:9] == ["/p", "-m", "corepod", "run", "shop", "--config", str(path), "--env", "production"]
    assert sorted(words[9:]) == ["--bind=*:80", "--bind=*:81", "--no-access-log", "--workers=1"]


def test_words_are_quoted_for_systemd(tmp_path: Path) -> None:
    app = 'shop:make("a b", price="$5", share="50%")'
    (line,) = (line for line in service(tmp_path, app=app) if line.startswith("ExecStart="))
    assert r'"shop:make(\"a b\", price=\"$$5\", share=\"50%%\")"' in line


def corepod(*args: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "corepod", *args]
    clean = {k: v for k, v in os.environ.items() if not k.startswith("COREPOD_")}
    return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=cwd, env=clean)


FILE = """
[apps.shop]
app = "shop:app"
bind = "0.0.0.0:80"
[apps.admin]
app = "admin:app"
bind = ["127.0.0.1:8002", "unix:/run/admin.sock"]
"""


def test_units_of_all_applications_or_of_one(tmp_path: Path) -> None:
    (tmp_path / "corepod.toml").write_text(FILE)
    made = json.loads(corepod("systemd", "--socket", "--json", cwd=tmp_path).stdout)
    assert sorted(made) == ["admin.service", "admin.socket", "shop.service", "shop.socket"]
    assert f" run shop --config {shlex.quote(str(tmp_path / 'corepod.toml'))}" in made["shop.service"]
    one = corepod("systemd", "admin", cwd=tmp_path).stdout
    assert "ListenStream" not in one
    assert "run admin" in one


def test_units_that_are_there_are_kept(tmp_path: Path) -> None:
    (tmp_path / "shop.service").write_text("mine")
    words = ("systemd", "shop:app", "--name", "shop", "--write", ".")
    refused = corepod(*words, "--socket", cwd=tmp_path)
    assert refused.returncode == 2
    assert "has shop.service already, and nothing was written" in refused.stderr
    assert not (tmp_path / "shop.socket").exists()
    assert (tmp_path / "shop.service").read_text() == "mine"
    assert corepod(*words, "--force", cwd=tmp_path).returncode == 0
    assert "[Service]" in (tmp_path / "shop.service").read_text()


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
@pytest.mark.parametrize("kind", ["system", "user"])
def test_systemd_finds_no_fault(tmp_path: Path, kind: str) -> None:
    (tmp_path / "corepod.toml").write_text(FILE)
    folder = tmp_path / "units"
    of_user = ("--user",) if kind == "user" else ()
    done = corepod("systemd", *of_user, "--socket", "--write", str(folder), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert verify(folder, of_user, tmp_path) == (0, "")
    # It would find one.
    unit = folder / "shop.service"
    unit.write_text(unit.read_text().replace("KillMode=mixed", "KillMode=everything"))
    assert "kill mode" in verify(folder, of_user, tmp_path)[1]


def verify(folder: Path, of_user: tuple[str, ...], tmp_path: Path) -> tuple[int, str]:
    files = map(str, sorted(folder.glob("*.service")))
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path), "HOME": str(tmp_path)}
    done = subprocess.run(
        ["systemd-analyze", *of_user, "verify", "--man=no", *files],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment,
    )
    return done.returncode, done.stderr


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
def test_the_service_is_hardened(tmp_path: Path) -> None:
    (tmp_path / "shop.service").write_text("\n".join(service(tmp_path)) + "\n")
    words = [
        "systemd-analyze",
        "security",
        "--offline=yes",
        "--threshold=25",
        "--no-pager",
        str(tmp_path / "shop.service"),
    ]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout
