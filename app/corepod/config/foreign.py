"""Flags of gunicorn, uvicorn, hypercorn and PM2 that corepod doesn't have, with what to use instead."""

from __future__ import annotations

from corepod.config.spec import SETTINGS
from corepod.contract.env import APP_PORT

_CLASSES = "ASGI and WSGI applications are served alike, and detected by their signature (--interface)"
_CHANGES = "corepod dev, or --reload, watches the code (docs/development.md)"
_LOGGING = "an application configures its own logging; --log-format and --log-level are for corepod's lines"
_PROXIES = "--trusted-proxies ADDRESSES says whose X-Forwarded headers are used"
_SERVICE = "leave that to the service manager, such as systemd"
_LOG_FILE = "--log-file FILE is for all of the log"
_CLIENT_CERTIFICATE = "--tls-client-ca FILE makes clients need a certificate"

# Those that are followed by a value. --host and --port are answered together.
_VALUED = {
    ("-k", "--worker-class"): _CLASSES,
    ("--threads", "--blocking-threads"): "--wsgi-threads N sets the threads of a WSGI application",
    ("-t", "--timeout"): "--request-timeout limits a request; --busy-timeout and --stuck-timeout replace a worker "
    "that is blocked",
    ("--graceful-timeout", "--timeout-graceful-shutdown", "--kill-timeout"): "use --stop-timeout SECONDS",
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
    (
        "--http",
        "--ws",
        "--lifespan",
    ): "HTTP/1.1, HTTP/2, WebSockets and the lifespan are served where they are asked for",
    ("--uds",): "use --bind unix:PATH",
    ("--fd",): "sockets of systemd are taken over by themselves (LISTEN_FDS)",
    ("--app-dir", "--pythonpath", "--working-directory", "--cwd"): "use --chdir FOLDER",
    ("-e",): "use --env-file FILE, or set the variable before the start",
    ("-c",): "use --config FILE; the file is TOML (docs/reference/settings.md)",
    ("-n",): "use --name NAME",
    ("-u",): "use --user NAME",
    ("-g",): "use --group NAME",
    ("-m",): "use --umask MODE",
    ("-p",): "use --bind HOST:PORT for the port; no pid file is written",
    ("--pid", "--pidfile"): f"no pid file is written; {_SERVICE}",
    ("--access-logfile",): "use --access-log; the access log goes to standard output",
    ("--access-logformat",): "use --access-log-format FORMAT",
    ("--error-logfile", "--errorlog"): _LOG_FILE,
    ("--log-config", "--log-config-json", "--logger-class"): _LOGGING,
    ("--reload-extra-file",): "use --reload-include PATTERN",
    ("--statsd-host", "--statsd-prefix"): "Prometheus reads metrics at /metrics of the admin port (--admin)",
    ("--max-memory-restart",): "use --max-memory BYTES, such as 512m",
    ("--max-restarts",): "use --crash-budget DEATHS/SECONDS",
}
_BARE = {
    ("--watch",): _CHANGES,
    ("-D", "--daemon"): "corepod start runs a pool in the background",
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
