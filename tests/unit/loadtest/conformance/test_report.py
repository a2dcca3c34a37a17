"""What a run says, and what makes it fail."""

from __future__ import annotations

from loadtest.conformance import http2
from loadtest.conformance.known import KNOWN, surprises
from loadtest.conformance.peers import SERVERS
from loadtest.conformance.report import failures, overview, unexpected_lines
from loadtest.conformance.suite import Result

H2SPEC = """<?xml version="1.0" encoding="UTF-8"?>
<testsuites>
  <testsuite name="5.1. Stream States" package="http2/5.1" tests="2" failures="1">
    <testcase package="http2/5.1" classname="idle: Sends a DATA frame"></testcase>
    <testcase package="http2/5.1" classname="closed: Sends a DATA frame">
      <failure>GOAWAY Frame (Error Code: STREAM_CLOSED)
Timeout</failure>
    </testcase>
  </testsuite>
</testsuites>"""


def test_results_of_h2spec() -> None:
    assert http2.read(H2SPEC) == [
        Result("http2/5.1/1 idle: Sends a DATA frame"),
        Result("http2/5.1/2 closed: Sends a DATA frame", "GOAWAY Frame (Error Code: STREAM_CLOSED) Timeout"),
    ]


def test_a_known_failure_is_no_surprise_and_its_end_is_one() -> None:
    fails, passes = Result("http2/3.5/2 a preface", "something else came"), Result("http2/3.5/2 a preface")
    other = Result("http2/3.5/1 a preface", "something else came")
    assert surprises("corepod, h11", "http2", [fails, other]) == [other]
    assert surprises("corepod, h11", "http2", [passes]) == [passes]
    assert surprises("hypercorn", "http2", [fails]) == [fails], "what is known of corepod excuses nobody else"


def test_what_is_known_names_servers_that_are_tested() -> None:
    assert {f"corepod, {implementation}" for implementation in KNOWN} == {each.name for each in SERVERS if each.ours}


def test_the_table_and_the_lines_below_it() -> None:
    found = {
        "corepod, h11": {
            "http2": [Result("http2/3.5/2 a preface", "got 400"), Result("http2/1/1 x", "got nothing"), Result("y")]
        },
        "uvicorn": {},
    }
    assert overview(found, ["http2"]).rows == [["http2", "1 of 3", "-"]]
    lines = list(failures(found, list(found)))
    assert lines[0].startswith("corepod, h11: http2: http2/3.5/2 a preface (known: ")
    assert lines[1:] == ["    got 400", "corepod, h11: http2: http2/1/1 x", "    got nothing"]
    (unexpected,) = unexpected_lines(found, ["corepod, h11"])
    assert unexpected.startswith("corepod, h11: http2: http2/1/1 x fails: ")
