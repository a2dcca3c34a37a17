"""The servers that the suites of conformance run against."""

from __future__ import annotations

from loadtest.conformance.peers import APP, SERVERS


def test_every_server_has_the_application_that_tells_what_it_was_given() -> None:
    assert len(SERVERS) == 4
    for tested in SERVERS:
        assert APP in tested.peer.command(8000), tested.name
