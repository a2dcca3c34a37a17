"""What uvicorn's flags become."""

from __future__ import annotations

from corepod.migrate import logconfig
from corepod.migrate.flags import BARE, NO, table
from corepod.migrate.given import Given
from corepod.migrate.gunicorn.logs import loglevel
from corepod.migrate.gunicorn.workers import unset_workers
from corepod.migrate.gunicorn.workers import workers as count
from corepod.migrate.rules import Case, Rule, asked, dropped, same, switch
from corepod.migrate.server import RELOAD, Server, host_and_port, loop, unix_socket

FLAGS = {
    **table(
        """
host --host
port --port
uds --uds
fd --fd
reload_dir --reload-dir
reload_include --reload-include
reload_exclude --reload-exclude
reload_delay --reload-delay
workers --workers
loop --loop
http --http
ws --ws
ws_max_size --ws-max-size
ws_max_queue --ws-max-queue
ws_ping_interval --ws-ping-interval
ws_ping_timeout --ws-ping-timeout
ws_per_message_deflate --ws-per-message-deflate
lifespan --lifespan
interface --interface
env_file --env-file
log_config --log-config
log_level --log-level
forwarded_allow_ips --forwarded-allow-ips
root_path --root-path
limit_concurrency --limit-concurrency
backlog --backlog
limit_max_requests --limit-max-requests
limit_max_requests_jitter --limit-max-requests-jitter
timeout_keep_alive --timeout-keep-alive
timeout_graceful_shutdown --timeout-graceful-shutdown
timeout_worker_healthcheck --timeout-worker-healthcheck
ssl_keyfile --ssl-keyfile
ssl_certfile --ssl-certfile
ssl_keyfile_password --ssl-keyfile-password
ssl_version --ssl-version
ssl_cert_reqs --ssl-cert-reqs
ssl_ca_certs --ssl-ca-certs
ssl_ciphers --ssl-ciphers
headers --header
app_dir --app-dir
h11_max_incomplete_event_size --h11-max-incomplete-event-size
"""
    ),
    **table(
        """
reload --reload
access_log --access-log
use_colors --use-colors
proxy_headers --proxy-headers
server_header --server-header
date_header --date-header
factory --factory
http2 --http2
reset_contextvars --reset-contextvars
version --version
debug --debug
""",
        BARE,
    ),
    **table(
        """
access_log --no-access-log
use_colors --no-use-colors
proxy_headers --no-proxy-headers
server_header --no-server-header
date_header --no-date-header
reload --no-reload
""",
        NO,
    ),
}


def _proxies(case: Case, given: Given) -> None:
    if not case.given.get("proxy_headers", Given("", True, "")).truth:
        case.drop(given, "has no effect without proxy headers")
    else:
        case.use(given, "trusted_proxies", given.words or ["none"])


def _proxy_headers(case: Case, given: Given) -> None:
    if given.truth:
        case.drop(given, "on, as by default: headers of proxies on this machine are used (trusted_proxies)")
    else:
        case.use(given, "trusted_proxies", ["none"])


def _lifespan(case: Case, given: Given) -> None:
    if given.value == "off":
        case.use(given, "lifespan", "off")
    else:
        case.drop(given, "the lifespan runs where the application has one")


RULES: dict[str, Rule] = {
    "host": host_and_port,
    "port": host_and_port,
    "uds": unix_socket,
    "fd": dropped("sockets of systemd are taken over by themselves (LISTEN_FDS)"),
    "reload": RELOAD,
    "reload_dir": same("reload_dir"),
    "reload_include": same("reload_include"),
    "reload_exclude": same("reload_exclude"),
    "reload_delay": dropped("only for development, where corepod dev chooses it"),
    "workers": count,
    "loop": loop,
    "http": dropped("httptools is used where it is installed (http)"),
    "http2": dropped("HTTP/2 is served with TLS"),
    "ws": dropped("WebSockets are served in any case"),
    "ws_max_size": same("websocket_max_message"),
    "ws_max_queue": dropped("messages that aren't read hold up their sender"),
    "ws_ping_interval": same("websocket_ping"),
    "ws_ping_timeout": same("websocket_ping_timeout"),
    "ws_per_message_deflate": dropped("what both sides offer is used"),
    "lifespan": _lifespan,
    "interface": dropped("detected by the signature (interface)"),
    "env_file": same("env_file"),
    "log_config": logconfig.file,
    "log_level": loglevel,
    "access_log": same("access_log"),
    "use_colors": dropped("lines are coloured on a terminal only"),
    "proxy_headers": _proxy_headers,
    "forwarded_allow_ips": _proxies,
    "root_path": same("root_path"),
    "limit_concurrency": same("limit_requests", "above it 503, as before"),
    "backlog": same("backlog"),
    "limit_max_requests": same(
        "max_requests", "requests in a worker's life: it limits neither concurrency nor the size of a body"
    ),
    "limit_max_requests_jitter": same("max_requests_jitter"),
    "timeout_keep_alive": same("keep_alive"),
    "timeout_graceful_shutdown": same("stop_timeout"),
    "timeout_worker_healthcheck": same("stuck_timeout"),
    "ssl_keyfile": same("tls_key"),
    "ssl_certfile": same("tls_cert"),
    "ssl_keyfile_password": same("tls_key_password", "COREPOD_TLS_KEY_PASSWORD is safer than a file"),
    "ssl_version": dropped("TLS 1.2 and later"),
    "ssl_cert_reqs": dropped("clients need a certificate where tls_client_ca is set"),
    "ssl_ca_certs": same("tls_client_ca"),
    "ssl_ciphers": same("tls_ciphers"),
    "headers": asked("headers of all responses are the application's (a middleware) or a proxy's"),
    "app_dir": same("pythonpath"),
    "h11_max_incomplete_event_size": same("limit_header"),
    "server_header": switch(same("server_header"), "none is sent, as by default"),
    "date_header": dropped("responses have a Date header"),
    "factory": same("factory"),
    "reset_contextvars": dropped("each request has a context of its own"),
    "version": dropped("shows a version"),
    "debug": dropped("corepod dev is for that"),
}


def _unset(case: Case) -> None:
    """What uvicorn does where nothing is given, and corepod wouldn't."""
    unset_workers(case, Given("--workers", 1, "not given: 1"))
    if "access_log" not in case.given:
        case.program.use("--access-log", "not given: on", "access_log", True, "uvicorn logs each request by default")


SERVER = Server("uvicorn", FLAGS, RULES, _unset, ("reload_dir", "reload_include", "reload_exclude"))
