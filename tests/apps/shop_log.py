"""Logs with the standard library, as applications do: /warn, /fail and /print."""

from __future__ import annotations

import logging

from ok import app as ok

log = logging.getLogger("shop.orders")
log.warning("imported", extra={"step": 1})


async def app(scope, receive, send):
    path = scope.get("path")
    if path == "/warn":
        log.warning("low stock of %s", "tea", extra={"sku": 7})
    elif path == "/fail":
        try:
            raise ValueError("two\nlines")
        except ValueError:
            log.exception("it failed")
    elif path == "/print":
        print("printed")
    await ok(scope, receive, send)
