"""The keywords of `corepod.run`, for editors and type checkers.

Written by `make docs` from `corepod.config.spec`, which says what each means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypedDict

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike


class Keywords(TypedDict, total=False):
    config: str | PathLike[str]  # the settings file
    env: str  # the environment of the settings file
    factory: bool
    interface: Literal["auto", "asgi", "wsgi"]
    chdir: str | PathLike[str]
    env_file: str | PathLike[str]
    pythonpath: str | Sequence[str]
    wsgi_threads: int
    lifespan: Literal["auto", "off"]
    loop: Literal["asyncio", "uvloop"]
    preload: Literal["libraries", "application", "nothing"]
    warmup: str | Sequence[str]
    debug: bool
    name: str
    workers: int | str
    pin: Literal["auto", "always", "never"]
    standby: Literal["armed", "live", "none"]
    standbys: int
    live_max_age: float
    crash_budget: int | str
    max_requests: int
    max_requests_jitter: int
    max_age: float
    max_age_jitter: float
    max_memory: int | str
    recycle_at: str
    take_turns: int
    overlap: bool
    exit_code: Literal["contract", "worker"]
    user: str
    group: str
    umask: str
    pid_file: str | PathLike[str]
    ready_file: str | PathLike[str]
    bind: str | Sequence[str]
    backlog: int
    socket_mode: str
    admin: str
    admin_status: Literal["loopback", "all"]
    control: str
    notify: str
    ready_path: str
    ready_interval: float
    busy_after: float
    busy_timeout: float
    stuck_dump: float
    stuck_timeout: float
    stalled_after: float
    wsgi_timeout: float
    stall_log: float
    lame_duck: float
    stop_timeout: float
    http: Literal["auto", "httptools", "h11"]
    access_log: bool
    access_log_format: str
    access_log_file: str | PathLike[str]
    access_log_skip: str | Sequence[str]
    trusted_proxies: str | Sequence[str]
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
    limit_header: int | str
    limit_body: int | str
    websocket_max_message: int | str
    websocket_ping: float
    websocket_ping_timeout: float
    http2_max_streams: int
    root_path: str
    server_header: bool
    accept: Literal["gate", "one", "batch"]
    shared: str
    shared_prefix: str
    shared_timeout: float
    shared_required: bool
    tls_cert: str | PathLike[str]
    tls_key: str | PathLike[str]
    tls_key_password: str
    tls_client_ca: str | PathLike[str]
    tls_ciphers: str
    on_ready: str
    on_exit: str
    on_reload: str
    on_give_up: str
    hook_timeout: float
    log_format: Literal["text", "json"]
    log_level: Literal["debug", "info", "warning", "error"]
    log_prefix: Literal["auto", "always", "never"]
    log_file: str | PathLike[str]
    log_max_size: int | str
    log_files: int
    termination_log: str | PathLike[str]
    reload: bool
    reload_dir: str | Sequence[str]
    reload_include: str | Sequence[str]
    reload_exclude: str | Sequence[str]
