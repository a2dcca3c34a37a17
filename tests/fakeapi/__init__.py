"""An API server for the operator's tests: lists, watches, writes, and every way to go wrong on request."""

from __future__ import annotations

from tests.fakeapi.server import Call, FakeApi

__all__ = ["Call", "FakeApi"]
