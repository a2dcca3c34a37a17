"""`corepod front`: what it says of pools that a front can't use, and the file it writes."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from tests.plugins.needs import program
from tests.process.background import ONE, machine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.process.background import Machine

ELSEWHERE = "127.0.0.2:8000,9000,4"


@pytest.fixture
def user(tmp_path: Path) -> Iterator[Machine]:
    with machine(tmp_path) as made:
        yield made


def test_a_running_pool_and_one_elsewhere(user: Machine) -> None:
    started = user.start("ok:app", *ONE, "--name", user.name, "--lame-duck", "1")
    done = user.corepod("front", user.name, ELSEWHERE, "--json")
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    here, there = facts["pools"]
    assert (here["name"], here["slots"], here["app"]) == (user.name, 1, "ok:app")
    assert here["address"] in started["urls"][0] if "urls" in started else here["address"].startswith("127.0.0.1:")
    assert there == {
        "name": "127.0.0.2:8000",
        "address": "127.0.0.2:8000",
        "admin_host": "127.0.0.2",
        "admin_port": 9000,
        "slots": 4,
        "app": "",
    }
    [warning] = facts["warnings"]
    assert "lame_duck = 1" in warning
    assert f"corepod: {warning}" in done.stderr
    assert f"server {user.name} {here['address']} addr 127.0.0.1 port" in facts["configuration"]
    plain = user.corepod("front", user.name, ELSEWHERE)
    assert plain.stdout == facts["configuration"]


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        (("--admin", "none"), "no port for probes (admin = none)"),
        (("--bind", "unix:@front-test-{name}"), "no address that HAProxy can reach"),
    ],
)
def test_a_pool_that_a_front_cannot_use(user: Machine, flags: tuple[str, ...], why: str) -> None:
    words = [flag.format(name=user.name) for flag in flags]
    given = dict(zip(("--bind", "--admin"), ("127.0.0.1:0", "127.0.0.1:0"), strict=True)) | {words[0]: words[1]}
    done = user.corepod("start", "ok:app", *ONE, "--json", *(word for pair in given.items() for word in pair))
    assert done.returncode == 0, done.stderr
    user.look(json.loads(done.stdout)["pid"])
    done = user.corepod("front", user.name)
    assert (done.returncode, done.stdout) == (2, "")
    assert why in done.stderr


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (("no-such-pool",), 8, "no pool called no-such-pool runs here"),
        (("127.0.0.1:x",), 2, "write HOST:PORT"),
        ((ELSEWHERE, ELSEWHERE), 2, "127.0.0.2:8000 is there twice"),
        ((ELSEWHERE, "--bind", "nonsense"), 2, "--bind"),
        ((ELSEWHERE, "--concurrency", "-1"), 2, "--concurrency"),
        ((ELSEWHERE, "--queue-timeout", "nan"), 2, "--queue-timeout"),
        ((ELSEWHERE, "--check-interval", "0"), 2, "--check-interval"),
        ((ELSEWHERE, "--sticky", "a b"), 2, "--sticky"),
        ((ELSEWHERE, "--sticky", "a#b"), 2, "--sticky"),
        ((ELSEWHERE, "--bind", "a\n  user root:80"), 2, "--bind"),
        ((ELSEWHERE, "--bind", "127.0.0.1:8404"), 2, "127.0.0.1:8404 twice"),
        (("127.0.0.1:8080",), 2, "can't listen on 127.0.0.1:8080"),
        ((ELSEWHERE, "--output", "."), 7, "can't be written"),
        ((ELSEWHERE, "--trusted-proxies", "10.0.0.0/33"), 2, "--trusted-proxies"),
        ((ELSEWHERE, "--output", "no/such/folder/haproxy.cfg"), 7, "can't be written"),
        ((), 2, "POOL"),
    ],
)
def test_bad_words(user: Machine, tmp_path: Path, words: tuple[str, ...], code: int, why: str) -> None:
    done = user.corepod("front", *words, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (code, ""), done
    assert why in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_is_replaced_at_once_or_not_at_all(user: Machine, tmp_path: Path) -> None:
    user.environment["PATH"] = f"{os.path.dirname(program('haproxy'))}{os.pathsep}{user.environment['PATH']}"
    real, link = tmp_path / "real.cfg", tmp_path / "haproxy.cfg"
    real.write_text("old")
    real.chmod(0o640)
    link.symlink_to(real)
    words = ("--check", "--output", str(link))
    done = user.corepod("front", "no.such.host.invalid:8000", *words, cwd=tmp_path)
    assert done.returncode == 7
    assert "HAProxy doesn't take the configuration" in done.stderr
    assert real.read_text() == "old"
    done = user.corepod("front", ELSEWHERE, *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"wrote {link}: 1 pool, on 127.0.0.1:8080\n"
    assert "server 127.0.0.2:8000 127.0.0.2:8000 weight 4" in real.read_text()
    assert (link.is_symlink(), real.stat().st_mode & 0o777) == (True, 0o640)
    assert sorted(path.name for path in tmp_path.iterdir() if "cfg" in path.name) == ["haproxy.cfg", "real.cfg"]


def test_what_is_no_file_is_written_to(user: Machine, tmp_path: Path) -> None:
    """Not replaced by a file: as root that would be the end of /dev/null."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        done = user.corepod("front", ELSEWHERE, "--output", str(pipe))
        assert done.returncode == 0, done.stderr
        assert pipe.is_fifo()
        assert os.read(reader, 65536).startswith(b"global\n")
    finally:
        os.close(reader)


def test_a_check_without_haproxy_says_so_and_writes_nothing(user: Machine, tmp_path: Path) -> None:
    done = user.corepod("front", ELSEWHERE, "--check", "--output", "x.cfg", cwd=tmp_path, env={"PATH": str(tmp_path)})
    assert (done.returncode, done.stdout) == (7, "")
    assert "install it, or leave --check out" in done.stderr
    assert not (tmp_path / "x.cfg").exists()


def test_every_option_is_one_that_haproxy_takes_without_a_warning(user: Machine, tmp_path: Path) -> None:
    user.environment["PATH"] = f"{os.path.dirname(program('haproxy'))}{os.pathsep}{user.environment['PATH']}"
    for options in (
        (),
        ("--concurrency", "2", "--queue-timeout", "0.5", "--check-interval", "2", "--balance", "random"),
        ("--sticky", "PLACE", "--trusted-proxies", "10.0.0.0/8,loopback", "--no-retries"),
        ("--bind", "[::1]:8080", "--bind", f"unix:{tmp_path}/front", "--stats", "none", "--balance", "first"),
        ("--bind", ":8080", "--trusted-proxies", "*", "--balance", "roundrobin"),
        ("--trusted-proxies", ",".join(f"192.0.2.{number}" for number in range(1, 200))),
        ("--bind", f'unix:{tmp_path}/the "front" # 1', "--concurrency", "1000000"),
    ):
        done = user.corepod("front", ELSEWHERE, "[::1]:8001", "--check", *options)
        assert (done.returncode, done.stderr) == (0, ""), options
