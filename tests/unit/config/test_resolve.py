"""Settings: kinds, precedence, and every fault reported at once with its place."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from corepod.config import envfile
from corepod.config.kinds import parse, show
from corepod.config.resolve import Effective, SettingsError, resolve
from corepod.config.spec import BY_NAME, SETTINGS
from corepod.cpu import cores
from hypothesis import given
from hypothesis import strategies as st

if TYPE_CHECKING:
    from pathlib import Path

GOOD: list[tuple[str, Any, Any]] = [
    ("workers", "auto", "auto"),
    ("workers", " 3 ", 3),
    ("workers", 4, 4),
    ("crash_budget", "5/60", (5, 60.0)),
    ("crash_budget", "1/0.5", (1, 0.5)),
    ("crash_budget", "0", (0, 0.0)),
    ("crash_budget", 0, (0, 0.0)),
    ("bind", "127.0.0.1:80", ["127.0.0.1:80"]),
    ("bind", "127.0.0.1:80, [::1]:81", ["127.0.0.1:80", "[::1]:81"]),
    ("bind", ["unix:/run/a.sock", ":8000"], ["unix:/run/a.sock", "*:8000"]),
    ("bind", "0.0.0.0, 127.0.0.1", ["0.0.0.0:8000", "127.0.0.1:8000"]),
    ("bind", "*, *:80, :81", ["*:8000", "*:80", "*:81"]),
    ("bind", "[::], ::1, localhost", ["[::]:8000", "[::1]:8000", "localhost:8000"]),
    ("admin", "none", "none"),
    ("admin", "[::]:9000", "[::]:9000"),
    ("trusted_proxies", "10.1.2.3/8,::1", ["10.0.0.0/8", "::1/128"]),
    ("trusted_proxies", "*", ["*"]),
    ("trusted_proxies", "loopback, 10.0.0.1", ["loopback", "10.0.0.1/32"]),
    ("trusted_proxies", "::ffff:10.0.0.1, ::ffff:10.1.0.0/112", ["10.0.0.1/32", "10.1.0.0/16"]),
    ("trusted_proxies", "peer, 10.0.0.1", ["peer", "10.0.0.1/32"]),
    ("trusted_proxies", "none", []),
    ("trusted_proxies", [""], []),
    ("trusted_proxies", [], []),
    ("limit_header", "64k", 65536),
    ("limit_body", "10M", 10 << 20),
    ("limit_body", 0, 0),
    ("socket_mode", "660", 0o660),
    ("socket_mode", "0o600", 0o600),
    ("umask", "0", 0),
    ("keep_alive", "2.5", 2.5),
    ("keep_alive", 7, 7.0),
    ("factory", "yes", True),
    ("factory", "OFF", False),
    ("factory", True, True),
    ("standby", "live", "live"),
    ("user", 1000, "1000"),
    ("max_memory", "512m", 512 << 20),
    ("max_memory", 536870912, 512 << 20),
    ("max_memory", "0", 0),
    ("max_memory", " 080% ", "80%"),
    ("max_memory", "100%", "100%"),
    ("recycle_at", " */5 * * * mon-fri ", "*/5 * * * mon-fri"),
    ("recycle_at", "@daily", "@daily"),
    ("recycle_at", "", ""),
]

BAD: list[tuple[str, Any, str]] = [
    ("workers", "0", "auto or a whole number"),
    ("workers", "-1", "auto or a whole number"),
    ("workers", "1.5", "auto or a whole number"),
    ("workers", "²", "auto or a whole number"),
    ("workers", True, "auto or a whole number"),
    ("crash_budget", "5", "DEATHS/SECONDS"),
    ("crash_budget", "5/0", "DEATHS/SECONDS"),
    ("crash_budget", "0/60", "DEATHS/SECONDS"),
    ("crash_budget", "5/nan", "DEATHS/SECONDS"),
    ("crash_budget", "5/inf", "DEATHS/SECONDS"),
    ("bind", "8000", "write :8000 for a port"),
    ("bind", "[::1]:", "HOST:PORT"),
    ("bind", "10.0.0.256", "HOST:PORT"),
    ("admin", "127.0.0.1", "HOST:PORT"),
    ("notify", "127.0.0.1", "HOST:PORT"),
    ("lifespan", "on", "one of auto, off"),
    ("bind", "localhost:http", "HOST:PORT"),
    ("bind", "127.0.0.1:65536", "HOST:PORT"),
    ("bind", "::1:8000", "brackets"),
    ("bind", "unix:", "path"),
    ("bind", "none", "HOST:PORT"),
    ("notify", ":9001", "names no host"),
    ("notify", "*:9001", "names no host"),
    ("trusted_proxies", "10.0.0.0/33", "network"),
    ("trusted_proxies", "localhost", "is not an address, a network such as 10.0.0.0/8, loopback, "),
    ("trusted_proxies", "none, 10.0.0.1", "none can't be combined"),
    ("limit_header", "12x", "bytes"),
    ("limit_header", "1", "at least 1024"),
    ("limit_header", "k", "bytes"),
    ("socket_mode", "888", "octal"),
    ("socket_mode", "1777", "octal"),
    ("socket_mode", 660, "as text"),
    ("keep_alive", "nan", "at least 0.1"),
    ("keep_alive", "inf", "at least 0.1"),
    ("keep_alive", "soon", "number of seconds"),
    ("factory", "maybe", "true, false"),
    ("standby", "warm", "one of armed, live, none"),
    ("max_memory", "512", "at least 16m, such as 512m, a share such as 80%"),
    ("max_memory", "0%", "a share such as 80%"),
    ("max_memory", "101%", "a share such as 80%"),
    ("max_memory", "0.8", "a share such as 80%"),
    ("max_memory", "-1", "a number of bytes"),
    ("max_memory", "", "a number of bytes"),
    ("recycle_at", "4:00", "has 1 fields, and a cron expression has 5"),
    ("recycle_at", "0 25 * * *", "'25' is no hour: write 0 to 23"),
    ("recycle_at", "0 0 31 2 *", "never happens"),
    ("recycle_at", 4, "5"),
    ("app", "a\nb", "line break"),
    ("app", {"a": 1}, "dict"),
]


@pytest.mark.parametrize(("name", "raw", "value"), GOOD, ids=lambda v: str(v)[:30])
def test_a_good_value_is_parsed(name: str, raw: Any, value: Any) -> None:
    assert parse(BY_NAME[name], raw) == value


@pytest.mark.parametrize(("name", "raw", "phrase"), BAD, ids=lambda v: repr(v)[:30])
def test_a_bad_value_says_what_would_be_right(name: str, raw: Any, phrase: str) -> None:
    with pytest.raises(ValueError, match=phrase):
        parse(BY_NAME[name], raw)


@given(st.sampled_from(SETTINGS), st.text())
def test_any_text_is_a_value_or_a_phrase(setting: Any, text: str) -> None:
    try:
        value = parse(setting, text)
    except ValueError:
        return
    json.dumps(value)


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda s: s.name)
def test_what_is_shown_can_be_given_again(setting: Any) -> None:
    for value in (setting.default, setting.pod):
        if shown := show(setting, value):
            again = parse(setting, shown)
            assert again == (list(value) if isinstance(again, list) else value)


@pytest.mark.parametrize(
    ("environ", "workers", "bind"),
    [
        ({"WEB_CONCURRENCY": "1", "PORT": "5000"}, (1, "WEB_CONCURRENCY"), (["*:5000"], "PORT")),
        ({"WEB_CONCURRENCY": "", "PORT": ""}, ("auto", "default"), (["127.0.0.1:8000"], "default")),
        (
            {"WEB_CONCURRENCY": "1", "PORT": "5000", "COREPOD_WORKERS": "3", "COREPOD_BIND": ":1"},
            (3, "COREPOD_WORKERS"),
            (["*:1"], "COREPOD_BIND"),
        ),
    ],
)
def test_a_platforms_variables_count_where_nothing_else_is_given(
    tmp_path: Path, environ: dict[str, str], workers: Any, bind: Any
) -> None:
    effective = settle(tmp_path, {}, environ)
    assert (effective.values["workers"], effective.sources["workers"]) == workers
    assert (effective.values["bind"], effective.sources["bind"]) == bind


def test_the_file_is_asked_before_the_platform(tmp_path: Path) -> None:
    effective = settle(tmp_path, {}, {"PORT": "5000", "WEB_CONCURRENCY": "1"}, 'bind = ":1"\nworkers = 2')
    assert (effective.values["workers"], effective.values["bind"]) == (2, ["*:1"])


@pytest.mark.parametrize("port", ["tcp://10.0.0.1:80", "80x", "70000", "-1"])
def test_a_platforms_port_that_is_none(tmp_path: Path, port: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settle(tmp_path, {}, {"PORT": port})
    assert caught.value.faults[0].startswith("PORT: ")


def test_a_platforms_number_of_workers_is_cut_to_the_cores(tmp_path: Path) -> None:
    usable = len(cores.usable().cores)
    environ = {"WEB_CONCURRENCY": str(usable + 7)}
    effective = settle(tmp_path, {}, environ)
    assert effective.values["workers"] == usable
    assert f"asks for {usable + 7} workers" in effective.warnings[-1]
    assert settle(tmp_path, {"pin": "never"}, environ).values["workers"] == usable + 7
    assert settle(tmp_path, {"workers": str(usable + 7)}, environ).values["workers"] == usable + 7


def test_without_httptools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for http in ("auto", "httptools", "h11"):
        assert settle(tmp_path, {"http": http}, {}).warnings == []
    monkeypatch.setitem(sys.modules, "httptools", None)  # as the import system marks what can't be found
    assert settle(tmp_path, {"http": "h11"}, {}).warnings == []
    (warning,) = settle(tmp_path, {}, {}).warnings
    assert "h11 serves HTTP/1.1" in warning
    with pytest.raises(SettingsError) as caught:
        settle(tmp_path, {}, {"COREPOD_HTTP": "httptools"})
    (fault,) = caught.value.faults
    assert fault.startswith("COREPOD_HTTP: httptools isn't installed; install it")


def settle(tmp_path: Path, flags: dict[str, Any], environ: dict[str, str], file: str = "") -> Effective:
    path = tmp_path / "corepod.toml"
    path.write_text(file)
    return resolve(flags, environ, str(path), pod=False)


def test_flag_over_variable_over_file_over_default(tmp_path: Path) -> None:
    file = "workers = 4\nbacklog = 10\nkeep_alive = 9"
    effective = settle(tmp_path, {"workers": "2"}, {"COREPOD_WORKERS": "3", "COREPOD_BACKLOG": "20"}, file)
    assert [effective.values[n] for n in ("workers", "backlog", "keep_alive", "standby")] == [2, 20, 9.0, "armed"]
    path = str(tmp_path / "corepod.toml")
    names = ("workers", "backlog", "keep_alive", "standby")
    assert [effective.sources[n] for n in names] == ["--workers", "COREPOD_BACKLOG", path, "default"]
    assert effective.explicit("workers")
    assert not effective.explicit("standby")


def test_an_empty_variable_is_none(tmp_path: Path) -> None:
    assert settle(tmp_path, {}, {"COREPOD_WORKERS": ""}).values["workers"] == "auto"


def test_all_faults_at_once_each_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        settle(tmp_path, {"workers": "x"}, {"COREPOD_KEEP_ALIVE": "y"}, "backlg = 1\nstandby = 'z'")
    text = str(caught.value)
    assert len(caught.value.faults) == 4
    for place in ("--workers: 'x'", "COREPOD_KEEP_ALIVE: 'y'", "did you mean backlog?", "standby: 'z'"):
        assert place in text


def test_a_pod_has_its_own_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pod = resolve({}, {}, None, pod=True).values
    assert (pod["workers"], list(pod["bind"]), pod["admin"], pod["lame_duck"]) == (
        1,
        ["*:8000"],
        "*:9000",
        5.0,
    )


def test_variables_of_other_servers_are_warned_of(tmp_path: Path) -> None:
    theirs = {"UVICORN_WORKERS": "2", "GUNICORN_CMD_ARGS": "-w 4", "UVICORN_PORT": "80", "HOST": "h"}
    (warning,) = settle(tmp_path, {}, theirs).warnings
    assert warning.startswith("GUNICORN_CMD_ARGS, UVICORN_PORT, UVICORN_WORKERS are not read; corepod migrate")
    assert (
        settle(tmp_path, {}, {"UVICORN_PORT": "tcp://10.0.0.1:80", "UVICORN_SERVICE_HOST": "10.0.0.1"}).warnings == []
    )


def test_a_misspelt_variable_is_warned_of_and_kubernetes_own_are_not(tmp_path: Path) -> None:
    foreign = {"COREPOD_PORT": "tcp://1.2.3.4:80", "COREPOD_SERVICE_HOST": "1.2.3.4", "COREPOD_DEMO_CRASH": "1"}
    assert settle(tmp_path, {}, foreign).warnings == []
    (warning,) = settle(tmp_path, {}, {"COREPOD_WORKER_S": "1"}).warnings
    assert "COREPOD_WORKERS" in warning


@pytest.mark.parametrize(
    ("flags", "phrase"),
    [
        ({"tls_key": __file__}, "needs a certificate"),
        ({"tls_cert": __file__}, "can't be used"),
        ({"tls_cert": __file__, "sticky": "true"}, "sticky can't be used with tls_cert: let a proxy in front"),
        ({"sticky_cookie": "a;b"}, "'a;b' can't be the name of a cookie: use letters"),
        ({"tls_cert": "/dev/null"}, "--?tls.cert: can't be used: /dev/null is empty"),
        ({"tls_cert": ""}, "names no file"),
        ({"tls_key_password": "secret"}, "needs a key"),
        ({"tls_cert": "nowhere.pem"}, "nowhere.pem can't be read"),
        ({"chdir": "nowhere"}, "no folder nowhere"),
        ({"pid_file": "run/a", "ready_file": "run/../run/a"}, "ready-file: run/../run/a is pid_file already"),
        ({"log_file": "a.log", "pid_file": "a.log"}, "pid-file: a.log is log_file already"),
        ({"lame_duck": "30"}, "30 s is too long"),
        ({"ready_path": "ready"}, "start with /"),
        ({"access_log_format": "%(h"}, "is not a valid format"),
        ({"access_log_format": "%(nope)s"}, r"there is no %\(nope\)s; there are h, l, "),
        ({"access_log_format": "%({host}x)s"}, "there is no "),
        ({"user": "nobody-of-that-name"}, "user"),
        ({"bind": ","}, "has no address"),
        ({"standbys": "2", "standby": "none"}, "2 standbys are asked for, but standby is none"),
        ({"warmup": "/"}, "needs preload = application, .* it is libraries. Change it, or leave warmup out"),
        ({"warmup": ["/"], "preload": "nothing"}, "it is nothing"),
        ({"warmup": ["/", "users"], "preload": "application"}, "'users' has to start with /"),
        ({"warmup": "/a b", "preload": "application"}, "'/a b' can't be requested as it is: write %20"),
        ({"warmup": "/a\r\nX: y", "preload": "application"}, "can't be requested as it is"),
        ({"warmup": "/caf\u00e9", "preload": "application"}, "can't be requested as it is"),
        ({"warmup": "/a\x7f", "preload": "application"}, "can't be requested as it is"),
        ({"warmup": "/a#b", "preload": "application"}, "can't be requested as it is"),
        ({"shared": "memcached://host"}, "memcached:// is no kind of shared state; there are redis://"),
        ({"shared": "redis"}, "it has no kind of shared state"),
        ({"shared": "redis://"}, "names no host: redis://HOST:PORT"),
        ({"shared": "rediss://:secret@/0"}, "names no host"),
        ({"shared": "redis+sentinel:///main"}, "names no host"),
        ({"shared": "redis://host:port"}, "is no URL: the port is no number"),
        ({"shared": "redis://:sec:ret/word@host"}, "is no URL"),
        ({"shared": "redis://[host"}, "is no URL"),
        ({"shared": "redis://host/name"}, "has no number of a database"),
        ({"shared": "redis+sentinel://host/main/name"}, "has no number of a database"),
        ({"shared": "redis://host/0#x"}, "has a # in it"),
        ({"shared": "unix://"}, "names no socket"),
        ({"shared": "sqlite://state.sqlite"}, "needs an absolute path"),
        ({"shared": "sqlite:///nowhere/state.sqlite"}, "there is no folder /nowhere"),
        ({"shared": "sqlite:///"}, "/ is a folder; name a file in it"),
        ({"shared_prefix": "x" * 129}, "has 129 bytes; 128 are the most"),
    ],
    ids=str,
)
def test_what_does_not_fit_together(tmp_path: Path, flags: dict[str, Any], phrase: str) -> None:
    with pytest.raises(SettingsError, match=phrase):
        settle(tmp_path, flags, {})


@pytest.mark.parametrize(
    "url",
    [
        "redis://:sec-ret@",
        "redis://:sec-ret/word@host",
        "redis://u:12/sec-ret@host",
        "red://a:sec-ret@host",
        "rediss://u:sec-ret@h:x",
    ],
)
def test_a_password_of_the_shared_state_isnt_shown(tmp_path: Path, url: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settle(tmp_path, {}, {"COREPOD_SHARED": url})
    assert "COREPOD_SHARED" in str(caught.value)
    assert "sec-ret" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["redis://:p%2Fw@host:6380/1", "rediss://h", "redis+sentinel://a:1,[::1]:2/main", "unix:///run/r.sock"]
)
def test_urls_of_servers_need_their_package(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert settle(tmp_path, {"shared": url}, {}).values["shared"] == url
    monkeypatch.setattr("corepod.contract.shared_url.find_spec", lambda name: None)
    with pytest.raises(SettingsError, match=r"needs the package redis; pip install 'corepod\[redis\]'"):
        settle(tmp_path, {"shared": url}, {})


def test_paths_of_warm_up_requests(tmp_path: Path) -> None:
    paths = ["/users?page=2&sort=name%2Cage", "/", "/b"]
    shared = {"preload": "application"}
    assert settle(tmp_path, {**shared, "warmup": [paths[0], "/,/b"]}, {}).values["warmup"] == paths
    assert settle(tmp_path, shared, {"COREPOD_WARMUP": ",".join(paths)}).values["warmup"] == paths
    assert settle(tmp_path, {}, {}).values["warmup"] == []
    assert show(BY_NAME["warmup"], paths) == ", ".join(paths)
    assert parse(BY_NAME["warmup"], show(BY_NAME["warmup"], [])) == [], "which the chart writes, too"


def test_every_atom_of_the_access_log_is_known(tmp_path: Path) -> None:
    atoms = [*"hlutrRsSmUqHbBfaTDMLp", "st", "{user-agent}i", "{X-Id}o", "{home}e"]
    form = " ".join(f"%({atom})s" for atom in atoms)
    assert settle(tmp_path, {"access_log_format": form}, {}).values["access_log_format"] == form


PASSWORD = "hush-hush"


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a certificate, its key, and the key encrypted."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl program to make a certificate with")
    folder = tmp_path_factory.mktemp("pem")
    for line in (
        "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=test -keyout key -out cert",
        "rsa -aes256 -in key -out locked -passout pass:" + PASSWORD,
    ):
        subprocess.run(["openssl", *line.split()], check=True, capture_output=True, cwd=folder)
    (folder / "both").write_text((folder / "cert").read_text() + (folder / "locked").read_text())
    return folder


@pytest.mark.parametrize(
    ("flags", "phrase"),
    [
        ({"tls_cert": "cert"}, "cert holds no private key in PEM form; name the file of the key in tls_key"),
        ({"tls_cert": "key"}, "key holds no certificate in PEM form"),
        ({"tls_cert": "cert", "tls_key": "cert"}, "cert holds no private key in PEM form"),
        (
            {"tls_cert": "cert", "tls_key": "key", "tls_client_ca": "key"},
            "client.ca: can't be used: .*key holds no cert",
        ),
        ({"tls_cert": "cert", "tls_key": "locked"}, "the key is encrypted; give its password in COREPOD_TLS_KEY_PASS"),
        ({"tls_cert": "cert", "tls_key": "locked", "tls_key_password": "wrong"}, "can't be used"),
        ({"tls_cert": "cert", "tls_key": "locked", "tls_key_password": PASSWORD}, ""),
        ({"tls_cert": "both", "tls_key_password": PASSWORD}, ""),
        ({"tls_cert": "cert", "tls_key": "key", "tls_client_ca": "cert"}, ""),
    ],
    ids=str,
)
def test_certificates(tmp_path: Path, pem: Path, flags: dict[str, str], phrase: str) -> None:
    flags = {name: value if name == "tls_key_password" else str(pem / value) for name, value in flags.items()}
    with pytest.raises(SettingsError, match=phrase) if phrase else contextlib.nullcontext():
        settle(tmp_path, flags, {})


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("# a comment\n\nA=1\nexport B = two words \nC=\n", {"A": "1", "B": "two words", "C": ""}),
        ("\ufeffA=1\n", {"A": "1"}),
        ("A=1\r\nB='2'\r\n", {"A": "1", "B": "2"}),
        ('A=a=b\nB=it\'s\nC={"key": "value"}', {"A": "a=b", "B": "it's", "C": '{"key": "value"}'}),
        # Comments behind values
        ("A=5432 # the port\nB=a#b\nC= # none\nD=#fff", {"A": "5432", "B": "a#b", "C": "", "D": "#fff"}),
        ("A=\"x # y\" # z\nB='x # y'\n", {"A": "x # y", "B": "x # y"}),
        # Several lines
        ("A=\"one\ntwo\n\"\nB='three\n\nfour'\nC=5", {"A": "one\ntwo\n", "B": "three\n\nfour", "C": "5"}),
        # Backslashes
        (r'A="a\nb\t\"c\" \\ \d"', {"A": 'a\nb\t"c" \\ \\d'}),
        (r"A='a\nb \' \\'", {"A": "a\\nb ' \\"}),
        (r"A=a\nb", {"A": r"a\nb"}),
        ("A=$HOME ${HOME}", {"A": "$HOME ${HOME}"}),
        ("A=1\nA=2", {"A": "2"}),
        ("", {}),
    ],
    ids=repr,
)
def test_env_file(tmp_path: Path, text: str, found: dict[str, str]) -> None:
    path = tmp_path / "env"
    path.write_bytes(text.encode())
    assert envfile.read(str(path)) == found


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"A=1\nsecret without equals\n", "line 2: not NAME=VALUE"),
        (b'A="\n\n"\nB="secret', "line 4: not NAME=VALUE"),
        (b"A='secret'd\n", "line 1: not NAME=VALUE"),
        (b"A=\xffsecret", "is not UTF-8"),
        (b"A=\0secret", "a NUL"),
    ],
    ids=repr,
)
def test_a_fault_in_an_env_file_is_told_by_its_line(tmp_path: Path, content: bytes, fault: str) -> None:
    path = tmp_path / "env"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=fault) as caught:
        envfile.read(str(path))
    assert "secret" not in str(caught.value)


def corepod(*args: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "corepod", *args]
    clean = {k: v for k, v in os.environ.items() if not k.startswith("COREPOD_")}
    return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=cwd, env={**clean, **env})


def test_the_command_line_reports_everything_and_starts_nothing(tmp_path: Path) -> None:
    done = corepod("run", "--wrokers", "3", "--standby", "x", "a:b", cwd=tmp_path, COREPOD_BACKLOG="-1")
    assert done.returncode == 2
    assert "--wrokers; did you mean --workers?" in done.stderr
    assert "--standby: 'x'" in done.stderr
    assert "COREPOD_BACKLOG: '-1'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "faults"),
    [
        (
            "run a:b --workers --nope",
            ["--workers: expected one", "there is no flag --nope; did you mean --name?"],
        ),
        ("run --workers --nope", ["--workers: expected one argument", "there is no flag --nope", "no application"]),
        ("run a:b --workers 4 --workers", ["--workers: expected one argument"]),
        ("run a:b --workers --workers 4", ["--workers: expected one argument"]),
        ("run a:b --factory=yes --nope", ["--factory: ignored explicit argument", "there is no flag --nope"]),
        ("run a:b --name --group --standby x", ["--name: ", "--group: ", "--standby: 'x' is not one of"]),
        ("run a:b c --umask -3", ["the argument 'c' is one too many", "--umask: '-3' is not an octal mode"]),
        ("config --json=3 --backlog 0", ["--json: ignored explicit argument", "--backlog: '0'"]),
        ("begin a:b", ["there is no command begin; corepod --help lists all"]),
        ("sacle shop 2", ["there is no command sacle; did you mean scale?"]),
        ("--nope", ["there is no flag --nope"]),
    ],
)
def test_every_fault_of_the_command_line_is_reported(arguments: str, faults: list[str], tmp_path: Path) -> None:
    done = corepod(*arguments.split(), cwd=tmp_path)
    assert done.returncode == 2
    *lines, last = done.stderr.splitlines()
    assert last.startswith("corepod: nothing was started")
    assert len(lines) == len(faults)
    for line, fault in zip(lines, faults, strict=True):
        assert line.startswith(f"corepod: {fault}")


def test_config_shows_values_sources_and_no_secret(tmp_path: Path, pem: Path) -> None:
    secret = {"COREPOD_TLS_CERT": str(pem / "both"), "COREPOD_TLS_KEY_PASSWORD": PASSWORD}
    done = corepod("config", "--json", "--workers", "2", cwd=tmp_path, **secret)
    shown = json.loads(done.stdout)
    assert shown["workers"] == {"value": 2, "from": "--workers"}
    assert shown["tls_key_password"] == {"value": "***", "from": "COREPOD_TLS_KEY_PASSWORD"}
    table = corepod("config", cwd=tmp_path, **secret).stdout
    assert PASSWORD not in table
    assert all(setting.name in table for setting in SETTINGS)


@pytest.mark.parametrize("command", ["run", "pid1", "config"])
def test_help_names_every_setting(tmp_path: Path, command: str) -> None:
    text = corepod(command, "--help", cwd=tmp_path).stdout
    assert all(setting.flag in text and setting.variable in text for setting in SETTINGS[1:])


@pytest.mark.parametrize("name", ["max_requests", "max_age"])
def test_a_jitter_needs_what_it_is_added_to(name: str) -> None:
    flags = {f"{name}_jitter": "5"}
    with pytest.raises(SettingsError) as error:
        resolve(flags, {}, None, pod=False)
    assert error.value.faults == [
        f"--{name.replace('_', '-')}-jitter: is added to {name}, which isn't set; set it, or leave the jitter out"
    ]
    assert resolve({**flags, name: "10"}, {}, None, pod=False).values[f"{name}_jitter"] == 5
