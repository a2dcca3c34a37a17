"""Every setting: its name, kind, default, unit and meaning. The command line, the variables, the file, the check of
values and docs/reference/settings.md all come from this table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from corepod.contract.env import ADMIN_PORT, APP_PORT
from corepod.contract.listening import ALL


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One setting. `--name-with-dashes`, `COREPOD_NAME` and the key `name` of corepod.toml all mean it.

    `kind` is the name of a parser in `corepod.config.kinds`. `pod` is the default of `corepod pid1` where it differs.
    `short` is a second flag. `platform` is a variable that hosting platforms set for any server; it counts where
    nothing else is given.
    """

    name: str
    kind: str
    default: Any
    help: str
    group: str
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    pod: Any = None
    short: str = ""
    platform: str = ""

    @property
    def flag(self) -> str:
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        return "COREPOD_" + self.name.upper()


def _group(title: str, *rows: tuple[Any, ...]) -> list[Setting]:
    return [
        Setting(name=name, kind=kind, default=default, help=text, group=title, **(extra[0] if extra else {}))
        for name, kind, default, text, *extra in rows
    ]


_APPLICATION = _group(
    "Application",
    (
        "app",
        "text",
        "",
        "the application, as MODULE:ATTRIBUTE, or MODULE:FACTORY(ARGUMENTS) with literal arguments for a function that "
        "returns it; the attribute may be left out where it is called app or application",
    ),
    ("factory", "flag", False, "the attribute is a function that returns the application"),
    (
        "interface",
        "choice",
        "auto",
        "the interface of the application; auto detects it by the signature",
        {"choices": ("auto", "asgi", "wsgi")},
    ),
    (
        "chdir",
        "text",
        "",
        "folder to change to before the application is imported; modules are looked up there first. "
        "A symbolic link in the path is followed anew by each reload",
    ),
    (
        "env_file",
        "text",
        "",
        "file of NAME=VALUE lines added to the application's environment; variables that are already "
        "set keep their value. A reload reads the file again",
    ),
    (
        "pythonpath",
        "texts",
        [],
        "folder in which modules are looked up before all others, the application's own folder included; may be "
        "repeated, and the first one comes first. A relative one counts from where the pool is started",
    ),
    ("wsgi_threads", "count", 8, "threads for a WSGI application, in each worker", {"minimum": 1}),
    (
        "lifespan",
        "choice",
        "auto",
        "the lifespan of an ASGI application: auto runs it, if the application has one; off never does",
        {"choices": ("auto", "off")},
    ),
    (
        "loop",
        "choice",
        "asyncio",
        "event loop of the workers; uvloop has to be installed",
        {"choices": ("asyncio", "uvloop")},
    ),
    (
        "preload",
        "choice",
        "libraries",
        "what workers share: libraries are imported once, and each worker imports the application itself; application "
        "imports it once for all workers; nothing starts each worker from scratch",
        {"choices": ("libraries", "application", "nothing")},
    ),
    (
        "warmup",
        "paths",
        [],
        "path, with a query if need be, that the process which holds the application is asked for before workers are "
        "forked from it, so that they share what the request has made; needs preload = application, and no lifespan "
        "has run then; may be repeated",
    ),
    ("debug", "flag", False, "allow a debugger in a worker: breakpoint() works, no timeouts, asyncio's debug mode"),
)
_POOL = _group(
    "Workers",
    ("name", "text", "", "name of the pool in logs, metrics and status; by default the application's module"),
    (
        "workers",
        "workers",
        "auto",
        "number of slots, 512 at most; auto is one for each usable core, also when these change while the pool runs; "
        "auto:2-8 is 2 to 8, auto:2- 2 to one for each usable core, as many as the load needs",
        {"pod": 1, "short": "-w", "platform": "WEB_CONCURRENCY"},
    ),
    (
        "pin",
        "choice",
        "auto",
        "pin each worker to its core: auto does so unless another pool or container may use the same "
        "core; never also allows more workers than cores",
        {"choices": ("auto", "always", "never")},
    ),
    (
        "standby",
        "choice",
        "armed",
        "process that is kept ready for the next crash: armed is forked with a warm server, live has "
        "also run the application's lifespan, none keeps no process ready",
        {"choices": ("armed", "live", "none")},
    ),
    (
        "standbys",
        "count",
        1,
        "number of standbys that are kept ready, for applications that must survive several crashes in a row as fast "
        "as the first one; without a meaning where standby is none",
        {"minimum": 1},
    ),
    ("live_max_age", "seconds", 3600.0, "maximum age of a live standby, 0 for no limit", {"minimum": 0}),
    (
        "crash_budget",
        "budget",
        (5, 60.0),
        "DEATHS/SECONDS that a slot may use up before it counts as failed; 0 for no limit, with a "
        "growing pause between restarts",
    ),
    (
        "max_requests",
        "count",
        0,
        "number of requests after which a worker is replaced by a new one, which is ready before the old one goes; 0 "
        "for no limit",
        {"minimum": 0},
    ),
    (
        "max_requests_jitter",
        "count",
        0,
        "maximum number of requests that are added to max_requests, by chance and for each worker, so that not all "
        "reach it at the same time",
        {"minimum": 0},
    ),
    ("max_age", "seconds", 0.0, "time after which a worker is replaced by a new one, 0 for no limit", {"minimum": 0}),
    (
        "max_age_jitter",
        "seconds",
        0.0,
        "maximum time that is added to max_age, by chance and for each worker",
        {"minimum": 0},
    ),
    (
        "max_memory",
        "memory",
        0,
        "memory with which a worker is replaced by a new one: bytes, such as 512m, of its own and its part of what "
        "workers share (PSS); or a share of the container's limit of memory, such as 80%, above which the largest "
        "worker is replaced; 0 for no limit",
    ),
    (
        "recycle_at",
        "cron",
        "",
        "times at which all workers are replaced by new ones, one after the other, as a cron expression of five "
        'fields in local time: "0 4 * * *" is 4:00 each day',
    ),
    (
        "take_turns",
        "count",
        0,
        "number of workers, of all pools and pods that share their state, that may make way for new ones at the same "
        "time, in reloads and where a limit is reached; 0 for no limit. A worker waits for its turn for 10 minutes at "
        "the most, and not where its memory is the reason",
        {"minimum": 0},
    ),
    (
        "overlap",
        "flag",
        True,
        "in a reload, and where a worker is replaced, stop the old worker when the new one is ready; off: stop it "
        "before the new one starts",
    ),
    (
        "exit_code",
        "choice",
        "contract",
        "exit code when the crash budget is used up: corepod's own, or that of the last worker (128 + signal); "
        "corepod's own, too, where that would be 0",
        {"choices": ("contract", "worker")},
    ),
    ("user", "text", "", "user that the workers run as (name or number)"),
    ("group", "text", "", "group that the workers run as (name or number); by default the user's own"),
    ("umask", "mode", None, "umask of the workers, octal"),
    (
        "pid_file",
        "text",
        "",
        "file that holds the pid of the pool while it runs, for PIDFile= of systemd and for kill -HUP $(cat FILE)",
    ),
    (
        "ready_file",
        "text",
        "",
        "file that is there, and empty, exactly while at least one worker is ready and the pool isn't stopping, for "
        "whoever waits for a file or tests for one",
    ),
)
_SOCKETS = _group(
    "Addresses",
    (
        "bind",
        "addresses",
        [f"127.0.0.1:{APP_PORT}"],
        "address of the application: HOST:PORT, [IPV6]:PORT or unix:PATH; *:PORT or :PORT for all addresses, IPv4 and "
        "IPv6; without a port it is 8000; may be repeated; sockets passed by systemd take precedence",
        {"pod": [f"{ALL}:{APP_PORT}"], "short": "-b", "platform": "PORT"},
    ),
    ("backlog", "count", 2048, "maximum number of connections that wait to be accepted", {"minimum": 1}),
    ("socket_mode", "mode", None, "file mode of a Unix socket, octal"),
    (
        "admin",
        "address",
        f"127.0.0.1:{ADMIN_PORT}",
        "address of probes, metrics and status; none switches them off",
        {"pod": f"{ALL}:{ADMIN_PORT}"},
    ),
    (
        "admin_status",
        "choice",
        "loopback",
        "clients that may read the status and its page",
        {"choices": ("loopback", "all")},
    ),
    (
        "control",
        "text",
        "",
        "path of the Unix socket by which the pool's owner reads and steers it, or @NAME for an abstract one; by "
        "default the pool's name in $XDG_RUNTIME_DIR/corepod or /run/corepod, an abstract one where neither can be "
        "written; none switches it off",
    ),
    (
        "notify",
        "address",
        "",
        "HOST:PORT of corepod's operator: each death of a worker sends it a datagram, so that it reads "
        "the pod's metrics at once",
    ),
)
_HEALTH = _group(
    "Health",
    (
        "ready_path",
        "text",
        "",
        "path that the worker requests from its own application; an answer of 400 or more makes the worker not ready",
    ),
    ("ready_interval", "seconds", 5.0, "interval between two requests of ready_path", {"minimum": 0.1}),
    (
        "busy_after",
        "seconds",
        30.0,
        "time after which a worker whose loop is blocked by computing is not ready",
        {"minimum": 0.1},
    ),
    (
        "busy_timeout",
        "seconds",
        300.0,
        "time after which a worker whose loop is blocked by computing is killed, 0 for never",
        {"minimum": 0},
    ),
    (
        "stuck_dump",
        "seconds",
        10.0,
        "time after which the stacks of a worker whose loop is blocked without using CPU are logged",
        {"minimum": 0.1},
    ),
    (
        "stuck_timeout",
        "seconds",
        60.0,
        "time after which a worker whose loop is blocked without using CPU is killed, 0 for never",
        {"minimum": 0},
    ),
    (
        "stalled_after",
        "seconds",
        5.0,
        "time for which all threads that serve requests may make no progress and use no CPU, while other requests wait "
        "for one, before the worker counts as stuck; 0 switches this off",
        {"minimum": 0},
    ),
    (
        "wsgi_timeout",
        "seconds",
        0.0,
        "time that a request may keep a thread of a WSGI application, without sending anything and without waiting for "
        "its client; then its stacks are logged, it is answered with 504, and the worker is replaced by a new one, "
        "which is ready before the old one goes; 0 for no limit",
        {"minimum": 0},
    ),
    (
        "stall_log",
        "seconds",
        0.1,
        "time for which code may block the event loop, while requests are served, before the worker logs the stack of "
        "what blocks it; 0 switches this off",
        {"minimum": 0},
    ),
)
_STOP = _group(
    "Stopping",
    (
        "lame_duck",
        "seconds",
        0.0,
        "time after TERM for which workers, not ready any more, still accept connections",
        {"minimum": 0, "pod": 5.0},
    ),
    (
        "stop_timeout",
        "seconds",
        25.0,
        "time for the whole stop, lame_duck included; whatever still runs is then killed",
        {"minimum": 0.1},
    ),
)
_HTTP = _group(
    "HTTP",
    (
        "http",
        "choice",
        "auto",
        "implementation that serves HTTP/1.1: httptools is the fast one, h11 is hypercorn's; auto is httptools where "
        "that library is installed. HTTP/2 and WebSockets are served by hypercorn in both cases",
        {"choices": ("auto", "httptools", "h11")},
    ),
    ("access_log", "flag", False, "log each request"),
    (
        "access_log_format",
        "text",
        '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s %(L)s',
        "format of the access log, in gunicorn's atoms; the default is the Common Log Format and the seconds that the "
        "request took",
    ),
    (
        "access_log_file",
        "text",
        "",
        "file that the access log goes to in place of standard output; it is then on without access_log. That "
        "logrotate has renamed or truncated it is noticed within a second",
    ),
    (
        "access_log_skip",
        "texts",
        [],
        "path of requests that the access log leaves out, such as /health; * stands for any text, also with slashes, "
        "and the query doesn't count; may be repeated",
    ),
    (
        "trusted_proxies",
        "networks",
        ["loopback"],
        "addresses or networks of proxies whose X-Forwarded-For, -Proto and -Host are used, * for every address, none "
        "for no peer; peer stands for whoever connects, where only a proxy can; loopback stands for proxies on this "
        "machine, of which -Host isn't used; Unix sockets are trusted unless it is none",
    ),
    (
        "sticky",
        "flag",
        False,
        "connections of one client go to the same slot: a cookie names it, and a worker hands over what belongs to "
        "another slot before it reads any of it; for Socket.IO's long polling and for caches. It can't be combined "
        "with tls_cert",
    ),
    (
        "sticky_cookie",
        "text",
        "corepod_sticky",
        "name of the cookie of sticky; pools that clients reach under one host name, on whatever ports, need different "
        "ones",
    ),
    ("keep_alive", "seconds", 5.0, "time after which an idle connection is closed", {"minimum": 0.1}),
    (
        "connection_max_age",
        "seconds",
        0.0,
        "age at which clients are asked to close a connection, 0 for no limit",
        {"minimum": 0},
    ),
    (
        "connection_max_requests",
        "count",
        1000,
        "number of requests after which clients are asked to close a connection",
        {"minimum": 1},
    ),
    (
        "request_timeout",
        "seconds",
        0.0,
        "time after which a request is answered with 504, 0 for no limit",
        {"minimum": 0},
    ),
    (
        "body_timeout",
        "seconds",
        30.0,
        "time without any progress of a request's body after which the request is answered with 408, 0 for no limit",
        {"minimum": 0},
    ),
    (
        "write_timeout",
        "seconds",
        60.0,
        "time without any progress of a response, because its client doesn't read, after which the connection is "
        "closed (over HTTP/2 the stream), 0 for no limit",
        {"minimum": 0},
    ),
    (
        "limit_requests",
        "count",
        0,
        "maximum number of requests that a worker serves at once, above it 503; 0 for no limit",
        {"minimum": 0},
    ),
    (
        "queue_timeout",
        "seconds",
        0.0,
        "time that a request may have waited for a worker to read it, or for a thread of a WSGI application, above "
        "which it is answered with 503 at once; 0 for no limit",
        {"minimum": 0},
    ),
    (
        "retry_after",
        "count",
        1,
        "seconds after which clients are asked to try again, in the Retry-After header of each such 503; 0 for no "
        "header",
        {"minimum": 0},
    ),
    (
        "limit_connections",
        "count",
        0,
        "maximum number of connections of a worker, above it none is accepted; 0 for no limit",
        {"minimum": 0},
    ),
    ("limit_header", "bytes", 16384, "maximum size of a request's head, above it 431", {"minimum": 1024}),
    ("limit_body", "bytes", 0, "maximum size of a request's body, above it 413; 0 for no limit", {"minimum": 0}),
    ("websocket_max_message", "bytes", 16 << 20, "maximum size of a WebSocket message", {"minimum": 1}),
    ("websocket_ping", "seconds", 20.0, "interval between two WebSocket pings, 0 for none", {"minimum": 0}),
    (
        "websocket_ping_timeout",
        "seconds",
        0.0,
        "time after a WebSocket ping within which something has to come from the client, or the session is closed with "
        "1011; 0 for websocket_ping, which is until the next ping is due",
        {"minimum": 0},
    ),
    ("http2_max_streams", "count", 100, "maximum number of concurrent streams of an HTTP/2 connection", {"minimum": 1}),
    (
        "root_path",
        "text",
        "",
        "path prefix under which a proxy serves the application; whether the proxy removes the prefix or passes it on, "
        "the application sees the public path",
    ),
    ("server_header", "flag", False, "send a Server header"),
    (
        "accept",
        "choice",
        "gate",
        "order in which workers accept from the shared queue: gate accepts the next connection when the "
        "request of the last one has reached the application, and leaves connections to a less busy worker while its "
        "threads compute; one accepts singly; batch accepts all that wait",
        {"choices": ("gate", "one", "batch")},
    ),
)
_SHARED = _group(
    "Shared state",
    (
        "shared",
        "text",
        "",
        "URL of the state that workers share through corepod.shared: redis://, rediss:// (TLS), redis+sentinel:// or "
        "unix:// for the workers of all pools and pods that have the same URL, sqlite:///PATH for those of one "
        "machine; by default a file of this pool. A variable is safer than a flag where the URL contains a password",
    ),
    (
        "shared_prefix",
        "text",
        "",
        "text in front of every key, lock and topic in the shared state; applications that have the same URL need "
        "different ones",
    ),
    (
        "shared_timeout",
        "seconds",
        1.0,
        "time that one operation on the shared state may take, a new connection included",
        {"minimum": 0.01},
    ),
    (
        "shared_required",
        "flag",
        False,
        "a worker isn't ready while the shared state can't be reached; otherwise only the requests that need it fail, "
        "with 503",
    ),
)

_TLS = _group(
    "TLS",
    ("tls_cert", "text", "", "certificate chain, PEM"),
    ("tls_key", "text", "", "private key of the certificate, PEM; may be in the same file"),
    ("tls_key_password", "text", "", "password of the private key; a variable is safer than a flag"),
    (
        "tls_client_ca",
        "text",
        "",
        "certificate authorities of client certificates, PEM; clients then need a certificate",
    ),
    ("tls_ciphers", "text", "", "OpenSSL cipher list for TLS 1.2"),
)
_HOOKS = _group(
    "Hooks",
    (
        "on_ready",
        "hooks",
        [],
        "hook that runs once, when the pool has its first worker that is ready: the URL of a webhook (http:// or "
        "https://), MODULE:FUNCTION of the application's code, or a command; may be repeated",
    ),
    (
        "on_exit",
        "hooks",
        [],
        "hook that runs whenever a worker has ended, by itself or as planned; as on_ready; may be repeated",
    ),
    (
        "on_reload",
        "hooks",
        [],
        "hook that runs when a reload is done, or was given up; as on_ready; may be repeated",
    ),
    (
        "on_give_up",
        "hooks",
        [],
        "hook that runs when a slot, or the pool, is given up; as on_ready; may be repeated",
    ),
    (
        "hook_timeout",
        "seconds",
        10.0,
        "time that a hook may take for an event; it is then killed, with all that it has started",
        {"minimum": 0.1},
    ),
)
_LOG = _group(
    "Log",
    (
        "log_format",
        "choice",
        "text",
        "format of log lines; with json, records of the application's logging module are JSON, too",
        {"choices": ("text", "json")},
    ),
    ("log_level", "choice", "info", "minimum level of log lines", {"choices": ("debug", "info", "warning", "error")}),
    (
        "log_prefix",
        "choice",
        "auto",
        "begin each line that a worker writes with the worker's number, slot, core and pid: auto does so on a "
        "terminal, and not in a file or pipe; a pod never does, and JSON lines have them as fields",
        {"choices": ("auto", "always", "never")},
    ),
    (
        "log_file",
        "text",
        "",
        "file that the log goes to in place of standard output and standard error; a pool that corepod start runs in "
        "the background has one in any case. Lines of workers begin with the time and the worker then, unless "
        "log_prefix is never",
    ),
    (
        "log_max_size",
        "bytes",
        10 << 20,
        "size at which the log file is renamed to FILE.1, and a new one begins; 0 for no limit",
        {"minimum": 0},
    ),
    ("log_files", "count", 5, "number of log files that are kept, the present one included", {"minimum": 1}),
    (
        "termination_log",
        "text",
        "",
        "existing file that is given the reason when the pool ends by itself; Kubernetes shows it",
        {"pod": "/dev/termination-log"},
    ),
)

_DEVELOPMENT = _group(
    "Development",
    (
        "reload",
        "flag",
        False,
        "watch the code, and replace the workers when it changes, for development; code that is broken answers with "
        "its traceback. No standby is kept then. corepod dev switches it on",
    ),
    ("reload_dir", "texts", [], "folder that is watched in place of the application's; may be repeated"),
    ("reload_include", "texts", ["*.py"], "pattern of the files whose change counts; may be repeated"),
    (
        "reload_exclude",
        "texts",
        [],
        "pattern of files and folders whose change doesn't count; may be repeated. Caches, version control, .venv, "
        "node_modules and temporary files of editors never do",
    ),
)

SETTINGS: tuple[Setting, ...] = tuple(
    setting
    for group in (_APPLICATION, _POOL, _SOCKETS, _HEALTH, _STOP, _HTTP, _SHARED, _TLS, _HOOKS, _LOG, _DEVELOPMENT)
    for setting in group
)
# What most people set: first in --help.
COMMON = (
    "workers",
    "bind",
    "admin",
    "factory",
    "interface",
    "chdir",
    "env_file",
    "access_log",
    "log_format",
    "trusted_proxies",
)
BY_NAME = {setting.name: setting for setting in SETTINGS}
