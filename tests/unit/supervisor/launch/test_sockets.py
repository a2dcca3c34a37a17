"""The pool's sockets: what is bound, what stands in the way, what is left behind."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import stat
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import corepod
import pytest
from corepod.contract.exits import EXIT_BIND
from corepod.supervisor.launch import sockets
from corepod.supervisor.launch.sockets import StartError
from corepod.supervisor.settings import Settings

from tests.waiting import DEADLINE, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SOURCES = str(Path(corepod.__file__).parents[1])


def settings(**changed: Any) -> Settings:
    values = {
        "bind": ["127.0.0.1:0"],
        "backlog": 100,
        "socket_mode": None,
        "admin": "127.0.0.1:0",
        "admin_explicit": True,
    }
    return Settings({**values, **changed})


@pytest.fixture
def listen() -> Iterator[Callable[..., list[socket.socket]]]:
    made: list[socket.socket] = []

    def listen_on(*bind: str, **changed: Any) -> list[socket.socket]:
        new = sockets.listeners(settings(bind=list(bind), **changed))
        made.extend(new)
        return new

    yield listen_on
    sockets.close([sock for sock in made if sock.fileno() >= 0])


def is_taken_in(address: Any, family: int, patience: float = 0.2) -> bool:
    """Whether a new connection gets into the queue."""
    with socket.socket(family) as client:
        client.settimeout(patience)
        try:
            client.connect(address)
        except (TimeoutError, ConnectionRefusedError):
            return False
    return True


def was_acceptable(server: socket.socket) -> bool:
    """Whether a connection has been in the queue."""
    try:
        server.accept()[0].close()
    except BlockingIOError:
        return False
    return True


@pytest.mark.parametrize("bind", ["127.0.0.1:0", "[::1]:0", "*:0"])
def test_silent_connections_are_kept_from_the_workers(
    listen: Callable[..., list[socket.socket]], monkeypatch: pytest.MonkeyPatch, bind: str
) -> None:
    monkeypatch.setattr(sockets, "DEFER_ACCEPT", 100)  # however long this test is held up
    (server,) = listen(bind)
    assert sockets.defer([server]) == ""
    with socket.create_connection(server.getsockname()[:2]) as client:
        assert not was_acceptable(server)
        client.sendall(b"GET")
        until(lambda: was_acceptable(server), "it is handed over when it has brought something")


def test_without_that_they_are_not(listen: Callable[..., list[socket.socket]]) -> None:
    """The negative control, and that it can be undone."""
    first, second = listen("127.0.0.1:0", "127.0.0.1:0")
    assert sockets.defer([second]) == ""
    sockets.stop_deferring([second])
    for server in (first, second):
        with socket.create_connection(server.getsockname()):
            until(partial(was_acceptable, server), "it is handed over")


def test_one_that_stays_silent_is_handed_over_after_a_while(listen: Callable[..., list[socket.socket]]) -> None:
    """So that keep_alive ends it."""
    (server,) = listen("127.0.0.1:0")
    sockets.defer([server])
    with socket.create_connection(server.getsockname()):
        until(lambda: was_acceptable(server), "it is handed over")


def test_where_nothing_can_be_kept_back(listen: Callable[..., list[socket.socket]], tmp_path: Path) -> None:
    (unix,) = listen(f"unix:{tmp_path}/s")
    assert sockets.defer([unix]) == ""
    with socket.create_server(("127.0.0.1", 0)) as of_systemd:
        assert sockets.defer([of_systemd]) == ""
        assert of_systemd.getsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT) == 0
    (refusing,) = listen("127.0.0.1:0")
    refusing.close()
    assert "TCP_DEFER_ACCEPT: Bad file descriptor" in sockets.defer([refusing])
    sockets.stop_deferring([refusing])


@pytest.mark.parametrize("bind", ["127.0.0.1:0", "[::1]:0", "unix:{folder}/s"])
def test_without_intake_the_queue_is_kept_and_gets_no_more(
    listen: Callable[..., list[socket.socket]], tmp_path: Path, bind: str
) -> None:
    """Also in another process that has the socket: what gets into its queue now would be reset at its end."""
    (server,) = listen(bind.format(folder=tmp_path))
    address, family = server.getsockname(), server.family
    copy = server.dup()
    with socket.socket(family) as early, socket.socket(family) as second:
        for client in (early, second):
            client.connect(address)
            client.sendall(b"hello")
        until(lambda: (sockets.queue(server) or {"length": 2})["length"] == 2, "both are in the queue")
        sockets.stop_intake([server])
        sockets.stop_intake([server])
        assert not is_taken_in(address, family)
        sockets.close([server])
        for client in (early, second):
            accepted, _ = copy.accept()
            with accepted:
                accepted.settimeout(10)
                assert accepted.recv(10) == b"hello"
                accepted.sendall(b"bye")
                accepted.shutdown(socket.SHUT_WR)
            assert client.recv(10) == b"bye"
        with pytest.raises(OSError, match=r"Invalid argument|temporarily"):
            copy.accept()
    copy.close()


def test_what_systemd_has_handed_over_goes_on_queueing(monkeypatch: pytest.MonkeyPatch) -> None:
    """systemd keeps it for the next start."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        sockets.stop_intake([server])
        assert is_taken_in(server.getsockname(), server.family, DEADLINE)


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_ipv4_ipv6_and_unix(listen: Callable[..., list[socket.socket]], tmp_path: Path) -> None:
    made = listen("127.0.0.1:0", "[::1]:0", f"unix:{tmp_path}/s")
    v4, v6, path = map(sockets.name, made)
    assert v4.startswith("127.0.0.1:")
    assert v6.startswith("[::1]:")
    assert path == f"unix:{tmp_path}/s"
    for sock in made:
        with socket.socket(sock.family) as client:
            client.connect(sock.getsockname())


def test_what_an_accepted_connection_inherits(listen: Callable[..., list[socket.socket]]) -> None:
    """asyncio turns the delay off only where the protocol is named; without, each later request waits 40 ms."""
    (sock,) = listen("127.0.0.1:0")
    assert sock.proto == socket.IPPROTO_TCP
    assert sock.gettimeout() == 0.0
    assert not os.get_inheritable(sock.fileno())


def test_the_queue_has_the_length_that_was_asked_for(listen: Callable[..., list[socket.socket]]) -> None:
    (sock,) = listen("127.0.0.1:0", backlog=37)
    assert sockets.queue(sock) == {"length": 0, "limit": 37}
    with socket.create_connection(sock.getsockname()):
        until(lambda: sockets.queue(sock) == {"length": 1, "limit": 37}, "the connection is in the queue")


def test_of_a_unix_socket_no_queue_is_known(listen: Callable[..., list[socket.socket]], tmp_path: Path) -> None:
    (sock,) = listen(f"unix:{tmp_path}/s")
    assert sockets.queue(sock) is None


@pytest.mark.parametrize(
    ("bind", "words"),
    [
        ("127.0.0.1:{taken}", "in use"),
        ("192.0.2.1:80", "no such address"),
        ("unix:/no/such/folder/s", "no such folder"),
        ("unix:/" + "x" * 200, "too long"),
        ("no-such-host.invalid:80", "can't listen on no-such-host.invalid:80: "),
    ],
)
def test_what_keeps_it_from_binding(bind: str, words: str, taken: int) -> None:
    address = bind.format(taken=taken)
    with pytest.raises(StartError, match=words) as caught:
        sockets.listeners(settings(bind=[address]))
    assert caught.value.code == EXIT_BIND
    assert f"can't listen on {address}: " in str(caught.value)


@pytest.mark.parametrize("flag", ["--bind", "--admin"])
def test_a_taken_address_names_its_holder_and_the_flag_to_change(taken: int, flag: str) -> None:
    address = f"127.0.0.1:{taken}"
    opens: Callable[[Settings], object] = sockets.listeners if flag == "--bind" else sockets.admin
    with pytest.raises(StartError) as caught:
        opens(settings(bind=[address], admin=address))
    text = str(caught.value)
    assert f"choose another address with {flag} (it belongs to pid {os.getpid()}, " in text
    assert text.startswith("address of probes, metrics and status: ") == (flag == "--admin")


def test_two_that_bound_before_either_listened(monkeypatch: pytest.MonkeyPatch, taken: int) -> None:
    """SO_REUSEADDR lets both bind; the second one to listen is told."""

    def listen(self: socket.socket, backlog: int) -> None:
        raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))

    monkeypatch.setattr(socket.socket, "listen", listen)
    with pytest.raises(StartError, match="in use"):
        sockets.listeners(settings())


# Unix sockets


@pytest.mark.parametrize("mode", [0o600, 0o660, 0o666])
def test_mode(listen: Callable[..., list[socket.socket]], tmp_path: Path, mode: int) -> None:
    listen(f"unix:{tmp_path}/s", socket_mode=mode)
    assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == mode


def test_the_umask_is_that_of_before(listen: Callable[..., list[socket.socket]], tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        listen(f"unix:{tmp_path}/s", socket_mode=0o666)
        assert os.umask(0o027) == 0o027
        listen(f"unix:{tmp_path}/t")
        assert stat.S_IMODE((tmp_path / "t").stat().st_mode) == 0o750
    finally:
        os.umask(before)


def test_what_a_killed_pool_left_behind_is_replaced(listen: Callable[..., list[socket.socket]], tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(f"{tmp_path}/s")
        dead.listen()
    (sock,) = listen(f"unix:{tmp_path}/s")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(sock.getsockname())


@pytest.mark.parametrize("backlog", [10, 0])
def test_a_living_one_is_left_alone(tmp_path: Path, backlog: int) -> None:
    with socket.socket(socket.AF_UNIX) as living, socket.socket(socket.AF_UNIX) as client:
        living.bind(f"{tmp_path}/s")
        living.listen(backlog)
        client.connect(f"{tmp_path}/s")  # with a queue of none it is full now: asking must not wait for ever
        with pytest.raises(StartError, match="in use"):
            sockets.listeners(settings(bind=[f"unix:{tmp_path}/s"]))
    assert (tmp_path / "s").exists()


RIVAL = f"""
import sys
sys.path.append({SOURCES!r})
from corepod.supervisor.launch import sockets
sockets.LOCK_TRIES = 10_000  # one that has the lock may have to wait for a core
kept = []
for path in sys.argv[1:]:
    sys.stdin.readline()
    try:
        kept.append(sockets.open_socket("unix:" + path, 0o600, 5, "--control"))
        print("mine", flush=True)
    except sockets.StartError:
        print("taken", flush=True)
sys.stdin.readline()
"""


def test_of_many_that_find_a_dead_one_at_the_same_time_one_gets_the_address(tmp_path: Path) -> None:
    paths = [str(tmp_path / f"s{number}") for number in range(40)]
    for path in paths:
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(path)
    command = [sys.executable, "-I", "-S", "-c", RIVAL, *paths]
    rivals = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(3)]
    for path in paths:
        for rival in rivals:
            assert rival.stdin is not None
            rival.stdin.write(b"\n")
            rival.stdin.flush()
        said = [rival.stdout.readline() for rival in rivals if rival.stdout is not None]
        assert sorted(said) == [b"mine\n", b"taken\n", b"taken\n"], path
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)
    for rival in rivals:
        rival.communicate()


def test_who_holds_the_folder_does_not_keep_a_pool_from_starting(
    listen: Callable[..., list[socket.socket]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "LOCK_TRIES", 3)
    folder = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    listen(f"unix:{tmp_path}/s")
    os.close(folder)
    assert is_taken_in(f"{tmp_path}/s", socket.AF_UNIX)


def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("precious")
    with pytest.raises(StartError):
        sockets.listeners(settings(bind=[f"unix:{tmp_path}/s"]))
    assert (tmp_path / "s").read_text() == "precious"


def test_the_file_goes_with_the_socket(tmp_path: Path) -> None:
    sockets.close(sockets.listeners(settings(bind=[f"unix:{tmp_path}/s"])))
    assert not (tmp_path / "s").exists()


def test_the_file_of_a_successor_stays(tmp_path: Path) -> None:
    """Somebody removed ours, and the next pool has put its own there."""
    ours = sockets.listeners(settings(bind=[f"unix:{tmp_path}/s"]))
    (tmp_path / "s").unlink()
    with socket.socket(socket.AF_UNIX) as successor:
        successor.bind(f"{tmp_path}/s")
        sockets.close(ours)
        assert (tmp_path / "s").exists()


def test_a_start_that_failed_leaves_no_file(tmp_path: Path, taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[socket.socket] = []
    monkeypatch.setattr(sockets, "_opened", opened)
    with pytest.raises(StartError):
        sockets.listeners(settings(bind=[f"unix:{tmp_path}/s", f"127.0.0.1:{taken}"]))
    sockets.remove_made()
    assert not (tmp_path / "s").exists()
    assert opened
    for sock in opened:  # in real life the process ends now
        sock.close()


# The admin port


def test_no_admin_port() -> None:
    assert sockets.admin(settings(admin="none")) is None


def test_the_default_port_moves_to_the_next_free_one(taken: int) -> None:
    sock = sockets.admin(settings(admin=f"127.0.0.1:{taken}", admin_explicit=False))
    assert sock is not None
    assert taken < sock.getsockname()[1] < taken + sockets.NEXT_PORTS
    sock.close()


def test_a_chosen_port_does_not_move(taken: int) -> None:
    with pytest.raises(StartError, match="in use"):
        sockets.admin(settings(admin=f"127.0.0.1:{taken}"))


def test_an_address_that_is_not_there_is_no_reason_to_move() -> None:
    with pytest.raises(StartError, match="no such address"):
        sockets.admin(settings(admin="192.0.2.1:9000", admin_explicit=False))


def test_no_port_is_free(monkeypatch: pytest.MonkeyPatch, taken: int) -> None:
    monkeypatch.setattr(sockets, "NEXT_PORTS", 1)
    with pytest.raises(StartError, match="in use, and so are the next 0"):
        sockets.admin(settings(admin=f"127.0.0.1:{taken}", admin_explicit=False))


def test_a_unix_socket_as_admin_port(tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/s"
    sock = sockets.admin(settings(admin=address))
    assert sock is not None
    with pytest.raises(StartError, match="in use"):
        sockets.admin(settings(admin=address))
    sockets.close([sock])


# Sockets that were handed over


HANDED = f"""
import fcntl, os, sys
sys.path.append({SOURCES!r})
for place, fd in enumerate([fcntl.fcntl(int(fd), fcntl.F_DUPFD, 50) for fd in sys.argv[1:]], start=3):
    os.dup2(fd, place)
if os.environ["LISTEN_PID"] == "mine":
    os.environ["LISTEN_PID"] = str(os.getpid())
from corepod.supervisor.launch import sockets
from corepod.supervisor.settings import Settings
settings = Settings({{"bind": [], "backlog": 11, "socket_mode": None}})
try:
    made = sockets.listeners(settings)
    print([(s.fileno(), sockets.name(s), s.proto, sockets.queue(s)) for s in made])
except sockets.StartError as error:
    print(error)
print([name for name in os.environ if name.startswith("LISTEN_")])
"""


def hand_over(fds: list[int], pid: str = "mine", count: str | None = None) -> list[str]:
    """What a process makes of these descriptors, which it finds from 3 on."""
    environment = {"LISTEN_PID": pid, "LISTEN_FDS": count or str(len(fds)), "LISTEN_FDNAMES": "web"}
    command = [sys.executable, "-I", "-S", "-c", HANDED, *map(str, fds)]
    done = subprocess.run(
        command, env=environment, pass_fds=fds, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_handed_over() -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.socket() as two:
        two.bind(("127.0.0.1", 0))
        made, left = hand_over([one.fileno(), two.fileno()])
        expected = [
            (fd, f"127.0.0.1:{sock.getsockname()[1]}", socket.IPPROTO_TCP, {"length": 0, "limit": 11})
            for fd, sock in ((3, one), (4, two))
        ]
        assert eval(made) == expected
    assert left == "[]"


def test_handed_over_to_somebody_else() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert hand_over([server.fileno()], pid="1") == ["[]", "[]"]


@pytest.mark.parametrize("count", ["nonsense", "-1", "0"])
def test_a_count_that_is_none(count: str) -> None:
    assert hand_over([], count=count) == ["[]", "[]"]


def test_what_is_handed_over_is_no_socket(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        told, _ = hand_over([file.fileno()])
    assert told.startswith("descriptor 3 of LISTEN_FDS=1 is no socket")


def test_what_is_handed_over_is_no_stream() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.bind(("127.0.0.1", 0))
        told, _ = hand_over([datagrams.fileno()])
    assert told.endswith("is no stream socket")
