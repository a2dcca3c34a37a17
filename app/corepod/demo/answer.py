"""Responses that end with a new line: several curls at once may share a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, PlainTextResponse

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response


class Json(JSONResponse):
    def render(self, content: Any) -> bytes:
        return super().render(content) + b"\n"


def last_of_connection(request: Request) -> dict[str, str]:
    """The header after which the client's next request comes on a new connection, and so maybe to another worker or
    pod; none where the protocol has no such header."""
    return {"connection": "close"} if request.scope["http_version"] == "1.1" else {}


async def explain(request: Request, error: Exception) -> Response:
    """One line that says what was wrong with the request."""
    assert isinstance(error, HTTPException)
    return PlainTextResponse(f"{error.detail}\n", error.status_code, error.headers)
