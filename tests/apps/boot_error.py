"""Raises while it is imported."""

from __future__ import annotations


def read_settings():
    raise ValueError("DATABASE_URL has no host")


read_settings()
