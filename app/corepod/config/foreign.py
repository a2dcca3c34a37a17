"""Flags of gunicorn, uvicorn, granian, hypercorn, PM2 and supervisord that corepod doesn't have, with what to use
instead."""

from __future__ import annotations

from corepod.config.spec import SETTINGS
from corepod.contract.env import APP_PORT

_CLASSES = "ASGI and WSGI applications are served alike, and detected by their signature (--interface)"
_CHANGES = "corepod dev, or --reload, watches the code (docs/development.md)"
_LOGGING = "an application configures its own logging; --log-format and --log-level are for corepod's lines"
_PROXIES = "--trusted-proxies ADDRESSES says whose X-Forwarded headers are used"
_PID = "use --pid-file FILE"
_LOG_FILE = "use --log-file FILE, which has the lines of the supervisor and of all workers"
_RESTARTS = "workers that die are replaced at once; --crash-budget DEATHS/SECONDS says how often that may happen"
_FOREGROUND = "corepod run stays in the foreground"
_TIME = "each line of the log has its time"
_CLIENT_CERTIFICATE = "--tls-client-ca FILE makes clients need a certificate"

# Those that are followed by a value. --host and --port are answered together.
_VALUED = {
    ("-k", "--worker-class"): _CLASSES,
    ("--threads", "--blocking-threads"): "--wsgi-threads N sets the threads of a WSGI application",
    ("-t", "--timeout"): "use --wsgi-timeout SECONDS for a WSGI application; --busy-timeout and --stuck-timeout "
    "replace a worker whose loop is blocked",
    (
        "--graceful-timeout",
        "--timeout-graceful-shutdown",
        "--kill-timeout",
        "--workers-kill-timeout",
    ): "use --stop-timeout SECONDS",
    ("--timeout-worker-healthcheck",): "use --stuck-timeout SECONDS and --busy-timeout SECONDS",
    ("--timeout-keep-alive",): "use --keep-alive SECONDS",
    ("--limit-max-requests",): "use --max-requests N",
    ("--limit-max-requests-jitter",): "use --max-requests-jitter N",
    ("--workers-lifetime",): "use --max-age SECONDS",
    ("--workers-max-rss",): "use --max-memory BYTES, such as 512m",
    ("--cron-restart", "--cron"): 'use --recycle-at CRON, such as "0 4 * * *"',
    ("--worker-connections",): "use --limit-connections N",
    ("--limit-concurrency",): "use --limit-requests N",
    (
        "--limit-request-line",
        "--limit-request-field_size",
        "--limit-request-fields",
        "--h11-max-incomplete-event-size",
    ): "use --limit-header BYTES",
    ("-i", "--instances"): "use --workers N, or auto for one on each usable core",
    ("--ssl-certfile", "--certfile"): "use --tls-cert FILE",
    ("--ssl-keyfile", "--keyfile"): "use --tls-key FILE",
    ("--ssl-keyfile-password", "--keyfile-password"): "use --tls-key-password, or better COREPOD_TLS_KEY_PASSWORD",
    ("--ssl-ca-certs", "--ca-certs"): "use --tls-client-ca FILE",
    ("--ssl-cert-reqs", "--cert-reqs", "--verify-mode"): _CLIENT_CERTIFICATE,
    ("--ssl-ciphers", "--ciphers"): "use --tls-ciphers LIST",
    ("--forwarded-allow-ips", "--proxy-allow-from"): _PROXIES,
    ("--http", "--ws"): "HTTP/1.1, HTTP/2 and WebSockets are served where they are asked for",
    ("--uds",): "use --bind unix:PATH",
    ("--fd",): "sockets of systemd are taken over by themselves (LISTEN_FDS)",
    ("--working-directory", "--working-dir", "--cwd"): "use --chdir FOLDER",
    ("--app-dir",): "use --pythonpath FOLDER",
    ("-e",): "use --env-file FILE, or set the variable before the start",
    ("-c",): "use --config FILE; the file is TOML, and corepod migrate makes one of gunicorn.conf.py",
    ("-n", "--proc-name", "--process-name"): "use --name NAME",
    ("-u",): "use --user NAME",
    ("-g",): "use --group NAME",
    ("-m",): "use --umask MODE",
    ("-p",): f"use --bind HOST:PORT for the port; {_PID}",
    ("--pid", "--pidfile"): _PID,
    ("--access-logfile",): "use --access-log; the access log is part of the log (--log-file FILE)",
    ("--access-logformat",): "use --access-log-format FORMAT",
    ("--error-logfile", "--errorlog", "-o", "--output", "--error", "-l", "--log", "--logfile"): _LOG_FILE,
    ("--log-config", "--log-config-json", "--logger-class"): _LOGGING,
    ("--reload-extra-file",): "use --reload-include PATTERN",
    ("--ignore-watch", "--reload-ignore-patterns", "--reload-ignore-dirs"): "use --reload-exclude PATTERN",
    ("--reload-engine", "--reload-delay", "--reload-tick", "--watch-delay"): _CHANGES,
    ("--ws-max-size", "--websocket-max-size"): "use --websocket-max-message BYTES",
    ("--ws-ping-interval", "--websocket-ping-interval"): "use --websocket-ping SECONDS",
    ("--ws-ping-timeout",): "use --websocket-ping-timeout SECONDS",
    ("--insecure-bind",): "use --bind HOST:PORT; an address of a pool is served with TLS or without",
    ("--quic-bind",): "HTTP/3 isn't served; a proxy in front of the pool can do that",
    ("--respawn-interval", "--restart-delay", "--exp-backoff-restart-delay", "--min-uptime"): _RESTARTS,
    ("--listen-timeout",): "corepod start waits until the pool is ready, and fails with the reason",
    ("--interpreter",): "install corepod in the environment of that interpreter, and run it from there",
    ("--worker-tmp-dir",): "there is no need for it: workers write their heartbeat into shared memory",
    ("--statsd-host", "--statsd-prefix"): "Prometheus reads metrics at /metrics of the admin port (--admin)",
    ("--max-memory-restart",): "use --max-memory BYTES, such as 512m",
    ("--max-restarts",): "use --crash-budget DEATHS/SECONDS",
}
_BARE = {
    ("--watch",): _CHANGES,
    ("-D", "--daemon"): "corepod start runs a pool in the background",
    ("--no-daemon", "--nodaemon"): _FOREGROUND,
    ("--autorestart", "--no-autorestart", "--respawn-failed-workers"): _RESTARTS,
    ("--wait-ready",): "a worker is ready when its lifespan has run; --ready-path PATH asks the application, too",
    ("--merge-logs",): "all workers write to one log in any case",
    ("--time",): _TIME,
    ("-R", "--enable-stdio-inheritance", "--capture-output"): "what workers print is in the log in any case",
    ("--proxy-headers", "--no-proxy-headers"): _PROXIES,
    ("--reuse-port",): "there is no need for it: all workers share the supervisor's sockets",
    ("--check-config",): "use corepod check MODULE:ATTRIBUTE",
    ("--print-config",): "use corepod config MODULE:ATTRIBUTE",
    ("--use-colors", "--no-use-colors"): "lines are coloured on a terminal only, and by the live table",
}
_PARTS = ("--host", "--port")
_OURS = {name for setting in SETTINGS for name in (setting.flag, setting.short)}
_ANSWERS = {
    flag: (bare, answer)
    for bare, table in ((False, _VALUED), (True, _BARE))
    for flags, answer in table.items()
    for flag in flags
    if flag not in _OURS
}


def is_flag(word: str) -> bool:
    """Whether this is a flag of ours, or one that is answered here."""
    flag = word.partition("=")[0]
    return flag.startswith("-") and (flag in _OURS or flag in _ANSWERS or flag in _PARTS)


def take(argv: list[str], known: tuple[str, ...] = ()) -> tuple[list[str], list[str]]:
    """The arguments without the foreign flags and their values, and a phrase for each of these flags.

    `known` are flags that the command has beside the settings.
    """
    rest: list[str] = []
    faults: list[str] = []
    parts: dict[str, str] = {}
    left = list(argv)
    while left:
        flag, equals, value = left.pop(0).partition("=")
        bare, answer = (False, "") if flag in known else _ANSWERS.get(flag, (False, ""))
        if not answer and flag not in _PARTS:
            rest.append(flag + equals + value)
            continue
        if not (bare or equals) and left and not left[0].startswith("-"):
            value = left.pop(0)
        if flag in _PARTS:
            parts[flag] = value
        else:
            faults.append(f"there is no flag {flag}; {answer}")
    return rest, ([_address(parts)] if parts else []) + faults


def _address(parts: dict[str, str]) -> str:
    host = parts.get("--host") or "127.0.0.1"
    shown = f"[{host}]" if ":" in host else host
    flags = " and no ".join(parts)
    return f"there is no flag {flags}; write --bind {shown}:{parts.get('--port') or APP_PORT}"
