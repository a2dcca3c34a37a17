"""A tracing agent that patches everything and starts its threads at import; there is no collector to send to."""

from __future__ import annotations

import os

os.environ.setdefault("DD_INSTRUMENTATION_TELEMETRY_ENABLED", "false")
os.environ.setdefault("DD_REMOTE_CONFIGURATION_ENABLED", "false")
os.environ.setdefault("DD_TRACE_STARTUP_LOGS", "false")
os.environ.setdefault("DD_TRACE_AGENT_URL", "http://127.0.0.1:9")

import ddtrace.auto  # noqa: F401 - has to be first
from app.views import app

__all__ = ["app"]
