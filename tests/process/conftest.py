"""Fixtures of the process tests."""

from __future__ import annotations

import itertools
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from tests.process.background import Machine, machine
from tests.process.harness import Pool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Pool]]:
    """Starts pools that are ended, and checked for what they leave behind, when the test ends."""
    numbers = itertools.count()
    with ExitStack() as stack:

        def start_pool(app: str = "ok:app", *args: str, kind: type[Pool] = Pool, **options: Any) -> Pool:
            pool = kind(app, *args, log=tmp_path / f"pool{next(numbers)}.log", **options)
            stack.callback(pool.close)
            return pool

        yield start_pool


@pytest.fixture
def user(tmp_path: Path) -> Iterator[Machine]:
    with machine(tmp_path) as made:
        yield made
