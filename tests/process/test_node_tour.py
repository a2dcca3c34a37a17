"""Every command of docs/from-node-cluster.md, as it stands there and in its order, with what the page shows for it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.process.background import machine
from tests.process.harness import running
from tests.process.traffic import held_ports
from tests.redisserver import redis_server
from tests.waiting import DEADLINE, until

if TYPE_CHECKING:
    from tests.process.background import Machine

PAGE = (Path(__file__).parents[2] / "docs" / "from-node-cluster.md").read_text()
COMMANDS = re.findall(r"^    (.+)$", re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL), re.MULTILINE)
SHOP = re.search(r"<!-- shop.py -->\n\n```python\n(.*?)```", PAGE, re.DOTALL)[1]  # type: ignore[index]
REPORTS = 'for i in 1 2 3 4; do curl -s "localhost:8000/generate-report?size=20000" | cut -c 1-40 & done; wait'
METRICS = "curl -s localhost:9000/metrics | grep restarts_total.*[1-9]$"
LOST = 'curl -sS "localhost:8000/crash?mode=exit"'
# What is seen, as a regular expression.
SEEN = [
    (
        "COREPOD_DEMO_CRASH=1 corepod start corepod.demo:app --name tour -w 2",
        r"^tour is ready on http.* \(admin .*log: ",
    ),
    ("corepod ps", r"tour +ready +2/2 +0 "),
    (
        "ps -eo pid,ppid,args | grep '[c]orepod: '",
        # In any order: it is that of the pids.
        "".join(
            f"(?=.*: {who} of tour )"
            for who in ("supervisor", "template", "worker 1 slot 0", "worker 2 slot 1", "standby")
        ),
    ),
    ("corepod top tour --once", r"tour +ready +2 of 2 slots ready.*SLOT.* CORE +USE .*FLIGHT +RESTARTS"),
    ("curl -s localhost:8000/whoami", r'\{"pid":\d+,"slot":[01],"worker":[12],'),
    (REPORTS, r'(\{"pid":\d+,"slot":\d,"worker":\d.*){4}'),
    (
        'corepod hit "http://localhost:8000/generate-report?size=20000" -c 4 -n 3',
        r"client +request +latency.*12 of 12 answered",
    ),
    ("kill -9 PID", ""),
    ("curl -s localhost:8000/whoami", r'\{"pid":\d+,"slot":[01],"worker":[123],'),
    (LOST, r"\(52\) Empty reply from server"),
    (
        "corepod events tour",
        r"(?=.*died: signal SIGKILL )(?=.*died: exit code 1 .* lost 1 in flight: GET /crash ).*died: .*\] ready",
    ),
    ("corepod logs tour -n 5", r"died: .*ready"),
    ("corepod describe tour", r"2 ready of 2; 2 restart\(s\).*Last exits.*SIGKILL"),
    (
        "for i in 1 2 3; do curl -s -X POST localhost:8000/counter | cut -c 1-20; done",
        r'("count":\d,.*){3}',  # a worker may hear of what the other has counted after its own answer
    ),
    ("curl -s localhost:8000/counter", r'"count":3,'),
    ("corepod start shop:app --name shop -w 2 --bind 127.0.0.1:8001 --admin none", r"^shop is ready on http"),
    ("curl -s localhost:8001/ask/0", r"^\d+ (leads|follows)$"),
    ("curl -s localhost:8001/ask/1", r"^\d+ (leads|follows)$"),
    ("for i in 1 2 3; do curl -s localhost:8001/visits/ann; done", r"visit 1, answered by \d+\nvisit 2, .*visit 3, "),
    ("curl -s localhost:9000/readyz", r"^ok$"),
    (
        METRICS,
        r'reason="exit code 1"\} 1.*reason="signal SIGKILL"\} 1|reason="signal SIGKILL"\} 1.*reason="exit code 1"\} 1',
    ),
    ("corepod reload tour --wait", r"^tour: reloaded 2 slot\(s\) in "),
    ("corepod restart tour/0", r"^tour/0: worker \d+ \(pid \d+\) has taken over"),
    ("corepod scale tour +1", r"^tour: 2 -> 3 slots"),
    ("corepod scale tour -1", r"^tour: 3 -> 2 slots"),
    ("corepod stop shop", r"^shop: stopped in "),
    ("corepod stop tour", r"^tour: stopped in "),
]
# They are tried again until it is seen: a death, for one, is known a moment after the kill, and a worker that the
# machine pauses for a second isn't ready then.
AGAIN = (
    "ps -eo",
    "curl -s localhost:8000/counter",
    "curl -s localhost:9000/readyz",
    *(f"corepod {look}" for look in ("ps", "top", "events", "logs", "describe")),
    METRICS,
)
CODES = {LOST: 52}


def test_every_command_of_the_page_is_tried() -> None:
    assert [command for command, _ in SEEN] == COMMANDS


class Terminal:
    """Runs a command of the page, with ports and names that no other pool of this machine has."""

    def __init__(self, user: Machine, folder: Path, ports: list[int]) -> None:
        self.folder, self.suffix = folder, user.name.partition("-")[2]
        self.ports = dict(zip(("8000", "8001", "9000"), ports, strict=True))
        program = Path(sys.executable).with_name("corepod")
        self.environment = {
            **user.environment,
            "PATH": f"{program.parent}:{os.environ['PATH']}",
            "COREPOD_PIN": "never",
            "COREPOD_SHARED_TIMEOUT": "30",  # a busy machine may pause any process
            "TMPDIR": str(folder),
            "STATE_DIRECTORY": "",
        }
        self.pid = ""

    def run(self, command: str) -> str:
        own = re.sub(r"\b(tour|shop)\b(?!:app)", rf"\1-{self.suffix}", command).replace("PID", self.pid)
        for shown, port in self.ports.items():
            own = own.replace(f":{shown}", f":{port}")
        mine = {"COREPOD_BIND": f"127.0.0.1:{self.ports['8000']}", "COREPOD_ADMIN": f"127.0.0.1:{self.ports['9000']}"}
        words: Any = ["bash", "-c", own]
        with (self.folder / "output").open("wb") as output:  # no pipe: a pool in the background would hold it open
            done = subprocess.run(
                words,
                cwd=self.folder,
                env={**self.environment, **mine},
                stdout=output,
                stderr=output,
                timeout=3 * DEADLINE,
                check=False,
            )
        text = (self.folder / "output").read_text().replace(f"-{self.suffix}", "")
        assert done.returncode == CODES.get(command, 0), (command, text)
        if "whoami" in command and (found := re.search(r'"pid":(\d+)', text)):
            self.pid = found[1]
        return text

    def see(self, command: str, expected: str) -> str:
        """Run it until the fact is seen, where that may take a moment; returns what it prints."""
        seen = [self.run(command)]

        def fits() -> bool:
            if re.search(expected, seen[-1], re.DOTALL) is None:
                seen.append(self.run(command))
            return re.search(expected, seen[-1], re.DOTALL) is not None

        if command.startswith(AGAIN):
            until(fits, lambda: f"{command}: {seen[-1]}")
        else:
            assert re.search(expected, seen[0], re.DOTALL), (command, seen[0])
        return seen[-1]


@pytest.mark.serial
@pytest.mark.timeout(480)
def test_the_tour(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(SHOP)
    with held_ports(3) as ports, machine(tmp_path) as user:
        del user.environment["COREPOD_NAME"]
        terminal = Terminal(user, tmp_path, ports)
        answers = [terminal.see(command, expected) for command, expected in SEEN]
        asked = [answer.split() for (command, _), answer in zip(SEEN, answers, strict=True) if "/ask/" in command]
        # The lead is taken by the first worker that is asked.
        assert [role for _, role in asked] == ["leads", "follows"]
        assert asked[0][0] != asked[1][0]
        assert user.supervisors() == []


def test_the_example_with_redis(tmp_path: Path) -> None:
    """The application of the page in two pools, which count together where both have the page's line."""
    (tmp_path / "shop.py").write_text(SHOP)
    (line,) = re.findall(r"^shared = .*$", PAGE, re.MULTILINE)
    with redis_server(tmp_path / "redis") as server, ExitStack() as stack:
        (tmp_path / "corepod.toml").write_text(line.replace(":6379", f":{server.port}") + "\n")
        arguments = ("-w", "1", "--pin", "never", "--standby", "none", "--shared-timeout", "30")
        pools = [
            stack.enter_context(running("shop:app", *arguments, log=tmp_path / f"{number}.log", cwd=tmp_path)).ready()
            for number in range(2)
        ]
        answers = [pool.get("/visits/ann").text for pool in (*pools, pools[0])]
        assert [answer.partition(",")[0] for answer in answers] == ["visit 1", "visit 2", "visit 3"]
