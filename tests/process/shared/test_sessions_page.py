"""The applications of docs/sessions.md, as they stand there: their sessions survive workers, reloads and other keys."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.process.harness import CLIENT
from tests.procfs import alive
from tests.redisserver import redis_server
from tests.waiting import DEADLINE, until

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

    from tests.process.harness import Pool

    Start = Callable[..., Pool]

PAGE = (Path(__file__).parents[3] / "docs" / "sessions.md").read_text()
SHOWN = dict(re.findall(r"<!-- (\w+) -->\n\n```python\n((?s:.*?))```", PAGE))
(MAKE_KEY,) = re.findall(r"^    (export SESSION_KEYS=.*)$", PAGE, re.MULTILINE)
COMPAT = {"fastapi", "django"}
FRAMEWORKS = [pytest.param(name, marks=pytest.mark.compat(name) if name in COMPAT else ()) for name in SHOWN]


def new_key() -> str:
    """A key, made as the page says."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-c", f'{MAKE_KEY}; printf %s "$SESSION_KEYS"'],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=True,
    )
    return done.stdout


class Client:
    """A browser that keeps one cookie. httpx itself would send no secure cookie without TLS."""

    def __init__(self, pool: Pool, cookie: str = "") -> None:
        self._url, self.cookie = f"http://127.0.0.1:{pool.port}", cookie

    def ask(self, method: str, path: str) -> httpx.Response:
        headers = {"Cookie": self.cookie} if self.cookie else {}
        answer = CLIENT.request(method, self._url + path, headers=headers)
        if "set-cookie" in answer.headers:
            pair, *attributes = answer.headers["set-cookie"].split("; ")
            removed = "Max-Age=0" in attributes
            self.cookie = "" if removed else pair
            assert removed or {"HttpOnly", "Secure", "SameSite=Lax"} <= set(attributes)
        assert answer.status_code == 200, answer.text
        return answer

    def user(self) -> str | None:
        found: str | None = self.ask("GET", "/").json()["user"]
        return found

    def login(self, user: str) -> Client:
        assert self.ask("POST", f"/login?user={user}").json() == {"user": user}
        return self


def pool_of(name: str, start: Start, folder: Path, *flags: str, shared: str = "", **environ: str) -> Pool:
    (folder / "shop.py").write_text(SHOWN[name])
    state = {"COREPOD_SHARED": shared or f"sqlite://{folder}/state.sqlite", "COREPOD_SHARED_TIMEOUT": "30"}
    return start("shop:app", "--pin", "never", *flags, cwd=folder, env={**state, **environ}).ready()


def test_the_page_shows_all() -> None:
    assert sorted(SHOWN) == ["django", "fastapi", "flask", "starlette", "wsgi"]


@pytest.mark.timeout(240)
@pytest.mark.parametrize("name", FRAMEWORKS)
def test_a_session_outlives_its_worker_and_ends_everywhere(name: str, start: Start, tmp_path: Path) -> None:
    pool = pool_of(name, start, tmp_path, "--workers", "2", SESSION_KEYS=new_key())
    client, other = Client(pool), Client(pool)
    assert client.user() is None
    assert client.cookie == ""
    planted = Client(pool, client.login("eve").cookie)
    client.login("ada")
    other.login("bob")
    assert (client.user(), other.user(), planted.user()) == ("ada", "bob", None)
    for number, slot in enumerate(pool.status()["slots"]):
        os.kill(slot["pid"], signal.SIGKILL)
        pool.until_restarts(1, number)
    assert (client.user(), other.user()) == ("ada", "bob")
    stolen = Client(pool, client.cookie)
    client.ask("POST", "/logout")
    assert (client.cookie, client.user(), stolen.user(), other.user()) == ("", None, None, "bob")
    assert "Traceback" not in pool.log


@pytest.mark.timeout(240)
@pytest.mark.parametrize("name", ["starlette", "flask"])
def test_pools_that_share_a_server_share_sessions_and_an_outage_is_for_those_who_use_them(
    name: str, start: Start, tmp_path: Path
) -> None:
    with redis_server(tmp_path / "redis") as server:
        common: dict[str, str] = {"shared": server.url, "SESSION_KEYS": new_key()}
        pool, other = [pool_of(name, start, tmp_path, "--workers", "1", **common) for _ in range(2)]
        client = Client(pool).login("ada")
        assert Client(other, client.cookie).user() == "ada"
        pool.kill_worker()
        assert client.user() == "ada"
        server.kill()
        used = pool.get("/", headers={"Cookie": client.cookie})
        assert (used.status_code, used.headers["retry-after"]) == (503, "1")
        unused = pool.get("/elsewhere", headers={"Cookie": client.cookie})
        assert unused.status_code == 404
        server.start()
        until(lambda: pool.get("/", headers={"Cookie": client.cookie}).status_code == 200, "sessions are there again")
        client.login("bob")
        assert Client(other, client.cookie).user() == "bob"


@pytest.mark.timeout(400)
@pytest.mark.parametrize("name", ["starlette", "wsgi"])
def test_keys_are_changed_by_a_reload(name: str, start: Start, tmp_path: Path) -> None:
    old, new, file = new_key(), new_key(), tmp_path / "environment"
    file.write_text(f"SESSION_KEYS={old}\n")
    pool = pool_of(name, start, tmp_path, "--workers", "1", "--env-file", str(file))
    client = Client(pool).login("ada")
    idle, before = Client(pool, client.cookie), client.cookie

    def reload(keys: str) -> None:
        file.write_text(f'SESSION_KEYS="{keys}"\n')
        worker = pool.slot()["pid"]
        pool.process.send_signal(signal.SIGHUP)
        until(
            # While the old one lives, it may answer, too.
            lambda: not alive(worker) and (slot := pool.slot())["pid"] != worker and slot["state"] == "ready",
            lambda: f"only a worker of the new code: {pool.log}",
            4 * DEADLINE,
        )

    reload(f"{new} {old}")
    assert client.user() == "ada"
    assert client.cookie != before, "it is signed with the new key"
    reload(new)
    assert (client.user(), idle.user()) == ("ada", None)


def test_without_a_key_it_doesnt_start(start: Start, tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(SHOWN["wsgi"])
    pool = start("shop:app", "--workers", "1", cwd=tmp_path)
    error = "sessions need a key that all workers know, and none is given; make one with: python -c"
    until(lambda: error in pool.log, lambda: f"the error is in the log: {pool.log}", 4 * DEADLINE)
