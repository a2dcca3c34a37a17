"""Every setting there is: its name, kind, default, unit and meaning. The command line, the variables, the file, the
check of values and docs/reference/settings.md all come from this table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from corepod.contract.env import ADMIN_PORT, APP_PORT


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One setting. `--name-with-dashes`, `COREPOD_NAME` and the key `name` of corepod.toml all mean it.

    `kind` is the name of a parser in `corepod.config.kinds`. `pod` is the default of `corepod pid1` where it differs.
    """

    name: str
    kind: str
    default: Any
    help: str
    group: str
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    pod: Any = None

    @property
    def flag(self) -> str:
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        return "COREPOD_" + self.name.upper()


def _group(title: str, *rows: tuple[Any, ...], **fixed: Any) -> list[Setting]:
    return [
        Setting(
            name=name,
            kind=kind,
            default=default,
            help=text,
            group=title,
            **(extra[0] if extra else {}),
            **fixed,
        )
        for name, kind, default, text, *extra in rows
    ]


_APPLICATION = _group(
    "Application",
    (
        "app",
        "text",
        "",
        "the application, MODULE:ATTRIBUTE; the attribute may be left out where it is app or application",
    ),
    ("factory", "flag", False, "the attribute is a function that makes the application"),
    (
        "interface",
        "choice",
        "auto",
        "what the application speaks",
        {"choices": ("auto", "asgi", "wsgi")},
    ),
    (
        "chdir",
        "text",
        "",
        "folder to change to before the application is imported; it is importable from there",
    ),
    (
        "env_file",
        "text",
        "",
        "file of NAME=VALUE lines added to the application's environment; what is set already wins",
    ),
    ("wsgi_threads", "count", 8, "threads of a WSGI application, in each worker", {"minimum": 1}),
    (
        "loop",
        "choice",
        "asyncio",
        "event loop; uvloop has to be installed",
        {"choices": ("asyncio", "uvloop")},
    ),
    (
        "debug",
        "flag",
        False,
        "no timeouts and asyncio's debug mode: a debugger may sit in a worker",
    ),
)
_POOL = _group(
    "Workers",
    (
        "name",
        "text",
        "",
        "the pool's name in logs, metrics and status; the application's module by default",
    ),
    ("workers", "workers", "auto", "number of slots; auto is one for each usable core", {"pod": 1}),
    (
        "pin",
        "choice",
        "auto",
        "pin each worker to its core: auto does so where no other pool or container can be on the "
        "same core, never also allows more workers than cores",
        {"choices": ("auto", "always", "never")},
    ),
    (
        "standby",
        "choice",
        "armed",
        "what waits for the next crash: armed is forked with its server warm, live has also "
        "run the application's lifespan, none is nothing",
        {"choices": ("armed", "live", "none")},
    ),
    (
        "live_max_age",
        "seconds",
        3600.0,
        "greatest age of a live standby, 0 for no limit",
        {"minimum": 0},
    ),
    (
        "crash_budget",
        "budget",
        (5, 60.0),
        "DEATHS/SECONDS a slot may use up before it is given up; 0 for no limit and a growing pause between restarts",
    ),
    (
        "overlap",
        "flag",
        True,
        "in a reload the old worker stops after the new one is ready; off: before it starts",
    ),
    (
        "exit_code",
        "choice",
        "contract",
        "exit code when the crash budget is used up: corepod's own, or that of the last worker (128 + signal)",
        {"choices": ("contract", "worker")},
    ),
    ("user", "text", "", "user the workers run as (name or number)"),
    ("group", "text", "", "group the workers run as (name or number); the user's own by default"),
    ("umask", "mode", None, "umask of the workers, octal"),
)
_SOCKETS = _group(
    "Addresses",
    (
        "bind",
        "addresses",
        [f"127.0.0.1:{APP_PORT}"],
        "where the application answers: HOST:PORT, [IPV6]:PORT or "
        "unix:PATH, may be repeated; sockets handed over by systemd win",
        {"pod": [f"0.0.0.0:{APP_PORT}"]},
    ),
    ("backlog", "count", 2048, "connections that may queue", {"minimum": 1}),
    ("socket_mode", "mode", None, "mode of a Unix socket, octal"),
    (
        "admin",
        "address",
        f"127.0.0.1:{ADMIN_PORT}",
        "where probes, metrics and status answer; none for nowhere",
        {"pod": f"0.0.0.0:{ADMIN_PORT}"},
    ),
    (
        "admin_status",
        "choice",
        "loopback",
        "who may see the status and its page",
        {"choices": ("loopback", "all")},
    ),
    ("control", "text", "", "path of the Unix socket on which the pool's owner reads its status"),
    (
        "notify",
        "address",
        "",
        "HOST:PORT of corepod's operator: it gets a datagram when a worker has died, so that it looks at once",
    ),
)
_HEALTH = _group(
    "Health",
    (
        "ready_path",
        "text",
        "",
        "path the worker asks its own application; an answer of 400 or more means not ready",
    ),
    ("ready_interval", "seconds", 5.0, "pause between two such questions", {"minimum": 0.1}),
    (
        "busy_after",
        "seconds",
        30.0,
        "a loop blocked by computing is not ready after this time",
        {"minimum": 0.1},
    ),
    (
        "busy_timeout",
        "seconds",
        300.0,
        "a loop blocked by computing is ended after this time, 0 for never",
        {"minimum": 0},
    ),
    (
        "stuck_dump",
        "seconds",
        10.0,
        "the stacks of a loop blocked without using CPU are logged after this time",
        {"minimum": 0.1},
    ),
    (
        "stuck_timeout",
        "seconds",
        60.0,
        "a loop blocked without using CPU is ended after this time, 0 for never",
        {"minimum": 0},
    ),
)
_STOP = _group(
    "Stopping",
    (
        "lame_duck",
        "seconds",
        0.0,
        "after TERM go on accepting for this time while not ready",
        {"minimum": 0, "pod": 5.0},
    ),
    (
        "stop_timeout",
        "seconds",
        25.0,
        "the whole stop, lame duck included; what runs then is ended",
        {"minimum": 0.1},
    ),
)
_HTTP = _group(
    "HTTP",
    ("access_log", "flag", False, "log each request"),
    (
        "access_log_format",
        "text",
        '%(h)s "%(R)s %(s)s" %(b)s %(L)s',
        "format of such a line (hypercorn's atoms)",
    ),
    (
        "trusted_proxies",
        "networks",
        [],
        "addresses or networks whose X-Forwarded-For, -Proto and -Host are believed; * for all",
    ),
    (
        "keep_alive",
        "seconds",
        5.0,
        "an idle connection is closed after this time",
        {"minimum": 0.1},
    ),
    (
        "connection_max_age",
        "seconds",
        0.0,
        "a connection is asked to close after this time, 0 for never",
        {"minimum": 0},
    ),
    (
        "connection_max_requests",
        "count",
        1000,
        "a connection is asked to close after this many requests",
        {"minimum": 1},
    ),
    (
        "request_timeout",
        "seconds",
        0.0,
        "a request is answered 504 after this time, 0 for never",
        {"minimum": 0},
    ),
    (
        "limit_requests",
        "count",
        0,
        "requests a worker serves at once; more are answered 503, 0 for no limit",
        {"minimum": 0},
    ),
    (
        "limit_connections",
        "count",
        0,
        "connections a worker holds; it accepts no more, 0 for no limit",
        {"minimum": 0},
    ),
    ("limit_header", "bytes", 16384, "greatest size of a request's head", {"minimum": 1024}),
    (
        "limit_body",
        "bytes",
        0,
        "greatest size of a request's body, 413 above it, 0 for no limit",
        {"minimum": 0},
    ),
    (
        "websocket_max_message",
        "bytes",
        16 << 20,
        "greatest size of a WebSocket message",
        {"minimum": 1},
    ),
    ("websocket_ping", "seconds", 20.0, "pause between two pings, 0 for none", {"minimum": 0}),
    ("http2_max_streams", "count", 100, "HTTP/2 streams a connection may have", {"minimum": 1}),
    ("root_path", "text", "", "prefix under which a proxy serves the application"),
    ("server_header", "flag", False, "send a Server header"),
    (
        "accept",
        "choice",
        "gate",
        "how workers share the queue: gate takes the next connection when the last one's request "
        "has reached the application, one takes them singly, batch as many as there are",
        {"choices": ("gate", "one", "batch")},
    ),
)
_TLS = _group(
    "TLS",
    ("tls_cert", "text", "", "certificate chain, PEM"),
    ("tls_key", "text", "", "its key, PEM"),
    ("tls_key_password", "text", "", "password of the key; better as a variable than as a flag"),
    (
        "tls_client_ca",
        "text",
        "",
        "certificates that clients' certificates are checked against, PEM; then they need one",
    ),
    ("tls_ciphers", "text", "", "OpenSSL cipher list for TLS 1.2"),
)
_LOG = _group(
    "Log",
    ("log_format", "choice", "text", "lines for people or JSON", {"choices": ("text", "json")}),
    (
        "log_level",
        "choice",
        "info",
        "least level that is logged",
        {"choices": ("debug", "info", "warning", "error")},
    ),
    (
        "termination_log",
        "text",
        "",
        "existing file that gets the reason when the pool ends by itself; Kubernetes shows it",
        {"pod": "/dev/termination-log"},
    ),
)

SETTINGS: tuple[Setting, ...] = tuple(
    setting for group in (_APPLICATION, _POOL, _SOCKETS, _HEALTH, _STOP, _HTTP, _TLS, _LOG) for setting in group
)
BY_NAME = {setting.name: setting for setting in SETTINGS}
