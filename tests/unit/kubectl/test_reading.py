"""What a pod says of itself is understood, and nothing that it says can do harm."""

from __future__ import annotations

import pytest
from corepod.kubectl.reading import Reading, Slot, from_metrics, from_status, shares

METRICS = """\
# HELP corepod_start_time_seconds Start of the supervisor, in Unix time.
corepod_start_time_seconds 1700000000.5
corepod_worker_state{slot="0",state="ready"} 1
corepod_worker_state{slot="0",state="busy"} 0
corepod_worker_pinned{slot="0",core="3"} 1
corepod_worker_restarts_total{slot="0",reason="signal SIGKILL"} 2
corepod_worker_restarts_total{slot="0",reason="a } and a \\" in it"} 1
corepod_worker_cpu_seconds_total{slot="0"} 12.5
corepod_worker_resident_memory_bytes{slot="0"} 5e7
corepod_requests_in_flight{slot="0"} 4
corepod_worker_state{slot="1",state="starting"} 1
corepod_worker_pinned{slot="1",core="2"} 0
"""


def slot(number: int = 0, cpu: float = 0.0) -> Slot:
    return Slot(number, None, "ready", 0, cpu, None, 0)


def test_metrics() -> None:
    found = from_metrics(METRICS, 7.0)
    assert (found.at, found.started) == (7.0, 1700000000.5)
    assert found.slots == (
        Slot(0, 3, "ready", 3, 12.5, 50_000_000, 4),
        # It has a core in its label, and isn't pinned to it.
        Slot(1, None, "starting", 0, 0.0, None, 0),
    )


def test_a_status_document_says_the_same() -> None:
    first = {"slot": 0, "core": 3, "pinned": True, "state": "ready", "restarts": 3, "cpu_seconds": 12.5}
    second = {"slot": 1, "core": 2, "pinned": False, "state": "starting", "restarts": 0, "cpu_seconds": 0.0}
    first |= {"rss_bytes": 50_000_000, "in_flight": 4}
    second |= {"rss_bytes": None, "in_flight": 0}
    assert from_status({"status": {"started_at": 1700000000.5, "slots": [first, second]}}, 7.0) == from_metrics(
        METRICS, 7.0
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "up 1\n",
        METRICS.replace("12.5", "1e999"),
        METRICS.replace("12.5", "NaN"),
        METRICS.replace("12.5", "many"),
        METRICS.replace('core="3"', 'core="99999999"'),
        METRICS.replace('core="3"', 'core="-1"'),
        METRICS.replace("12.5", "1e300"),
        METRICS.replace("12.5", "-1"),
        METRICS.replace('slot="1"', 'slot="x"'),
        METRICS.replace('slot="1"', 'slot="1024"'),
        METRICS + "".join(f'corepod_requests_in_flight{{slot="{n}"}} 1\n' for n in range(5000)),
    ],
)
def test_what_no_supervisor_says_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        from_metrics(text, 0.0)


def test_a_state_can_not_drive_a_terminal() -> None:
    [found, _] = from_metrics(METRICS.replace('state="ready"', 'state="\x1b[2Jready and a long tail"'), 0.0).slots
    assert "\x1b" not in found.state
    assert len(found.state) <= 20


def test_a_status_has_the_same_limits() -> None:
    slot = {"slot": 0, "core": None, "pinned": False}
    for wrong in ({"slot": 5000}, {"cpu_seconds": float("inf")}, {"restarts": 1e300}, {"core": -1, "pinned": True}):
        with pytest.raises(ValueError, match=r".+"):
            from_status({"status": {"started_at": 1, "slots": [{**slot, **wrong}]}}, 0.0)


@pytest.mark.parametrize("status", [{}, {"started_at": 1, "slots": [{}]}, {"started_at": 1, "slots": 3}, []])
def test_a_status_of_another_program(status: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="isn't understood"):
        from_status({"status": status}, 0.0)


def test_shares_are_of_one_supervisor() -> None:
    before, now = Reading(10.0, 1.0, (slot(0, 5.0),)), Reading(12.0, 1.0, (slot(0, 6.0), slot(1, 3.0)))
    assert shares(before, now) == {0: 0.5}  # the second slot is new
    assert shares(None, now) == {}
    assert shares(before._replace(started=2.0), now) == {}
    assert shares(before, now._replace(at=10.0)) == {}
