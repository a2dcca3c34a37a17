"""Chooses the server that this worker runs. Everything else in the worker knows the interface alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

# Imported with this module, while the current folder isn't on sys.path yet: no file of the user's called h11.py or
# logging.py may take the place of a library's.
from corepod.worker.hypercorn.configure import tls_context as tls_context
from corepod.worker.hypercorn.serving import HypercornServer

try:
    from corepod.worker.http.server import HttpServer
except ModuleNotFoundError as error:
    if error.name != "httptools":
        raise
    HttpServer = None  # type: ignore[assignment, misc]

if TYPE_CHECKING:
    import ssl

    from corepod.worker.application.instrumented import Instrumented
    from corepod.worker.scoreboard import ScoreboardRecord
    from corepod.worker.server import Server
    from corepod.worker.settings import WorkerSettings


def create_server(
    app: Instrumented, settings: WorkerSettings, record: ScoreboardRecord, tls: ssl.SSLContext | None
) -> Server:
    """A server of this application, in the running event loop. `tls` is what `tls_context` has made of the settings."""
    server = HypercornServer(app, settings, record, tls)
    if settings.http == "h11" or (settings.http == "auto" and HttpServer is None):
        return server
    return HttpServer(app, settings, record, tls, behind=server)
