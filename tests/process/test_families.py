"""All addresses, `*`, are those of IPv4 and IPv6, whichever of them there are, and peers have plain addresses."""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from corepod.config.spec import BY_NAME
from corepod.local.front import build, haproxy
from corepod.local.front.configuration import Found, Server
from corepod.local.front.targets import LIMITS, Target

from tests.deploy.render import chart, find
from tests.plugins.needs import program
from tests.process.haproxy import haproxy as running
from tests.process.harness import APPS, CLIENT, Pool
from tests.process.nameserver import nameserver
from tests.process.netns import IPV4, IPV6, needs_root, network
from tests.process.operator.harness import Operator
from tests.process.test_front_dns import statuses
from tests.waiting import DEADLINE, until
from tools.fakeapi import FakeApi
from tools.fakeapi.objects import deployment, node, pod

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Start = Callable[..., Pool]

pytestmark = [pytest.mark.root, needs_root]
FLAGS = ("--pin", "never", "--lame-duck", "0", "--crash-budget", "1000/60", "--control", "none")
LOOPBACK = {"192.0.2.10": "127.0.0.1", "2001:db8::10": "::1"}


class Pod(Pool):
    """As the image starts it, with its default addresses, in a network of its own."""

    def words(self, command: str, app: str, *args: str) -> list[str]:
        return [sys.executable, "-m", "corepod", "pid1", app, *FLAGS, *args]

    def _addresses(self) -> tuple[int, int]:
        until(lambda: " admin on " in self.log or self._ended(), lambda: f"the first line of the log: {self.log}")
        assert not self._ended(), self.log
        return 8000, 9000


def at(host: str, port: int, path: str = "/", client: str = "") -> httpx.Response:
    """The answer to a request from this address of the client, by default the kernel's choice."""
    transport = httpx.HTTPTransport(local_address=client or None)
    with httpx.Client(transport=transport, timeout=DEADLINE, trust_env=False) as asking:
        return asking.get(f"http://{f'[{host}]' if ':' in host else host}:{port}{path}")


def corepod(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "corepod", *words]
    return subprocess.run(command, capture_output=True, text=True, cwd=APPS, timeout=2 * DEADLINE, check=False)


def forbid_ipv6() -> None:
    """From now on no socket of IPv6 can be made here and in what is executed, as on a kernel without it."""
    number, arch = {"x86_64": (41, 0xC000003E), "aarch64": (198, 0xC00000B7)}.get(os.uname().machine, (0, 0))
    steps = (
        (0x20, 0, 0, 4),  # load the architecture
        (0x15, 0, 4, arch),  # another one: allow
        (0x20, 0, 0, 0),  # load the number of the call
        (0x15, 0, 2, number),  # not socket(2): allow
        (0x20, 0, 0, 16),  # load the family
        (0x15, 1, 0, 10),  # AF_INET6: fail
        (0x06, 0, 0, 0x7FFF0000),
        (0x06, 0, 0, 0x00050000 | errno.EAFNOSUPPORT),
    )
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps), 8 * len(steps))
    libc = ctypes.CDLL(None, use_errno=True)
    given = struct.pack("HxxxxxxQ", len(steps), ctypes.addressof(program))
    NO_NEW_PRIVS, SECCOMP, FILTER = 38, 22, 2
    if not number or libc.prctl(NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(SECCOMP, FILTER, given, 0, 0):
        raise OSError(errno.ENOSYS, "no seccomp here")


@pytest.mark.parametrize(
    ("addresses", "sysctl", "options", "shown"),
    [
        ((IPV4, IPV6), "", {}, "*"),
        ((IPV4, IPV6), "net.ipv6.bindv6only=1", {}, "*"),
        ((IPV6,), "", {}, "*"),
        ((IPV4,), "", {}, "*"),
        ((IPV4,), "", {"preexec_fn": forbid_ipv6}, "0.0.0.0"),
    ],
    ids=["both", "bindv6only", "IPv6 only", "IPv6 switched off", "no IPv6 in the kernel"],
)
def test_a_pod_answers_on_all_addresses_there_are(
    start: Start, addresses: tuple[str, ...], sysctl: str, options: dict[str, Any], shown: str
) -> None:
    with network(*addresses, sysctl=sysctl):
        pool = start("peer:app", "--access-log", kind=Pod, **options).ready()
        assert pool.status()["binds"] == [f"{shown}:8000"]
        assert f"admin on {shown}:9000" in pool.log
        for address in addresses:
            body = at(address, 8000).json()
            assert (body["client"][0], body["server"]) == (address, [address, 8000])
            assert at(address, 9000, "/readyz").status_code == 200
            # An IPv4 client is known as such: the loopback sees what others don't.
            assert at(address, 9000, "/status").status_code == 403
            assert at(LOOPBACK[address], 9000, "/status").status_code == 200
            pool.until_log(f"{address} - - [")
        assert "::ffff:" not in pool.log
        pool.kill_worker()
        assert at(addresses[-1], 8000).status_code == 200
        assert pool.stop() == 0


@pytest.mark.parametrize("http", ["auto", "h11"])
def test_a_trusted_proxy_is_found_by_its_ipv4_address(start: Start, http: str) -> None:
    """By both servers, and hosts of the other family aren't."""
    with network(IPV4, IPV6):
        start("peer:app", "--http", http, "--trusted-proxies", "192.0.2.0/24", kind=Pod).ready()
        forwarded = {"X-Forwarded-For": "203.0.113.7"}
        seen = {
            address: CLIENT.get(f"http://{host}:8000/", headers=forwarded).json()["client"][0]
            for address, host in ((IPV4, IPV4), (IPV6, f"[{IPV6}]"))
        }
        assert seen == {IPV4: "203.0.113.7", IPV6: IPV6}


def test_the_commands_speak_ipv6(start: Start) -> None:
    with network(IPV6):
        start("peer:app", kind=Pod).ready()
        done = corepod("hit", f"http://[{IPV6}]:8000/", "-n", "3")
        assert done.returncode == 0, done.stderr
        # Not for one family only: what listens on * has the port of both.
        for bind in ("*:8000", "[::1]:8000", "127.0.0.1:8000"):
            done = corepod("check", "peer:app", "--bind", bind, "--admin", "none", "--name", "another")
            assert f"can't listen on {bind}: it is in use" in done.stdout


@pytest.mark.parametrize("addresses", [(IPV6,), (IPV6, IPV4)], ids=["IPv6 only", "both"])
def test_the_operator_reads_and_hears_pods_of_ipv6(start: Start, tmp_path: Path, addresses: tuple[str, ...]) -> None:
    """The death is reported from the last of the pod's addresses, and read at the first."""
    with network(*addresses), FakeApi() as api, ExitStack() as stack:
        api.store.put("nodes", node("a", "4"))
        api.store.put("deployments", deployment("web", paused="true"))
        operator = Operator(api, "--admin", "*:9100", "--notify", "*:9001", folder=tmp_path)
        stack.callback(operator.close)
        operator.ready()
        assert "admin *:9100, notify *:9001" in operator.log
        for address in addresses:
            assert at(address, 9100, "/readyz").status_code == 200
            assert at(address, 9100, "/status").status_code == 403
            assert at(LOOPBACK[address], 9100, "/status").status_code == 200
        host = f"[{IPV6}]" if addresses[-1] == IPV6 else IPV4
        pool = start("peer:app", "--notify", f"{host}:9001", kind=Pod).ready()
        placed = pod("web-1", "a", owner="web", ip=IPV6)
        placed["status"]["podIPs"] = [{"ip": address} for address in addresses]
        api.store.put("pods", placed)
        until(lambda: operator.metric("pods_read_total") >= 1, "a first read, by itself")
        pool.kill_worker()
        until(lambda: operator.metric("restarts_published_total") >= 1, lambda: operator.log)
        found = api.store.get("pods", "default", "web-1")
        assert found is not None
        assert found["metadata"]["annotations"]["corepod.dev/worker-restarts-total"] == "1"


@pytest.mark.parametrize("addresses", [(IPV6,), (IPV6, IPV4), (IPV4,)], ids=["IPv6 only", "both", "IPv4 only"])
def test_a_front_finds_pods_of_either_family(start: Start, tmp_path: Path, addresses: tuple[str, ...]) -> None:
    """DNS has each pod once for each family, and it is one server for the front."""
    with network(*addresses), ExitStack() as stack:
        start("peer:app", "--trusted-proxies", "none", kind=Pod).ready()
        dns = stack.enter_context(nameserver())
        front = stack.enter_context(running(tmp_path / "front", configuration(dns.port), 8080, 8404))
        dns.say(addresses)
        until(lambda: statuses(front) == ["UP"], lambda: f"{statuses(front)}: {front.output}")
        dns.more(40)
        assert statuses(front) == ["UP"]
        for address in addresses:
            assert at(address, 8080).json()["reported"] == address
            assert at(address, 8404, "/healthz").status_code == 200


@pytest.mark.parametrize("there", ["/proc/net/if_inet6", "/proc/net/no_ipv6"], ids=["IPv6", "no IPv6 in the kernel"])
@pytest.mark.parametrize("kernel", [True, False], ids=["", "without"])
def test_the_charts_front_starts_where_it_finds_no_ipv6(tmp_path: Path, there: str, kernel: bool) -> None:
    """Its command as it stands in the pod. A front that finds what the kernel refuses is the control."""
    objects = chart({"front": {"enabled": True}})
    container = find(objects, "Deployment", "corepod-front")["spec"]["template"]["spec"]["containers"][0]
    written = tmp_path / "haproxy.cfg"
    written.write_text(find(objects, "ConfigMap", "corepod-front")["data"]["haproxy.cfg"])
    [script] = container["args"]
    for old, new in (
        ("/proc/net/if_inet6", there),
        ("/usr/local/etc/haproxy/haproxy.cfg", str(written)),
        ("haproxy -W", f"{program('haproxy')} -W"),
    ):
        assert script.count(old) == 1
        script = script.replace(old, new)
    variables = {"PODS": "pods.test", "SERVICE_IP": "127.0.0.1", "SERVICE_PORT": "80"}
    log = tmp_path / "log"
    with network(IPV4, IPV6), log.open("wb") as output:
        process = subprocess.Popen(
            [*container["command"], script],
            env={**os.environ, **variables},
            stdout=output,
            stderr=output,
            preexec_fn=None if kernel else forbid_ipv6,
        )
        try:
            if not kernel and there == "/proc/net/if_inet6":
                assert process.wait(DEADLINE) != 0
                return
            until(lambda: process.poll() is not None or answers(IPV4), lambda: log.read_text())
            assert process.poll() is None, log.read_text()
            assert answers(IPV6) is (there == "/proc/net/if_inet6"), log.read_text()
        finally:
            process.terminate()
            process.wait(DEADLINE)


def answers(host: str) -> bool:
    try:
        return at(host, 8404, "/healthz").status_code == 200
    except httpx.ConnectError:
        return False


def configuration(dns: int) -> str:
    """The chart's, for a name server that is asked ten times a second."""
    target = Target(Server("x", "x:1", "x", 1), {name: float(BY_NAME[name].default) for name in LIMITS})
    asked = build.Asked(("*:8080",), "*:8404", "defined(IPV6)")
    found = Found("pods.test", "8000", "9000", "5", "127.0.0.1:8000")
    written = haproxy.render(replace(build.configuration(asked, [target]), servers=found))
    for old, new in (
        ("parse-resolv-conf", f"nameserver test 127.0.0.1:{dns}"),
        ("timeout resolve 1s", "timeout resolve 100ms"),
        ("hold valid 1s", "hold valid 100ms"),
        ("hold obsolete 10s", "hold obsolete 1s"),  # answers without the address would take the pod out soon
        (f" fall {haproxy.FALL} ", " fall 1000 "),  # a busy machine may pause the pool
        ("defined(IPV6)", "defined(PATH)"),  # there is one
    ):
        assert old in written
        written = written.replace(old, new)
    return written
