"""Opens the file named by OPEN_FILE while it is imported, in the mode OPEN_MODE; appending is harmless."""

from __future__ import annotations

import os

from ok import app

file = open(os.environ["OPEN_FILE"], os.environ.get("OPEN_MODE", "a"))

__all__ = ["app"]
