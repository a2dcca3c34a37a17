"""Tests that may take longer than others."""

from __future__ import annotations

import faulthandler

import pytest


@pytest.hookimpl(tryfirst=True)  # before any fixture, for a session's may take long, too
def pytest_runtest_setup(item: pytest.Item) -> None:
    """The limit at which a test takes its process with it (`faulthandler_timeout`) comes before a longer one that a
    test's mark asks for, and the mark doesn't move it."""
    mark = item.get_closest_marker("timeout")
    if mark is not None and mark.args and mark.args[0] > float(item.config.getini("timeout")):
        faulthandler.cancel_dump_traceback_later()
