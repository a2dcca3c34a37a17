"""Probes can fail: each for what a restart helps against, or doesn't."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any, cast

import pytest
from corepod.operator.admin.status import STUCK, Parts, why_not_alive, why_not_ready

QUIET = 130.0


def parts(
    *,
    loop: float = 0.0,
    watch: float = 0.0,
    silence: float = 0.0,
    error: str = "",
    complete: bool = True,
    fault: str = "",
    hangs: str = "",
    ended: bool = False,
    lease: str = "",
) -> Parts:
    """What is looked at: seconds since the loop and a watch did something and since the API server was heard."""
    now = time.monotonic()
    kind = SimpleNamespace(plural="nodes")
    store = SimpleNamespace(synced=complete, error="403 Forbidden")
    known = SimpleNamespace(
        complete=complete,
        active_at=now - watch,
        silence=lambda _: silence,
        reflectors=[SimpleNamespace(kind=kind, store=store)],
    )
    rest: Any = None
    return Parts(
        rest,
        cast("Any", known),
        cast("Any", SimpleNamespace(alive_at=now - loop, error=error)),
        rest,
        rest,
        cast("Any", SimpleNamespace(ended=ended, stopped=False, why_not_held=lambda: lease)),
        rest,
        rest,
        cast("Any", SimpleNamespace(why_not_alive=lambda: hangs, why_not_ready=lambda: fault)),
        QUIET,
    )


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({}, ""),
        ({"loop": STUCK - 1}, ""),
        ({"loop": STUCK + 1}, "the control loop has been stuck"),
        ({"watch": STUCK + QUIET - 1}, ""),
        ({"watch": STUCK + QUIET + 1}, "a reflector has been stuck"),
        ({"hangs": "the thread reader 0 has been stuck for 60 s"}, "reader 0 has been stuck"),
        ({"ended": True}, "the leader election has ended"),
        # It is replaced, which a restart would do no better.
        ({"fault": "the thread reader 0 has ended"}, ""),
        # A restart wouldn't bring the API server back.
        ({"lease": "the Lease couldn't be renewed"}, ""),
        ({"silence": 1e6}, ""),
        ({"complete": False}, ""),
        ({"error": "Traceback"}, ""),
    ],
    ids=str,
)
def test_alive(how: dict[str, Any], words: str) -> None:
    said = why_not_alive(parts(**how))
    assert words in said
    assert bool(words) == bool(said)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({}, ""),
        ({"silence": QUIET - 1}, ""),
        ({"silence": QUIET + 1}, "no contact to the API server"),
        ({"complete": False}, "nodes: 403 Forbidden"),
        ({"lease": "the Lease couldn't be renewed for 20 s"}, "couldn't be renewed for 20 s"),
        ({"error": "Traceback"}, "the last decision failed"),
        ({"fault": "the thread reader 0 has ended"}, "reader 0 has ended"),
    ],
    ids=str,
)
def test_ready(how: dict[str, Any], words: str) -> None:
    said = why_not_ready(parts(**how))
    assert words in said
    assert bool(words) == bool(said)
