from __future__ import annotations

from app.views import app

__all__ = ["app"]
