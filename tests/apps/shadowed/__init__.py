"""A package with a submodule `app`, whose application is called `application`."""

from __future__ import annotations

from shadowed import app
from shadowed.app import served as application

__all__ = ["app", "application"]
