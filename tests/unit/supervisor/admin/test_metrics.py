"""The metrics: a text that parses, numbers that mean what their names say, and a row for each in the table."""

from __future__ import annotations

import re
import time
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from corepod.config.spec import SETTINGS
from corepod.contract.scoreboard import LATENCY_BOUNDS
from corepod.supervisor.admin import metrics
from corepod.supervisor.admin.status import PoolStatus
from corepod.supervisor.health.checks import Checks
from corepod.supervisor.health.procfs import Cgroup
from corepod.supervisor.health.scoreboard import SharedScoreboard
from corepod.supervisor.io.log import StreamLog
from corepod.supervisor.io.loop import Loop
from corepod.supervisor.launch.inboxes import Inboxes
from corepod.supervisor.launch.launcher import SystemLauncher
from corepod.supervisor.pool.pool import Pool
from corepod.supervisor.settings import Settings
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from tests.unit.supervisor.admin.documents import document, slot

if TYPE_CHECKING:
    from prometheus_client import Metric

Labels = dict[str, str]


def parse(status: dict[str, Any]) -> dict[str, Metric]:
    """The families of the rendered text, by name."""
    families = list(text_string_to_metric_families("".join(metrics.render(status))))
    assert len({f.name for f in families}) == len(families), "samples of one metric have to stand together"
    return {family.name: family for family in families}


def value(status: dict[str, Any], sample: str, **labels: str) -> float | None:
    """The one sample of this name with these labels, None where there is none."""
    found = [
        s.value
        for family in parse(status).values()
        for s in family.samples
        if s.name == sample and labels.items() <= s.labels.items()
    ]
    assert len(found) <= 1
    return found[0] if found else None


def real_status() -> PoolStatus:
    """The view of a real pool, none of whose processes has been started."""
    values = {setting.name: setting.default for setting in SETTINGS}
    beside = {
        "app": "shop.main:app",
        "profile": "run",
        "python": "",
        "cwd": "",
        "admin_explicit": False,
        "prefixed": [],
    }
    loop = Loop()
    settings, log = Settings({**values, **beside, "lifeline": None}), StreamLog(loop, form="text", level="info")
    scoreboard, cgroup = SharedScoreboard(), Cgroup()
    launcher = SystemLauncher(
        loop, log, settings, scoreboard.fd, [], lambda process, message, sender: None, Inboxes(lambda: None)
    )
    cores = [0, None]
    pool = Pool(
        settings, launcher, scoreboard, log, cores, forkable=False, usable=2, wall=time.time, random=lambda: 0.5
    )
    checks = Checks(pool, scoreboard, cgroup, log, loop.now())
    about = {
        "cores": {"usable": [0, 1], "limit": "affinity"},
        "workers": {"mode": "fixed", "least": 2, "most": 2},
        "binds": ["127.0.0.1:8000"],
        "admin": "none",
    }
    return PoolStatus(pool, checks, scoreboard, cgroup, log, [], about=about, clock=loop.now)


# The table


def test_names_follow_the_conventions() -> None:
    names = [name for name, *_ in metrics.METRICS]
    assert len(set(names)) == len(names)
    for name, kind, meaning, labels in metrics.METRICS:
        assert re.fullmatch(r"corepod_[a-z_]+", name)
        assert kind in ("gauge", "counter", "histogram")
        assert name.endswith("_total") == (kind == "counter"), name
        assert not re.search("milli|micro|_ms|_kb|_mb|percent", name), "base units"
        assert meaning.endswith(".")
        assert "\n" not in meaning
        assert "\\" not in meaning
        assert set(labels) <= {
            "version",
            "python",
            "pool",
            "mode",
            "standby",
            "state",
            "slot",
            "reason",
            "hook",
            "outcome",
            "core",
            "code",
        }


def test_each_row_is_rendered_with_its_type_and_help() -> None:
    families = parse(document())
    for name, kind, meaning, labels in metrics.METRICS:
        family = families.pop(name.removesuffix("_total"))
        assert (family.type, family.documentation) == (kind, meaning)
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(labels)
    assert not families


# The numbers


def test_buckets_are_cumulative() -> None:
    samples = parse(document(slot()))["corepod_request_duration_seconds"].samples
    buckets = [s for s in samples if s.name.endswith("_bucket")]
    assert [float(s.labels["le"]) for s in buckets] == [*LATENCY_BOUNDS, float("inf")]
    assert all(a.value <= b.value for a, b in pairwise(buckets))
    assert [s.value for s in buckets] == [10, 30, 30, 30, 35, 35, 35, 35, 35, 35, 36, 60]
    assert {s.name: s.value for s in samples if not s.name.endswith("_bucket")} == {
        "corepod_request_duration_seconds_sum": 12.25,
        "corepod_request_duration_seconds_count": 60,
    }


@pytest.mark.parametrize(
    ("sample", "labels", "expected"),
    [
        ("corepod_build_info", {"version": "1.2.3"}, 1),
        ("corepod_pool_info", {"pool": "shop", "mode": "fork", "standby": "armed"}, 1),
        ("corepod_ready", {}, 1),
        ("corepod_slots", {}, 2),
        ("corepod_slots_min", {}, 2),
        ("corepod_slots_max", {}, 8),
        ("corepod_usable_cores", {}, 2),
        ("corepod_standby_ready", {}, 1),
        ("corepod_template_ready", {}, 1),
        ("corepod_accept_queue_length", {}, 3),
        ("corepod_accept_queue_limit", {}, 2048),
        ("corepod_hooks_total", {"hook": "on_exit", "outcome": "done"}, 2),
        ("corepod_hooks_total", {"hook": "on_exit", "outcome": "failed"}, 1),
        ("corepod_cpu_throttled_seconds_total", {}, 0.75),
        ("corepod_supervisor_resident_memory_bytes", {}, 13 << 20),
        ("corepod_requests_total", {"slot": "1", "code": "none"}, 1),
        ("corepod_requests_total", {"slot": "1", "code": "2xx"}, 50),
        ("corepod_requests_total", {"slot": "1", "code": "5xx"}, 4),
        ("corepod_requests_in_flight", {"slot": "0"}, 2),
        ("corepod_requests_lost_total", {"slot": "0"}, 1),
        ("corepod_requests_shed_total", {"slot": "0", "reason": "limit_requests"}, 3),
        ("corepod_requests_shed_total", {"slot": "0", "reason": "queue_timeout"}, 1),
        ("corepod_requests_queued_seconds_total", {"slot": "0"}, 0.25),
        ("corepod_requests_waiting", {"slot": "0"}, 2),
        ("corepod_worker_restarts_total", {"slot": "0", "reason": "signal SIGKILL"}, 2),
        ("corepod_worker_restarts_total", {"slot": "0", "reason": "exit code 7"}, 1),
        ("corepod_worker_restarts_total", {"slot": "0", "reason": "oom"}, 0),
        ("corepod_worker_pinned", {"slot": "1", "core": "1"}, 1),
        ("corepod_worker_start_time_seconds", {"slot": "0"}, 1700000000.25),
        ("corepod_worker_resident_memory_bytes", {"slot": "0"}, 40 << 20),
        ("corepod_received_bytes_total", {"slot": "0"}, 1234),
        ("corepod_sent_bytes_total", {"slot": "0"}, 56789),
    ],
)
def test_values(sample: str, labels: Labels, expected: float) -> None:
    assert value(document(), sample, **labels) == expected


@pytest.mark.parametrize("state", metrics.SLOT_STATES)
def test_exactly_one_state_of_a_slot_is_1(state: str) -> None:
    samples = parse(document(slot(state=state)))["corepod_worker_state"].samples
    assert {s.labels["state"] for s in samples if s.value == 1} == {state}
    assert {s.labels["state"] for s in samples if s.value == 0} == set(metrics.SLOT_STATES) - {state}


@pytest.mark.parametrize("state", metrics.POOL_STATES)
def test_exactly_one_state_of_the_pool_is_1(state: str) -> None:
    status = document(state=state)
    assert [s.labels["state"] for s in parse(status)["corepod_pool_state"].samples if s.value] == [state]
    assert value(status, "corepod_ready") == (state == "ready")


def test_what_is_unknown_is_left_out() -> None:
    empty = slot(worker=None, pid=None, rss_bytes=None, started_at=None, ready_at=None, core=None, pinned=False)
    status = document(empty, slot(1), accept_queue=None, throttled_seconds=None)
    families = parse(status)
    assert not {"corepod_accept_queue_length", "corepod_accept_queue_limit", "corepod_cpu_throttled_seconds"} & set(
        families
    )
    for name in ("corepod_worker_resident_memory_bytes", "corepod_worker_start_time_seconds"):
        assert [s.labels["slot"] for s in families[name].samples] == ["1"]
    assert value(status, "corepod_worker_pinned", slot="0", core="") == 0


def test_no_slots() -> None:
    assert value(document(slots=[]), "corepod_slots") == 0


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_label_value_survives(text: str) -> None:
    status = document(slot(reasons={text: 5}), name=text)
    assert value(status, "corepod_pool_info") == 1
    assert parse(status)["corepod_pool_info"].samples[0].labels["pool"] == text
    assert value(status, "corepod_worker_restarts_total", reason=text) == 5


def test_the_real_document() -> None:
    # The documents of these tests are made by hand: what the pool really says has the same keys, and renders.
    status = real_status().document()
    status["slots"] = list(status["slots"])
    assert set(status) == set(document())
    for real in status["slots"]:
        assert set(real) == set(slot())
    assert value(status, "corepod_worker_state", slot="1", state="starting") == 1
    assert value(status, "corepod_worker_pinned", slot="0", core="0") == 1
    assert value(status, "corepod_ready") == 0
