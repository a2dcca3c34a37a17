"""The path prefix under which a proxy serves the application (`root_path`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

if TYPE_CHECKING:
    from corepod.worker.settings import WorkerSettings

SAFE = "/-._~!$&'()*+,;=:@"


def with_root_path(app: Any, settings: WorkerSettings) -> Any:
    """The application behind the prefix, or as it is where there is none."""
    return RootPath(app, settings.root_path) if settings.root_path.rstrip("/") else app


class RootPath:
    """Gives the application the path that the client asked for: in ASGI it begins with `root_path`.

    A proxy that removes the prefix and one that passes it on mean the same: the prefix is added where it isn't there.
    """

    def __init__(self, app: Any, root_path: str) -> None:
        self._app = app
        self._root = unquote(root_path).rstrip("/")
        self._raw = quote(self._root, safe=SAFE).encode()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] in ("http", "websocket"):
            scope["root_path"] = self._root
            path = scope["path"]
            # Not OPTIONS *, which means the server and no path.
            if path.startswith("/") and path != self._root and not path.startswith(self._root + "/"):
                scope["path"] = self._root + path
                scope["raw_path"] = self._raw + scope["raw_path"]
        await self._app(scope, receive, send)
