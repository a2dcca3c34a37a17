"""A number that is the same in all workers: of this pool, or of all pods where `shared` names a server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from corepod import shared
from corepod.demo.answer import Json, last_of_connection
from corepod.demo.who import who

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

KEY = "demo/counter"


async def counter(request: Request) -> Response:
    """POST adds one."""
    count = await shared.increment(KEY) if request.method == "POST" else await shared.get(KEY)
    return Json({"count": count or 0, **who()}, headers=last_of_connection(request))
