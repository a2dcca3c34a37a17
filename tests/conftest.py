"""What holds for all tests: budgets of examples, tests that run alone, and what is missing on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.plugins import budget, collector, corpus, needs, patience, serial

if TYPE_CHECKING:
    import pytest

pytest_xdist_auto_num_workers = budget.pytest_xdist_auto_num_workers

budget.load_profile()


def pytest_addoption(pluginmanager: pytest.PytestPluginManager) -> None:
    """The earliest moment in which a conftest may bring plugins."""
    for plugin in (collector, corpus, needs, patience, serial):
        pluginmanager.register(plugin, plugin.__name__)
