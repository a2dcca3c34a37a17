"""The report says what happened, first the verdict; it is one file, and nothing in it is taken for HTML."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from corepod.hit.exchange import OK, REFUSED, Responder
from rich.console import Console

from loadtest.recovery import Event
from loadtest.report import wording
from loadtest.report.charts import _line, points
from loadtest.report.page import STYLE, render
from loadtest.report.table import show
from loadtest.run import Run
from loadtest.tally import Sample, Tally
from loadtest.verdict import Check, Thresholds
from tests.unit.loadtest.samples import KILL, tally


def run(*more: Sample, **changed: object) -> Run:
    made = Run(100.0, 103.0, tally(*more), [KILL], about={"target": "http://x"}, cpu=0.1, workers=2)
    return replace(made, **changed)  # type: ignore[arg-type]


FAILED = run(Sample("/a", 102.5, 0.0, REFUSED))
INVALID = run(cpu=0.99)


class Text(HTMLParser):
    """The text of a page, and whether its tags are closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text, self._open = "", list[str]()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag != "meta":
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        assert tag in ("rect", "line", "circle", "path")

    def handle_data(self, data: str) -> None:
        self.text += " " + data


@pytest.mark.parametrize(("made", "state"), [(run(), "passed"), (FAILED, "failed"), (INVALID, "invalid")])
def test_the_verdict_comes_first(made: Run, state: str) -> None:
    text = Text(render(made)).text
    assert f"{wording.MARKS[state]} {state}" in text
    assert text.index(f"{wording.MARKS[state]} {state}") < text.index("requests a second")


def test_it_is_one_file_that_needs_nothing() -> None:
    page = render(FAILED, run())
    assert not re.search(r"<script|<link|@import|url\(|src=|href=", page)


def test_it_says_why_it_failed() -> None:
    assert "refused connections: 1, limit ≤ 0" in Text(render(FAILED)).text
    assert "1 other request failed" in wording.sentence(FAILED)


def test_it_says_which_limit_made_it_invalid() -> None:
    made = run(Sample("/a", 102.5, 0.0, REFUSED), cpu=0.99)
    because = (
        "Invalid, so this run says nothing about the server: load generator's share of a core in its busiest seconds"
    )
    for said in (Text(render(made)).text, told(made)):
        why = " ".join(said.split())
        assert f"{because}: 99.0%, limit ≤ 90.0%" in why
        assert "Not judged: failed requests" in why
    assert wording.not_judged(INVALID) == wording.not_judged(FAILED) == ""
    assert wording.why(Run(0, 1, Tally())).startswith("Invalid, so this run says nothing about the server: number of ")


@pytest.mark.parametrize(
    ("path", "drawn"),
    [
        ([None, 1.0, None], ("", 1)),
        ([1.0, None, 2.0, 3.0, None, 4.0, 5.0, None, 6.0], ("MLML", 2)),
        ([1.0, 2.0, 3.0], ("MLL", 0)),
        ([1.0], ("", 1)),
        ([None, None], ("", 0)),
    ],
)
def test_a_second_alone_is_a_dot(path: list[float | None], drawn: tuple[str, int]) -> None:
    """A line needs two points; without the dot the only responses between two faults would not be there."""
    line = _line("p50", [(float(at), y) for at, y in enumerate(path)], 0.0, 10.0)
    (shape,) = re.findall(r'<path d="(.*?)"/>', line)
    assert (re.sub(r"[^ML]", "", shape), line.count("<circle")) == drawn


def test_nothing_is_wider_than_a_phone() -> None:
    """What has a width of its own scrolls by itself; the page doesn't."""
    page = render(FAILED, run())
    assert 'name="viewport" content="width=device-width' in page
    assert page.count("<svg") == page.count('<div class="wide"><svg') > 0
    assert page.count("<table") == page.count('<div class="wide"><table') > 0
    assert all(int(width) <= 160 for width in re.findall(r"minmax\((\d+)px", STYLE))
    assert "@media (max-width: 640px)" in STYLE


def test_names_from_outside_are_text() -> None:
    evil = "<script>alert(1)</script>"
    made = run(
        Sample(evil, 102.0, 0.1, OK, Responder(pod=evil, node=evil, slot=0, pid=5)),
        events=[replace(KILL, action=evil, note=evil, victim=Responder(pod=evil, slot=0, pid=5))],
        about={"target": evil},
    )
    assert "<script" not in render(made, made)


def test_faults_are_marked_in_both_charts_and_have_a_row() -> None:
    page = render(run(events=[KILL, Event("kill-supervisor", 102.0, outage=True, watched=22.0)]))
    assert page.count('class="fault"') == 4
    text = Text(page).text
    assert "slot 1, pid 11" in text
    assert "the whole pool" in text
    assert "not within 22 s" in text


@pytest.mark.parametrize("made", [Run(100.0, 100.0, Tally()), Run(100.0, 105.0, tally(), [])], ids=["empty", "calm"])
def test_it_can_be_drawn_of_anything(made: Run) -> None:
    Text(render(made, made))


def test_a_long_run_has_no_more_points_than_fit() -> None:
    long = Tally()
    for at in range(7200):
        long.add(Sample("/a", 1000.0 + at, 0.01, OK))
    found = points(Run(1000.0, 8200.0, long))
    assert 200 < len(found) <= 240
    assert sum(point.answered for point in found) / len(found) == pytest.approx(1.0, rel=0.02)


def test_a_second_in_which_nothing_ended_is_shown_as_such() -> None:
    gap = Tally()
    for at in (100.0, 103.0):
        gap.add(Sample("/a", at, 0.01, OK))
    assert [point.answered for point in points(Run(100.0, 104.0, gap))][:4] == [1, 0, 0, 1]


def test_what_was_in_flight_is_drawn_apart_from_what_failed_otherwise() -> None:
    found = points(FAILED)
    assert (sum(p.own for p in found), sum(p.others for p in found)) == (2, 1)


def test_an_earlier_run_stands_beside() -> None:
    text = Text(render(run(), FAILED)).text
    assert "Compared with an earlier run" in text
    assert re.search(r"verdict\s+failed\s+passed", text)


def test_a_ramp_shows_its_steps() -> None:
    steps = [{"rate": 20.0, "met": True, "why": ""}, {"rate": 40.0, "met": False, "why": "p95"}]
    text = Text(render(run(steps=steps, highest=20.0))).text
    assert "20/s" in text
    assert re.search(r"40\.0/s\s+missed\s+p95", text)


def told(made: Run) -> str:
    """What the terminal shows."""
    out = io.StringIO()
    show(made, Console(file=out, width=120))
    return out.getvalue()


def test_the_terminal_says_the_same() -> None:
    said = told(FAILED)
    assert "sigkill" in said
    assert "✗  refused connections" in said
    assert said.rstrip().endswith("✗ failed")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.00042, "0.42 ms"),
        (0.0123, "12.3 ms"),
        (0.0999, "0.10 s"),
        (1.2, "1.20 s"),
        (75.2, "75 s"),
        (None, "not in time"),
    ],
)
def test_durations(seconds: float | None, text: str) -> None:
    assert wording.duration(seconds) == text


def test_every_check_has_a_description() -> None:
    limits = Thresholds(lost=0)
    names = {
        check.name
        for made in (run(limits=limits), run(highest=1.0), Run(0, 1, Tally()))
        for check in made.verdict.checks
    }
    assert names <= wording.CHECKS.keys()
    assert {"errors", "refused", "lost", "p95", "recovery", "balance", "rate", "requests"} <= names
    assert wording.value(Check("errors", 0.0004, 0, "%"), 0.0004) == "0.040%"
