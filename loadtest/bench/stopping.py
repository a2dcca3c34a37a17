"""B11: a stop while requests are in flight, connections idle and a WebSocket open."""

from __future__ import annotations

import os
import select
import signal
import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from loadtest.bench import host, peers
from loadtest.bench.client import READ, complete, request
from loadtest.bench.held import Held, idle
from loadtest.bench.report import Table
from loadtest.bench.stats import abba

if TYPE_CHECKING:
    import socket

    from loadtest.bench.harness import Bench
    from loadtest.bench.server import Server

IN_FLIGHT, IDLE = 50, 20
SLOWEST = 0.5  # seconds that each of the requests takes
HEAD_START = 0.2  # seconds after which all of them have reached the application
LONGEST = 40.0  # seconds after which a server counts as one that doesn't stop
UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


@dataclass
class Stopped:
    """How many of the requests in flight were answered, and how long the end took, in seconds."""

    completed: int
    took: float


def stops(bench: Bench) -> list[Table]:
    """B11."""
    listed = [
        peers.corepod("--pin", "never").of(2),
        peers.GUNICORN.of(2),
        peers.UVICORN,
        peers.GRANIAN.of(2),
        peers.HYPERCORN,
    ]
    listed += [peer.of(2) for peer in peers.pm2()]

    def one(number: int) -> dict[str, Stopped]:
        found = {}
        for peer in abba(listed, number):
            with bench.running(peer) as (server,):
                found[peer.name] = _stop(server)
        return found

    done = bench.rounds("b11", bench.count(3, 9), one)
    title = f"TERM with {IN_FLIGHT} requests of {SLOWEST:g} s in flight, {IDLE} idle connections and a WebSocket"
    table = Table("b11", title, ["server", "completed", "time over the slowest request", "time (s)"])
    for peer in listed:
        results = [r[peer.name] for r in done.results]
        share = sum(r.completed for r in results) / (IN_FLIGHT * len(results))
        took = median(r.took for r in results)
        table.add(peer.name, f"{share:.0%}", f"{took / SLOWEST:.1f}", f"{took:.2f}")
        if peer.name.startswith("corepod"):
            table.goal("share of requests that corepod completes at least 1", share, 1.0, least=True)
            table.goal("its time over the slowest request at most 2", took / SLOWEST, 2.0)
    table.notes = done.notes
    return [table]


def _stop(server: Server) -> Stopped:
    family = server.family()
    with (
        idle(server.port, IDLE),
        Held(server.port, 1, UPGRADE) as _,
        Held(server.port, IN_FLIGHT, request("/slow", close=True)) as flying,
    ):
        time.sleep(HEAD_START)
        asked = time.monotonic()
        os.kill(server.pid, signal.SIGTERM)
        completed = sum(_answered(flying.socks, asked + LONGEST))
        while any(map(host.alive, family)) and time.monotonic() < asked + LONGEST:
            host.reap()
            time.sleep(0.005)
        return Stopped(completed, time.monotonic() - asked)


def _answered(socks: list[socket.socket], by: float) -> list[bool]:
    """Whether each has had a whole 200 before its end."""
    answers = {sock: b"" for sock in socks}
    left = set(socks)
    while left and (patience := by - time.monotonic()) > 0:
        for sock in select.select(list(left), [], [], patience)[0]:
            try:
                data = sock.recv(READ)
            except OSError:
                data = b""
            answers[sock] += data
            if not data or complete(answers[sock]):
                left.discard(sock)
    return [complete(answer) and b" 200 " in answer[:16] for answer in answers.values()]
