"""hypercorn's configuration, from corepod's settings."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from hypercorn.config import Config

from corepod.worker.access_log import access_log
from corepod.worker.hypercorn.request_log import RequestLog

if TYPE_CHECKING:
    from collections.abc import Callable

    from corepod.worker.scoreboard import ScoreboardRecord
    from corepod.worker.settings import WorkerSettings


class ServerConfig(Config):
    leaving = False  # WebSockets are being closed, new ones too
    body_timeout = 0.0
    queue_timeout = 0.0
    write_timeout = 0.0  # seconds, see `corepod.worker.hypercorn.write_progress`
    websocket_ping_timeout = 0.0  # seconds
    waiting: Callable[[], None]  # called when what has come of a connection isn't a request yet


def configure(settings: WorkerSettings, record: ScoreboardRecord) -> ServerConfig:
    """The configuration of a server whose responses are counted on this record."""
    config = ServerConfig()
    config.accesslog = config.errorlog = None
    config._log = RequestLog(config, record, access_log(settings))
    config.include_server_header = settings.server_header
    config.keep_alive_timeout = settings.keep_alive
    config.body_timeout = 0.0 if settings.debug else settings.body_timeout
    config.keep_alive_max_requests = settings.connection_max_requests
    config.write_timeout = settings.write_timeout
    config.queue_timeout = settings.queue_timeout
    config.h11_max_incomplete_size = settings.limit_header
    config.h2_max_header_list_size = settings.limit_header
    config.h2_max_concurrent_streams = settings.http2_max_streams
    config.websocket_max_message_size = settings.websocket_max_message
    config.websocket_ping_interval = settings.websocket_ping or None
    config.websocket_ping_timeout = settings.websocket_ping_timeout or settings.websocket_ping
    return config


def tls_context(settings: WorkerSettings) -> ssl.SSLContext | None:
    """What a server needs for TLS, None where it speaks none. Certificate and key are read here and never again.

    Raises OSError or ssl.SSLError where they can't be used.
    """
    config = Config()
    config.certfile = settings.tls_cert or None
    # Without a key hypercorn would serve in the clear; certificate and key may be in one file.
    config.keyfile = settings.tls_key or config.certfile
    config.keyfile_password = settings.tls_key_password or None
    if settings.tls_client_ca:
        config.ca_certs, config.verify_mode = settings.tls_client_ca, ssl.VerifyMode.CERT_REQUIRED
    if settings.tls_ciphers:
        config.ciphers = settings.tls_ciphers
    return config.create_ssl_context()
