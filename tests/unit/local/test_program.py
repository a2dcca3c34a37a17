"""`corepod.run`: which call is refused, and what becomes of the others. What is started is not started here."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import types
from typing import TYPE_CHECKING, Any

import corepod
import pytest
from corepod.local import launch

if TYPE_CHECKING:
    from pathlib import Path

    from corepod.config.resolve import Effective


async def app(scope: Any, receive: Any, send: Any) -> None: ...


def create_app() -> Any:
    return app


class Started(Exception):
    def __init__(self, effective: Effective) -> None:
        self.values, self.sources, self.warnings = effective.values, effective.sources, effective.warnings
        self.path = effective.values["pythonpath"]
        self.blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())


@pytest.fixture(autouse=True)
def program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """This process is such a program; the folder is the current one."""

    def start(effective: Effective, file: str | None, *, pod: bool) -> int:
        assert not pod
        raise Started(effective)

    monkeypatch.setattr(launch, "start", start)
    monkeypatch.delitem(sys.modules, "corepod.worker.load", raising=False)
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("COREPOD_")]:
        monkeypatch.delenv(name)
    return tmp_path


def started(application: object = "main:app", **settings: Any) -> Started:
    with pytest.raises(Started) as caught:
        corepod.run(application, **settings)
    return caught.value


def be(monkeypatch: pytest.MonkeyPatch, file: str, **variables: Any) -> None:
    """Let this file be the program."""
    main = types.ModuleType("__main__")
    vars(main).update(__file__=file, __spec__=None, **variables)
    monkeypatch.setitem(sys.modules, "__main__", main)


# The application


def test_an_application_is_named_by_the_module_that_defines_it() -> None:
    assert started(app).values["app"] == f"{__name__}:app"
    assert started(create_app, factory=True).values["app"] == f"{__name__}:create_app"


def test_an_application_of_the_program_is_named_by_its_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    mine = lambda scope, receive, send: None  # noqa: E731
    be(monkeypatch, str(tmp_path / "elsewhere" / "shop.py"), api=mine)
    found = started(mine)
    assert (found.values["app"], found.path) == ("shop:api", [str(tmp_path / "elsewhere")])
    assert started("__main__:api").values["app"] == "shop:api"
    be(monkeypatch, "shop.py", api=mine)  # relative, in the current folder
    assert (started(mine).values["app"], started(mine).path) == ("shop:api", [])


def test_a_program_that_is_a_module_keeps_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    import json.tool

    main = types.ModuleType("__main__")
    vars(main).update(__spec__=json.tool.__spec__, api=app)
    monkeypatch.setitem(sys.modules, "__main__", main)
    assert started(app).values["app"] == "json.tool:api"


def test_an_application_made_in_a_function_has_no_name() -> None:
    with pytest.raises(ValueError, match="made inside a function") as caught:
        corepod.run(lambda scope, receive, send: None)
    assert "factory=True" in str(caught.value)


@pytest.mark.parametrize("file", ["my-shop.py", "shop", "folder/__main__.py"])
def test_a_file_that_no_worker_can_import(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    be(monkeypatch, file, api=app)
    with pytest.raises(ValueError, match="can't be imported by its name"):
        corepod.run(app)


def test_an_application_in_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    main = types.ModuleType("__main__")
    main.api = app  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "__main__", main)
    with pytest.raises(ValueError, match="python -c"):
        corepod.run(app)


def test_what_is_no_application() -> None:
    with pytest.raises(TypeError, match="or an application, not int"):
        corepod.run(7)


def test_the_folder_where_the_program_finds_the_module(monkeypatch: pytest.MonkeyPatch, program: Path) -> None:
    (program / "src" / "shop").mkdir(parents=True)
    (program / "src" / "shop" / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(program / "src"))
    assert started("shop.web:app").path == [str(program / "src")]
    for found in ("nowhere:app", "json:app", "hypothesis:app"):  # none, and two that every interpreter finds
        assert started(found, pythonpath=[str(program / "src")]).path == [str(program / "src")]


# The settings


def test_a_keyword_has_the_precedence_of_a_flag(monkeypatch: pytest.MonkeyPatch, program: Path) -> None:
    (program / "corepod.toml").write_text("workers = 5\nbacklog = 7\nkeep_alive = 2\n")
    monkeypatch.setenv("COREPOD_WORKERS", "4")
    monkeypatch.setenv("COREPOD_BACKLOG", "8")
    values = started(workers=3, pin="never").values
    assert (values["workers"], values["backlog"], values["keep_alive"]) == (3, 8, 2.0)


def test_values_are_pythons_own(program: Path) -> None:
    (program / "other.toml").write_text("[env.production]\nbacklog = 3\n")
    values = started(
        bind=("127.0.0.1:0", "unix:/run/x"), access_log=True, keep_alive=3, chdir=program,
        config=program / "other.toml", env="production",
    ).values  # fmt: skip
    assert values["bind"] == ["127.0.0.1:0", "unix:/run/x"]
    assert (values["access_log"], values["keep_alive"], values["backlog"]) == (True, 3.0, 3)
    assert values["chdir"] == str(program)


def test_an_application_of_the_file(program: Path) -> None:
    (program / "corepod.toml").write_text('[apps.shop]\napp = "web:app"\n')
    values = started("shop").values
    assert (values["app"], values["name"]) == ("web:app", "shop")


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("worker", "did you mean workers"),
        ("host", 'use bind = "HOST:PORT"'),
        ("timeout_graceful_shutdown", "use stop_timeout SECONDS"),
        ("timeout_keep_alive", "use keep_alive SECONDS"),
        ("qwertz", "no setting 'qwertz'$"),
    ],
)
def test_an_unknown_keyword(name: str, answer: str) -> None:
    settings: Any = {name: 1}
    with pytest.raises(TypeError, match=answer):
        corepod.run("main:app", **settings)


def test_all_faults_are_raised_together(program: Path) -> None:
    (program / "corepod.toml").write_text("backlog = 0\n")
    with pytest.raises(ValueError, match=r"(?ms)backlog: '0'.*^workers: 'some'.*^stop_timeout: '-1'") as caught:
        corepod.run("main:app", workers="some", stop_timeout=-1)
    assert len(str(caught.value).splitlines()) == 3
    assert "--" not in str(caught.value)


# The place


def test_in_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "corepod.worker.load", types.ModuleType("load"))
    with pytest.raises(RuntimeError, match='if __name__ == "__main__":'):
        corepod.run("main:app")


def test_while_an_event_loop_runs() -> None:
    async def main() -> None:
        corepod.run("main:app")

    with pytest.raises(RuntimeError, match="while an event loop runs"):
        asyncio.run(main())


def test_in_a_thread() -> None:
    faults: list[str] = []

    def call() -> None:
        try:
            corepod.run("main:app")
        except RuntimeError as error:
            faults.append(str(error))

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    assert "main thread" in faults[0]


def test_threads_that_end_are_named() -> None:
    over = threading.Event()
    thread = threading.Thread(target=over.wait, name="mailer")
    thread.start()
    try:
        assert "mailer" in "".join(one for one in started().warnings if "threads" in one)
    finally:
        over.set()
        thread.join()


def test_a_stop_on_the_way_waits_for_the_supervisor() -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    assert {signal.SIGTERM, signal.SIGINT} <= set(started().blocked)
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before
