"""The servers that are compared, as the benchmarks start them, around an application that tells what it was given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from loadtest.bench import peers

if TYPE_CHECKING:
    from loadtest.bench.peers import Peer

APP = "loadtest.conformance.app:app"


@dataclass(frozen=True)
class Tested:
    """A server, and the suites that make no sense for it."""

    peer: Peer
    without: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        return self.peer.name

    @property
    def ours(self) -> bool:
        return self.name.startswith("corepod")


def _corepod(http: str) -> Tested:
    return Tested(peers.corepod("--http", http, standby="none", name=f"corepod, {http}").serving(APP))


SERVERS = (
    _corepod("httptools"),
    _corepod("h11"),
    Tested(peers.HYPERCORN.serving(APP)),
    Tested(peers.UVICORN_ALONE.serving(APP), without=frozenset({"http2"})),
)
