"""The metrics of a supervisor are understood; of everything else nothing harmful is left."""

from __future__ import annotations

import contextlib

import pytest
from corepod.contract.exposition import Exposition
from corepod.operator.restarts import deaths
from corepod.operator.restarts.deaths import LARGEST, LONGEST_REASON, MOST_REASONS, OTHER, DeathCounts, parse
from corepod.supervisor.admin.metrics import METRICS
from hypothesis import given
from hypothesis import strategies as st

METRICS_TEXT = """\
# HELP corepod_start_time_seconds When the supervisor started, Unix time.
corepod_start_time_seconds 1764000000.25
corepod_worker_restarts_total{slot="0",reason="exit code 0"} 0
corepod_worker_restarts_total{slot="0",reason="signal SIGKILL"} 2
corepod_worker_restarts_total{slot="1",reason="signal SIGKILL"} 1
corepod_worker_restarts_total{slot="1",reason="oom"} 4
"""


def sample(value: str, reason: str = "oom") -> str:
    return f'corepod_start_time_seconds 5\ncorepod_worker_restarts_total{{slot="0",reason="{reason}"}} {value}\n'


def test_the_names_are_those_of_the_supervisor() -> None:
    names = {name for name, *_ in METRICS}
    assert {deaths.DEATHS, deaths.STARTED} <= names


def test_reading() -> None:
    reading = parse(METRICS_TEXT)
    assert reading.started == "1764000000.25"
    assert reading.reasons == {"exit code 0": 0, "signal SIGKILL": 3, "oom": 4}
    assert reading.count == 7


def test_the_order_of_lines_and_a_missing_end_of_the_last_one_do_not_matter() -> None:
    lines = METRICS_TEXT.splitlines()
    assert parse("\n".join(lines[::-1])) == DeathCounts(
        "1764000000.25", {"oom": 4, "signal SIGKILL": 3, "exit code 0": 0}
    )


@pytest.mark.parametrize("text", ["", "<html>", "up 1\n", " corepod_start_time_seconds 5\n"])
def test_metrics_of_somebody_else(text: str) -> None:
    with pytest.raises(ValueError, match="aren't those"):
        parse(text)


@pytest.mark.parametrize(
    "value",
    ["1e999", "NaN", "+Inf", "-Inf", "-1", "0.5", "1e16", "9" * 3000, "1_0", "٣", "x", "", "3 1764000000000", "3\r"],
    ids=lambda text: str(text)[:20],
)
def test_a_number_that_no_supervisor_writes(value: str) -> None:
    with pytest.raises(ValueError, match="is not a"):
        parse(sample(value))


@pytest.mark.parametrize("value", ["0", "3", "3.0", "1e+06", str(LARGEST)])
def test_a_number_that_a_supervisor_could_write(value: str) -> None:
    assert parse(sample(value)).count == float(value)


def test_counts_that_are_too_large_together() -> None:
    with pytest.raises(ValueError, match="too large"):
        parse(sample(str(LARGEST)) + sample("1").partition("\n")[2])


@pytest.mark.parametrize("started", ["1e999", "NaN", "now", "9" * 300_000])
def test_a_start_that_is_no_time(started: str) -> None:
    with pytest.raises(ValueError, match=r"is not a number|a line of more"):
        parse(f"corepod_start_time_seconds {started}\n")


def test_long_reasons_are_cut_and_control_characters_replaced() -> None:
    [reason] = parse(sample("1", "A" * 3000)).reasons
    assert len(reason) == LONGEST_REASON + 1
    [reason] = parse(sample("1", '\x1b[2J\u202ea\\nb\\"c\ud800')).reasons
    assert reason == '?[2J?a?b"c?'


def test_a_line_that_is_too_long() -> None:
    with pytest.raises(ValueError, match="a line of more"):
        parse(sample("1", "A" * 300_000))


def test_many_reasons_count_as_one() -> None:
    lines = [f'corepod_worker_restarts_total{{reason="r{number}"}} 1\n' for number in range(5000)]
    found = parse("corepod_start_time_seconds 5\n" + "".join(lines))
    assert len(found.reasons) == MOST_REASONS + 1
    assert found.reasons[OTHER] == 5000 - MOST_REASONS
    assert found.count == 5000


def test_too_many_samples() -> None:
    with pytest.raises(ValueError, match="more than 20000 samples"):
        parse(sample("1") * 20_001)


@given(st.text(alphabet=st.characters(max_codepoint=0x2FFF), max_size=LONGEST_REASON))
def test_a_printable_reason_survives_its_way(reason: str) -> None:
    written = Exposition(METRICS)
    written.put(deaths.STARTED, 5)
    written.put(deaths.DEATHS, 3, 0, reason)
    [found] = parse(written.text()).reasons
    assert found.isprintable()
    if reason.isprintable() and reason == reason.strip():
        assert found == reason


NAMES = [f"{deaths.STARTED} ", deaths.DEATHS + "{"]
PIECES = st.sampled_from([*NAMES, 'reason="', '"', "} ", "\n", "\\", "5", "1e999", "\0"])


@given(st.lists(st.one_of(PIECES, st.text(max_size=5)), max_size=40).map("".join))
def test_anything_is_either_understood_or_refused_with_a_value_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        found = parse(text)
        assert 0 <= found.count <= LARGEST
        assert all(len(reason) <= LONGEST_REASON + 1 and reason.isprintable() for reason in found.reasons)
        assert len(found.started) <= 50


@given(st.data())
def test_a_mutated_exposition_is_either_understood_or_refused(data: st.DataObject) -> None:
    text = METRICS_TEXT
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(text)))
        text = text[:at] + data.draw(st.text(max_size=3)) + text[at + data.draw(st.integers(0, 3)) :]
    with contextlib.suppress(ValueError):
        assert 0 <= parse(text).count <= LARGEST
