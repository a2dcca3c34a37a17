"""An application whose signature tells nothing about its interface."""

from __future__ import annotations


def app(*args):
    return [b"hidden"]
