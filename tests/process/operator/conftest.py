"""Fixtures of the operator's process tests."""

from __future__ import annotations

import itertools
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.process.operator.harness import Operator
from tools.fakeapi import FakeApi

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with FakeApi() as server:
        yield server


@pytest.fixture
def operate(api: FakeApi, tmp_path: Path) -> Iterator[Callable[..., Operator]]:
    """Starts operators that are ended when the test ends."""
    numbers = itertools.count()
    with ExitStack() as stack:

        def start(*flags: str) -> Operator:
            operator = Operator(api, *flags, folder=tmp_path, name=f"operator{next(numbers)}")
            stack.callback(operator.close)
            return operator

        yield start
