"""Asks all pools of this user at once, so that one that doesn't answer holds up no other."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from corepod.local.client import Foreign, Gone, Refused, Unreachable, running

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from corepod.local.client import Client

AT_ONCE = 16


@dataclass(frozen=True)
class Found:
    """A socket and what answers there: `status` is None where `fault` says why."""

    client: Client
    status: dict[str, Any] | None
    fault: Unreachable | None = None

    @property
    def gone(self) -> bool:
        """Whether its pool was killed."""
        return isinstance(self.fault, Gone)


def survey(clients: Sequence[Client] | None = None) -> list[Found]:
    """What is found at these addresses, by default at all of this user; what belongs to others is left out."""
    asked = running() if clients is None else clients
    if not asked:
        return []
    with ThreadPoolExecutor(min(AT_ONCE, len(asked))) as threads:
        return [found for found in threads.map(_look, asked) if not isinstance(found.fault, Foreign)]


def _look(client: Client) -> Found:
    try:
        return Found(client, client.get("/status"))
    except Refused as refused:
        return Found(client, None, Unreachable(str(refused)))
    except Unreachable as fault:
        return Found(client, None, fault)
