"""The submodule, and in it what is served."""

from __future__ import annotations

from ok import app as served

__all__ = ["served"]
