"""The settings that a worker uses, by their names in `corepod.config.spec`, which also says what each means."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, kw_only=True)
class WorkerSettings:
    """Parsed and checked by the command line before the supervisor was started; a test compares the types."""

    # The application
    app: str
    env_file: str
    name: str
    factory: bool
    interface: str
    pythonpath: list[str]
    wsgi_threads: int
    lifespan: str
    loop: str
    preload: str
    warmup: list[str]
    debug: bool
    # The process
    user: str
    group: str
    umask: int | None
    stop_timeout: float
    # Health
    ready_path: str
    ready_interval: float
    stall_log: float
    wsgi_timeout: float
    # HTTP
    http: str
    accept: str
    access_log: bool
    access_log_format: str
    access_log_file: str
    access_log_skip: list[str]
    trusted_proxies: list[str]
    sticky: bool
    sticky_cookie: str
    keep_alive: float
    connection_max_age: float
    connection_max_requests: int
    request_timeout: float
    body_timeout: float
    write_timeout: float
    limit_requests: int
    queue_timeout: float
    retry_after: int
    limit_connections: int
    limit_header: int
    limit_body: int
    websocket_max_message: int
    websocket_ping: float
    websocket_ping_timeout: float
    http2_max_streams: int
    root_path: str
    server_header: bool
    # Shared state
    shared: str = field(repr=False)
    shared_prefix: str
    shared_timeout: float
    shared_required: bool
    # TLS
    tls_cert: str
    tls_key: str
    tls_key_password: str = field(repr=False)
    tls_client_ca: str
    tls_ciphers: str
    # Log
    log_format: str
    log_level: str
    # Development
    reload: bool
    # Not in the table: the command line knows these.
    profile: str  # "run" on one machine, "pod" as a container's PID 1
    prefixed: list[str]  # streams, stdout and stderr, on which the supervisor names the worker in front of each line
    cwd: str  # the folder that the application is imported from; symbolic links are followed anew at each load
    terminal: int  # process group of the terminal that a debugger may read, 0 where there is none
    env_names: list[str]  # the variables that were set from env_file

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> WorkerSettings:
        """The worker's part of all settings, as the supervisor sends them.

        Raises KeyError for one that is missing.
        """
        return cls(**{one.name: values[one.name] for one in fields(cls)})
