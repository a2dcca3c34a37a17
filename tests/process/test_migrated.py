"""Pools with the settings that `corepod migrate` writes for the corpus start, answer, log, reload and stop."""

from __future__ import annotations

import itertools
import os
import re
import signal
import stat
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from corepod.config.spec import BY_NAME
from corepod.migrate.formats import read
from corepod.migrate.model import Context, Program
from corepod.migrate.toml import document

from tests.process.harness import APPS, Pool
from tests.waiting import DEADLINE, until
from tools.corpus.outcome import CORES

if TYPE_CHECKING:
    from collections.abc import Callable

    from tools.corpus.outcome import Outcome

    Start = Callable[..., Pool]

AT_ONCE = 3  # pools that start beside each other
# They change what a pool is, by their values; of the others it counts that they are there.
CHOICES = ("access_log_format", "lifespan", "loop", "preload", "socket_mode", "standby")
# What isn't here: certificates, users; the name of a pool has to be its own; files are watched in tests of their own.
# With these, others work in another way: they are tried together.
CHANGING = ("preload = application", "a Unix socket", "access_log_file")
NOT_HERE = ("tls_cert", "tls_key", "user", "group", "name", "reload", "reload_dir", "reload_include", "env_file")
FILES = ("access_log_file", "log_file", "pid_file", "ready_file")


def wsgi(settings: dict[str, Any]) -> bool:
    return "wsgi_threads" in settings or "wsgi_timeout" in settings


def here(settings: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The settings with an application, addresses, folders and files of this machine, and at most two workers."""
    made = {name: value for name, value in settings.items() if name not in NOT_HERE and name in BY_NAME}
    made |= {"app": "wsgi_app:app" if wsgi(made) else "ok:app", "pin": "never"}
    if "workers" in made:
        made["workers"] = 1 if made["workers"] == 1 else 2
    made["bind"] = ["127.0.0.1:0", *(f"unix:{folder}/sock" for one in made.get("bind", ()) if one.startswith("unix:"))]
    made |= {name: f"{folder}/{name}" for name in FILES if name in made}
    made |= {name: at for name, at in (("chdir", str(APPS)), ("pythonpath", [str(APPS)])) if name in made}
    if made.pop("factory", False):
        made |= {"app": "factory:create_wsgi" if wsgi(made) else "factory:create_app", "factory": True}
    if "ready_path" in made:
        made["ready_path"] = "/"
    if "lame_duck" in made:
        made["lame_duck"] = 0.2  # seconds that its stop takes
    if "log_level" in made:
        made["log_level"] = "info"  # the first line says where the pool listens
    if made.get("loop") == "uvloop" and find_spec("uvloop") is None:
        del made["loop"]
    return made


def features(settings: dict[str, Any]) -> set[frozenset[str]]:
    """The settings of a configuration, and with them those that change how others work: what has to run together."""
    kinds = {f"{name} = {value}" if name in CHOICES else name for name, value in settings.items()}
    kinds |= {"a Unix socket"} if any(one.startswith("unix:") for one in settings.get("bind", ())) else set()
    kinds = {kind for kind in kinds if kind.split(" ")[0] not in (*NOT_HERE, "app", "bind", "workers", "pin")}
    pairs = {frozenset(pair) for pair in itertools.product(kinds, kinds) if any(kind in CHANGING for kind in pair)}
    return pairs | {frozenset((kind,)) for kind in kinds}


def representatives(corpus: list[Outcome]) -> list[dict[str, Any]]:
    """As few configurations as have, together, every feature that any configuration of the corpus has. Those that agree
    in what a pool is are one, for pools are dear."""
    rest = [one.settings for outcome in corpus for one in outcome.programs]
    missing = set().union(*map(features, rest))
    chosen: list[dict[str, Any]] = []
    while missing:
        best = max(rest, key=lambda settings: len(features(settings) & missing))
        missing -= features(best)
        if like := next((one for one in chosen if agree(one, best)), None):
            like.update({**best, **like})
        else:
            chosen.append(dict(best))
    return chosen


def agree(one: dict[str, Any], other: dict[str, Any]) -> bool:
    both = one.keys() & other.keys() & set(CHOICES)
    return wsgi(one) == wsgi(other) and all(one[name] == other[name] for name in both)


def write(program: Program, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    migration = replace(read("gunicorn app:app", Context({}, folder, cores=CORES)), programs=[program])
    (folder / "corepod.toml").write_text(document(migration))
    return folder / "corepod.toml"


def pool(start: Start, program: Program, folder: Path, **options: Any) -> Pool:
    """A pool with the program's settings, fitted to this machine."""
    fitted = replace(program, settings=here(program.settings, folder))
    file = write(fitted, folder)
    sockets = [word for one in fitted.settings["bind"] if one.startswith("unix:") for word in ("--bind", one)]
    (folder / "log_file").touch()  # it is read before the pool has made it
    made = start(fitted.settings["app"], "--config", str(file), *sockets, env={"WEB_CONCURRENCY": "2"}, **options)
    made.log_path = Path(fitted.settings.get("log_file", made.log_path))
    return made


def runs(one: Pool, settings: dict[str, Any], folder: Path) -> None:
    """It answers at each address, and stops when it is asked to."""
    one.ready()
    # Below a root_path the application sees the public path, which tests/apps/ok.py doesn't know.
    expected = 404 if "root_path" in settings else 200
    assert one.get("/").status_code == expected
    if any(address.startswith("unix:") for address in settings.get("bind", ())):
        with httpx.Client(transport=httpx.HTTPTransport(uds=f"{folder}/sock"), timeout=DEADLINE) as client:
            assert client.get("http://migrated/").status_code == expected
        mode = stat.S_IMODE(os.stat(f"{folder}/sock").st_mode)
        assert mode == int(settings["socket_mode"], 8) if "socket_mode" in settings else mode
    assert one.stop() == 0


@pytest.mark.timeout(900)
def test_all_settings_of_the_corpus_run_in_pools(start: Start, tmp_path: Path, corpus: list[Outcome]) -> None:
    chosen = representatives(corpus)
    assert len(chosen) > 5
    wanted = set().union(*(features(one.settings) for outcome in corpus for one in outcome.programs))
    assert wanted <= set().union(*map(features, chosen))
    for first in range(0, len(chosen), AT_ONCE):
        some = list(enumerate(chosen))[first : first + AT_ONCE]
        pools = [pool(start, Program("app", "", dict(each)), tmp_path / str(number)) for number, each in some]
        for one, (number, settings) in zip(pools, some, strict=True):
            runs(one, settings, tmp_path / str(number))


def program(source: str, folder: Path, environ: dict[str, str] | None = None) -> Program:
    (one,) = read(source, Context(environ or {}, folder, cores=CORES)).programs
    return one


def test_hup_by_the_pid_file_replaces_the_workers_as_the_unit_asks(start: Start, tmp_path: Path) -> None:
    """ExecReload=kill -HUP, and the modes that -m 007 means for nginx."""
    told = program("gunicorn -p farm.pid -w 2 -m 007 -b unix:farm.sock --access-logfile - farm.wsgi", tmp_path)
    one = pool(start, told, tmp_path / "farm").ready()
    assert stat.S_IMODE(os.stat(tmp_path / "farm" / "sock").st_mode) == 0o660
    before = {slot["pid"] for slot in one.status()["slots"]}
    pid = int((tmp_path / "farm" / "pid_file").read_text())
    assert pid == one.supervisor
    os.kill(pid, signal.SIGHUP)
    until(lambda: not before & {slot["pid"] for slot in one.status()["slots"]}, "new workers in all slots")
    assert one.ready().get("/").status_code == 200
    line = (
        r'127\.0\.0\.1 - - \[\d\d/\w{3}/\d{4}:[\d:]{8} [+-]\d{4}\] "GET / HTTP/1\.1" 200 \d+ "-" "python-httpx/[\d.]+"'
    )
    until(lambda: re.search(f"^{line}$", one.log, re.MULTILINE), lambda: f"a line as gunicorn writes it in\n{one.log}")


def test_logrotate_s_signal_opens_the_access_log_anew(start: Start, tmp_path: Path) -> None:
    told = program("gunicorn --access-logfile access.log app:app", tmp_path)
    one = pool(start, told, tmp_path / "shop").ready()
    path = tmp_path / "shop" / "access_log_file"

    def lines(file: Path) -> int:
        return file.read_text().count("GET / HTTP/1.1") if file.exists() else 0

    one.get("/")
    until(lambda: lines(path) == 1, "the line of the first request")
    path.rename(tmp_path / "old.log")
    one.signal(signal.SIGUSR2)
    until(path.exists, "the new file")

    def asked() -> bool:
        one.get("/")
        return lines(path) > 0

    until(asked, "a line in the new file")


def test_a_platform_s_variables_hold_where_the_pool_runs(start: Start, tmp_path: Path) -> None:
    """Heroku's Procfile without flags: what PORT and WEB_CONCURRENCY are is decided there."""
    (tmp_path / "Procfile").write_text("web: gunicorn hello.wsgi\n")
    told = program("Procfile", tmp_path)
    assert not {"bind", "workers"} & told.settings.keys()
    assert len(pool(start, told, tmp_path / "hello").ready().status()["slots"]) == 2
