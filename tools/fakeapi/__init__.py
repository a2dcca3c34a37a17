"""A Kubernetes API server for tests and benchmarks: lists, watches, writes, and every kind of failure on request."""

from __future__ import annotations

from tools.fakeapi.server import Call, FakeApi

__all__ = ["Call", "FakeApi"]
