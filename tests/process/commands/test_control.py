"""Who may use a control socket and who is believed at one, and where it is when there is hardly a place for it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from corepod.supervisor.admin.server import MOST

from tests.process.anotheruser import python_of
from tests.process.commands.client import QUICK, address, corepod, words
from tests.process.container import Container, without_private_mounts
from tests.process.harness import APPS, raw
from tests.process.traffic import stopped
from tests.waiting import DEADLINE, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.process.harness import Pool

    Start = Callable[..., Pool]

NOBODY = 65534
ASK = b"GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n"


def at(place: str) -> str:
    """An address as the socket functions have it."""
    return "\0" + place[1:] if place.startswith("@") else place


@contextlib.contextmanager
def asking(place: str, data: bytes = ASK) -> Iterator[socket.socket]:
    """A connection on which this has been sent."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(DEADLINE)
        sock.connect(at(place))
        sock.sendall(data)
        yield sock


def told(place: str, data: bytes = ASK) -> bytes:
    """What is answered there."""
    with asking(place, data) as sock:
        return answer(sock)


def answer(sock: socket.socket) -> bytes:
    return b"".join(iter(lambda: sock.recv(65536), b""))


def told_to(uid: int, place: str) -> tuple[str, str]:
    """What a process of this user is told there: the data, and its exception."""
    python, environment = python_of(uid)
    script = f"""
import socket
try:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout({DEADLINE})
        sock.connect({at(place)!r})
        sock.sendall({ASK!r})
        print(sock.recv(65536).decode())
except OSError as error:
    print(type(error).__name__)
"""
    command = [python, "-c", script]
    done = subprocess.run(
        command, user=uid, group=uid, extra_groups=[], env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout, done.stderr


@pytest.fixture
def shop(start: Start) -> Pool:
    return start("ok:app", "--name", "shop", "--workers", "1", *QUICK).ready()


# Who may


def test_its_modes(shop: Pool, runtime: Path) -> None:
    assert stat.S_IMODE(os.stat(address(runtime)).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(runtime / "corepod").st_mode) == 0o700


@pytest.mark.root
def test_another_user_can_not_connect(shop: Pool, runtime: Path) -> None:
    os.chmod(runtime, 0o755)
    os.chmod(runtime / "corepod", 0o755)
    out, err = told_to(NOBODY, address(runtime))
    assert (out.strip(), err) == ("PermissionError", "")


@pytest.mark.root
@pytest.mark.parametrize("abstract", [False, True])
def test_another_user_who_could_connect_is_not_answered(start: Start, runtime: Path, abstract: bool) -> None:
    """The mode doesn't hold everybody off: an abstract name has none, and somebody may have changed that of a file."""
    place = f"@corepod-test-{os.getpid()}" if abstract else address(runtime)
    flags = ("--control", place) if abstract else ()
    start("ok:app", "--name", "shop", "-w", "1", *QUICK, *flags).ready()
    if not abstract:
        for path, mode in ((runtime, 0o755), (runtime / "corepod", 0o755), (address(runtime), 0o666)):
            os.chmod(path, mode)
    out, err = told_to(NOBODY, place)
    assert err == ""
    assert out.strip() in ("", "ConnectionResetError", "BrokenPipeError")
    assert told_to(0, place)[0].startswith("HTTP/1.1 200 OK")  # the same, asked by the owner
    assert told(place).startswith(b"HTTP/1.1 200 OK")


@pytest.mark.root
def test_root_may_steer_the_pool_of_a_user(tmp_path: Path, runtime: Path) -> None:
    python, environment = python_of(NOBODY)
    os.chown(runtime, NOBODY, NOBODY)
    environment = {**environment, "PYTHONPATH": f"{environment['PYTHONPATH']}{os.pathsep}{APPS}"}
    place, log = f"{runtime}/c", tmp_path / "log"
    command = [python, "-m", "corepod", "run", "ok:app", "--bind", "127.0.0.1:0", "--admin", "none", "-w", "1", *QUICK]
    with log.open("wb") as file:
        pool = subprocess.Popen(
            [*command, "--control", place],
            user=NOBODY, group=NOBODY, extra_groups=[], env=environment, cwd="/", stdout=file, stderr=file,
        )  # fmt: skip
    try:
        until(lambda: "] ready" in log.read_text() or pool.poll() is not None, "it is ready", 2 * DEADLINE)
        assert pool.poll() is None, log.read_text()
        assert corepod("stop", place).code == 0
        assert pool.wait(DEADLINE) == 0
    finally:
        if pool.poll() is None:
            pool.kill()
            pool.wait()


@pytest.mark.root
def test_another_user_who_listens_at_our_name_is_not_believed(runtime: Path) -> None:
    """Anybody can take an abstract name, and say what he likes there."""
    name = f"squat-{os.getpid()}"
    place = f"@corepod-{os.geteuid()}/{name}.sock"
    with _squatter(NOBODY, place):
        assert name not in {found["name"] for found in corepod("ps", "--json").document}
        done = corepod("stop", name)
        assert done.code == 8
        assert f"no pool called {name} runs here" in done.err
        named = corepod("describe", place)
        assert named.code == 8
        assert "another user listens at" in named.err
    with _squatter(os.geteuid(), place):  # a process of our own is believed
        (found,) = (found for found in corepod("ps", "--json").document if found["name"] == name)
        assert found["state"] == "silent"  # what it says is no status


@contextlib.contextmanager
def _squatter(uid: int, place: str) -> Iterator[None]:
    python, environment = python_of(uid)
    script = f"""
import contextlib, socket
with socket.socket(socket.AF_UNIX) as sock:
    sock.bind({at(place)!r})
    sock.listen()
    print("there", flush=True)
    while True:
        connection, _ = sock.accept()
        with connection, contextlib.suppress(OSError):
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 404 No\\r\\nContent-Length: 0\\r\\n\\r\\n")
"""
    process = subprocess.Popen(
        [python, "-c", script], user=uid, group=uid, extra_groups=[], env=environment, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "there\n"
        yield
    finally:
        process.kill()
        process.communicate(timeout=DEADLINE)


def test_the_admin_port_takes_no_commands(shop: Pool) -> None:
    for request in (b"POST /reload", b"POST /stop?now=1", b"POST /scale?to=9"):
        answer = raw(shop.admin_port, request + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 405 ")
    for path in (b"/events", b"/settings", b"/log", b"/slot?slot=0"):
        assert raw(shop.admin_port, b"GET " + path + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")[9:12] == b"404"
    assert len(shop.ready().status()["slots"]) == 1


# What is sent


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n", 200),
        (b"GET /events?after=x HTTP/1.1\r\nHost: x\r\n\r\n", 200),
        (b"GET /events?after=" + b"9" * 4000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 200),
        (b"GET /reload HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        (b"POST /events HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        (b"POST /nothing HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (b"POST /restart HTTP/1.1\r\nHost: x\r\n\r\n", 409),
        (b"POST /restart?slot=-1 HTTP/1.1\r\nHost: x\r\n\r\n", 409),
        (b"POST /restart?slot=" + b"9" * 5000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 409),
        (b"POST /scale?to=" + b"9" * 5000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 409),
        (b"POST /scale?to=\xb2 HTTP/1.1\r\nHost: x\r\n\r\n", 409),
        (b"GET /slot HTTP/1.1\r\nHost: x\r\n\r\n", 409),
        (b"GET /slot?slot=1 HTTP/1.1\r\nHost: x\r\n\r\n", 409),
        (b"GET /log?slot=x HTTP/1.1\r\nHost: x\r\n\r\n", 200),
        (b"GET /log?slot=" + b"9" * 5000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 200),
        (b"POST /scale?to=3 HTTP/1.1\r\n\r\n", 400),
        (b"POST /scale?to=3 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", 400),
        (b"POST /scale?to=3 SMTP\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00", 400),
        (b"POST /" + b"x" * 9000, 431),
    ],
)
def test_requests_of_every_kind(one: Pool, data: bytes, code: int) -> None:
    answer = told(address(one.runtime), data)  # type: ignore[attr-defined]
    assert answer[9:12] == str(code).encode(), answer
    assert len(one.status()["slots"]) == 1
    assert "Traceback" not in one.log


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    """A pool of which nothing is asked that it does."""
    import tempfile
    from pathlib import Path

    from tests.process.harness import running

    with tempfile.TemporaryDirectory(prefix="rt-") as folder:
        env = {"XDG_RUNTIME_DIR": folder}
        log = tmp_path_factory.mktemp("one") / "log"
        with running("ok:app", "--name", "shop", "-w", "1", *QUICK, log=log, env=env) as pool:
            pool.runtime = Path(folder)  # type: ignore[attr-defined]
            yield pool.ready()


def test_a_head_without_a_body(shop: Pool, runtime: Path) -> None:
    head, _, body = told(address(runtime), b"HEAD /events HTTP/1.1\r\nHost: x\r\n\r\n").partition(b"\r\n\r\n")
    assert (head[:15], body) == (b"HTTP/1.1 200 OK", b"")


def test_many_clients_at_once(shop: Pool, runtime: Path) -> None:
    """Each has asked when the pool looks: one that hasn't makes room for others (see below)."""
    with contextlib.ExitStack() as stack:
        with stopped(shop.process.pid):
            asked = [stack.enter_context(asking(address(runtime))) for _ in range(4 * MOST)]
        answers = [answer(sock) for sock in asked]
    assert [whole[:15] for whole in answers] == [b"HTTP/1.1 200 OK"] * 4 * MOST


def test_slow_clients_hold_up_nobody(shop: Pool, runtime: Path) -> None:
    """Those that say nothing, those that say half, and those that don't read: others are answered all the same."""
    with contextlib.ExitStack() as stack:
        for data in (b"", b"POST /rel", ASK) * MOST:
            sock = stack.enter_context(socket.socket(socket.AF_UNIX))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.connect(address(runtime))
            with contextlib.suppress(OSError):  # cut already, because nothing came for some seconds
                sock.sendall(data)
        assert corepod("scale", "shop", "2").code == 0
        assert corepod("ps", "-q").code == 0
    assert len(shop.ready().status()["slots"]) == 2


# Where it is


@pytest.mark.root
def test_where_no_folder_can_be_written_it_is_abstract(start: Start, tmp_path: Path, runtime: Path) -> None:
    """A read-only file system, no $HOME, no runtime folder: the pool is found all the same."""
    if why := without_private_mounts():
        pytest.skip(why)
    name = f"bare-{os.getpid()}"
    made = 'mkdir -p /run && mount -t tmpfs none /run && mount -o remount,ro /run && exec "$@"'
    prefix = ("unshare", "--mount", "env", "-u", "HOME", "-u", "XDG_RUNTIME_DIR", "sh", "-c", made, "sh")
    start("ok:app", "--name", name, "-w", "1", *QUICK, prefix=prefix).ready()
    (found,) = (found for found in corepod("ps", "--json", prefix=prefix).document if found["name"] == name)
    assert found["control"] == f"@corepod-{os.geteuid()}/{name}.sock"
    assert corepod("restart", f"{name}/0", prefix=prefix).code == 0
    assert corepod("stop", name, prefix=prefix).code == 0


@pytest.mark.root
def test_in_a_container(start: Start, runtime: Path) -> None:
    """`corepod ps` and the others beside PID 1, as `kubectl exec` starts them."""
    pool = start("ok:app", "--name", "shop", *QUICK, kind=Container).ready()
    inside = ("nsenter", "--target", str(pool.supervisor), "--pid", "--mount", "--root", "--wd")
    (found,) = (
        found for found in corepod("ps", "--json", prefix=inside).document if found["control"] == address(runtime)
    )
    assert (found["pid"], found["state"], found["slots"]) == (1, "ready", 1)
    assert corepod("describe", "shop/0", prefix=inside).code == 0
    assert corepod("reload", "shop", "--wait", prefix=inside).code == 0
    # From outside its pid is another one, and the commands work, too.
    assert corepod("restart", "shop/0").code == 0
    assert corepod("stop", "shop").code == 0
    assert pool.wait() == 0


@pytest.mark.root
def test_stop_from_outside_waits_for_the_right_process(start: Start) -> None:
    """In its own pid namespace it is process 1, which here is another one."""
    pool = start("ok:app", "--name", "shop", *QUICK, kind=Container).ready()
    done = corepod("stop", "shop", "--json")
    assert done.code == 0
    assert done.document[0]["stopped"]
    assert pool.wait() == 0


def test_with_streams_closed(shop: Pool) -> None:
    """Nothing to read from or to write to is no reason to fail, or to write into another file."""
    command = [sys.executable, "-c", f"import os; [os.close(n) for n in (0, 1, 2)]; os.execv({words()[0]!r}, "]
    for args in (("ps",), ("describe", "shop"), ("scale", "shop", "2", "--json"), ("stop", "shop")):
        script = command[2] + f"{words(*args)!r})"
        done = subprocess.run([sys.executable, "-c", script], cwd=APPS, timeout=DEADLINE * 2, check=False)
        assert done.returncode == 0, args
    assert shop.wait() == 0


def test_the_socket_of_a_pool_that_begins_is_not_taken_for_a_dead_one(runtime: Path) -> None:
    """It is bound, and listens a moment later; until then its pool holds the folder's lock."""
    name = f"begins-{os.getpid()}"
    (runtime / "corepod").mkdir(0o700)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(address(runtime, name))
        lock = os.open(runtime / "corepod", os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            corepod("stop", name)
            assert os.path.exists(address(runtime, name))
        finally:
            os.close(lock)
        assert corepod("stop", name).code == 0  # nobody is about to listen
        assert not os.path.exists(address(runtime, name))


def test_a_pool_without_one_is_not_found(start: Start) -> None:
    name = f"hidden-{os.getpid()}"
    pool = start("ok:app", "--name", name, "-w", "1", *QUICK, "--control", "none").ready()
    assert json.loads(pool.admin("/status").text)["control"] == "none"
    assert corepod("stop", name).code == 8
