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


async def explain(request: Request, error: Exception) -> Response:
    """One line that says what was wrong with the request."""
    assert isinstance(error, HTTPException)
    return PlainTextResponse(f"{error.detail}\n", error.status_code, error.headers)
