"""Conformance side by side with other servers: `make conformance`, `make conformance ARGS="requests --json FILE"`."""
