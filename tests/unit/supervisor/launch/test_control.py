"""The sockets by which a pool's owner finds and steers it."""

from __future__ import annotations

import os
import socket
import stat
from typing import TYPE_CHECKING, Any

import pytest
from corepod.contract import runtime
from corepod.supervisor.launch import control, sockets
from corepod.supervisor.launch.sockets import StartError
from corepod.supervisor.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The runtime folder of the user."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    return tmp_path / "corepod"


@pytest.fixture
def opened() -> Iterator[list[socket.socket]]:
    found: list[socket.socket] = []
    yield found
    sockets.close(found)


def settings(**changes: Any) -> Settings:
    return Settings({"control": "", "console": "", "name": "shop", "app": "main:app", **changes})


def test_the_default_one_is_found_by_the_pools_name(folder: Path, opened: list[socket.socket]) -> None:
    opened += control.open_all(settings())
    assert [sock.getsockname() for sock in opened] == [f"{folder}/shop.sock"]
    assert stat.S_IMODE((folder / "shop.sock").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_second_pool_of_a_name_gets_a_number(folder: Path, opened: list[socket.socket]) -> None:
    opened += control.open_all(settings())
    opened += control.open_all(settings())
    assert [sock.getsockname() for sock in opened] == [f"{folder}/shop.sock", f"{folder}/shop-2.sock"]


def test_what_a_killed_pool_has_left_is_replaced(folder: Path, opened: list[socket.socket]) -> None:
    folder.mkdir()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(f"{folder}/shop.sock")
    opened += control.open_all(settings())
    assert opened[0].getsockname() == f"{folder}/shop.sock"


def test_an_abstract_one_where_no_folder_can_be_written(
    folder: Path, opened: list[socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "make_folder", lambda path, public: False)
    opened += control.open_all(settings(name=f"shop-{os.getpid()}"))
    assert sockets.name(opened[0]) == f"unix:@corepod-{os.geteuid()}/shop-{os.getpid()}.sock"
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(opened[0].getsockname())  # it listens: one that refuses looks dead


@pytest.mark.parametrize(("mode", "owner"), [(0o1777, None), (0o700, 4711)], ids=["everybody's", "another's"])
def test_a_folder_in_which_another_user_can_write_is_not_used(
    folder: Path, opened: list[socket.socket], mode: int, owner: int | None
) -> None:
    folder.mkdir()
    folder.chmod(mode)
    if owner is not None and os.geteuid():
        pytest.skip("only root can give a folder away")
    if owner is not None:
        os.chown(folder, owner, -1)
    opened += control.open_all(settings(name=f"shop-{os.getpid()}"))
    assert not list(folder.iterdir())
    assert len(opened) == 1  # in the next place


@pytest.mark.parametrize("chosen", ["{}/c", "@corepod-test-{}"])
def test_a_chosen_one_that_is_taken_is_an_error(tmp_path: Path, opened: list[socket.socket], chosen: str) -> None:
    address = chosen.format(tmp_path if "/" in chosen else os.getpid())
    opened += control.open_all(settings(control=address))
    with pytest.raises(StartError, match=r"socket of local clients.*in use"):
        control.open_all(settings(control=address))


def test_none_switches_it_off_but_not_the_terminals(tmp_path: Path, opened: list[socket.socket]) -> None:
    assert control.open_all(settings(control="none")) == []
    opened += control.open_all(settings(control="none", console=f"{tmp_path}/t"))
    assert len(opened) == 1


def test_the_place_of_a_systemd_service_comes_first() -> None:
    environ = {"RUNTIME_DIRECTORY": "/run/corepod/shop:/run/other", "XDG_RUNTIME_DIR": "/run/user/7"}
    assert runtime.places(environ, 7) == ["/run/corepod/shop/", "/run/user/7/corepod/", "/run/corepod/", "@corepod-7/"]
    assert runtime.places({"RUNTIME_DIRECTORY": "/run/shop"}, 0) == ["/run/corepod/", "@corepod-0/"]


@pytest.mark.parametrize(("pool", "name"), [("shop", "shop"), ("../shop", "-shop"), ("a/b c", "a-b-c"), ("..", "pool")])
def test_a_name_is_no_path(pool: str, name: str) -> None:
    assert runtime.names(pool)[:2] == [name, f"{name}-2"]
    assert runtime.pool_of(f"/run/corepod/{name}.sock") == name
