"""What granian's flags become."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from corepod.migrate import logconfig
from corepod.migrate.flags import BARE, NO, table
from corepod.migrate.gunicorn.logs import loglevel
from corepod.migrate.gunicorn.workers import one_worker
from corepod.migrate.gunicorn.workers import workers as count
from corepod.migrate.rules import Case, Rule, asked, dropped, same, switch
from corepod.migrate.server import RELOAD, Server, host_and_port, loop, unix_socket

if TYPE_CHECKING:
    from collections.abc import Callable

    from corepod.migrate.given import Given

SWITCHES = (
    *("ws", "http1-keep-alive", "http1-pipeline-flush", "http2-adaptive-window", "log", "access-log"),
    *("ssl-client-verify", "respawn-failed-workers", "factory", "metrics", "reload", "reload-ignore-worker-failure"),
)
FLAGS = {
    **table(
        """
host --host
port --port
uds --uds
uds_permissions --uds-permissions
interface --interface
http --http
workers --workers
blocking_threads --blocking-threads
blocking_threads_idle_timeout --blocking-threads-idle-timeout
threads --threads
runtime_threads --runtime-threads
runtime_blocking_threads --runtime-blocking-threads
runtime_mode --runtime-mode
threading_mode --threading-mode
loop --loop
task_impl --task-impl
backlog --backlog
backpressure --backpressure
http1_buffer_size --http1-buffer-size
http1_header_read_timeout --http1-header-read-timeout
http2_initial_connection_window_size --http2-initial-connection-window-size
http2_initial_stream_window_size --http2-initial-stream-window-size
http2_keep_alive_interval --http2-keep-alive-interval
http2_keep_alive_timeout --http2-keep-alive-timeout
http2_max_concurrent_streams --http2-max-concurrent-streams
http2_max_frame_size --http2-max-frame-size
http2_max_headers_size --http2-max-headers-size
http2_max_send_buffer_size --http2-max-send-buffer-size
log_level --log-level
log_config --log-config
access_log_fmt --access-log-fmt
ssl_certificate --ssl-certificate
ssl_keyfile --ssl-keyfile
ssl_keyfile_password --ssl-keyfile-password
ssl_protocol_min --ssl-protocol-min
ssl_ca --ssl-ca
ssl_crl --ssl-crl
url_path_prefix --url-path-prefix
respawn_interval --respawn-interval
rss_sample_interval --rss-sample-interval
rss_samples --rss-samples
workers_lifetime --workers-lifetime
workers_max_rss --workers-max-rss
workers_kill_timeout --workers-kill-timeout
working_dir --working-dir
env_files --env-files
static_path_route --static-path-route
static_path_mount --static-path-mount
static_path_dir_to_file --static-path-dir-to-file
static_path_expires --static-path-expires
metrics_scrape_interval --metrics-scrape-interval
metrics_address --metrics-address
metrics_port --metrics-port
reload_paths --reload-paths
reload_ignore_dirs --reload-ignore-dirs
reload_ignore_patterns --reload-ignore-patterns
reload_ignore_paths --reload-ignore-paths
reload_tick --reload-tick
process_name --process-name
pid_file --pid-file
"""
    ),
    **table("\n".join(f"{name.replace('-', '_')} --{name}" for name in SWITCHES), BARE),
    **table("\n".join(f"{name.replace('-', '_')} --no-{name}" for name in SWITCHES), NO),
}
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
RSGI = "RSGI is granian's own: corepod serves ASGI and WSGI. Most frameworks that have RSGI have ASGI, too"
FILES = "corepod sends no static files: a proxy does, or WhiteNoise, or StaticFiles of the framework"
TUNING = "of granian's runtime, which corepod doesn't have"
METRICS = "metrics are at /metrics of the admin port (admin)"
FRAMES = "of granian's HTTP/2; corepod has http2_max_streams and limit_header"


def seconds(given: Given) -> float:
    """A number of seconds, or a duration such as 1h30m."""
    text = str(given.value).strip()
    if not re.fullmatch(r"(\d+[smhd])+", text):
        return given.number
    return float(sum(int(number) * UNITS[unit] for number, unit in re.findall(r"(\d+)([smhd])", text)))


def _duration(ours: str, note: str = "") -> Rule:
    return lambda case, given: case.use(given, ours, seconds(given), note)


def _interface(case: Case, given: Given) -> None:
    if given.value == "rsgi":
        case.ask(given, RSGI)
    elif given.value == "asginl":
        case.use(given, "lifespan", "off", "ASGI without the lifespan")
    else:
        case.use(given, "interface", str(given.value))


def _memory(case: Case, given: Given) -> None:
    case.use(given, "max_memory", f"{given.count}m", "of a worker's own memory and its part of what workers share")


def _ignored(pattern: Callable[[str], str]) -> Rule:
    return lambda case, given: case.use(given, "reload_exclude", [pattern(word) for word in given.words], check=True)


RULES: dict[str, Rule] = {
    **dict.fromkeys(("host", "port"), host_and_port),
    "uds": unix_socket,
    "uds_permissions": lambda case, given: case.use(given, "socket_mode", str(given.value).removeprefix("0o")),
    "interface": _interface,
    "http": dropped("HTTP/1.1, and HTTP/2 with TLS, are served in any case"),
    "ws": switch(dropped("WebSockets are served in any case"), "applications refuse what they don't know"),
    "workers": count,
    "blocking_threads": same("wsgi_threads"),
    "loop": loop,
    "backlog": same("backlog"),
    "backpressure": same("limit_connections", "connections of a worker; others wait in the queue of all workers"),
    "http1_keep_alive": switch(
        dropped("on, as by default"), "connections can't be limited to one request here: keep_alive is the idle time"
    ),
    "http1_buffer_size": dropped(TUNING),
    "http1_header_read_timeout": dropped("a head that isn't complete is given up by keep_alive"),
    "http2_max_concurrent_streams": same("http2_max_streams"),
    "log": switch(dropped("on, as by default"), "the log is needed: log_level = error is as near as it gets"),
    "log_level": loglevel,
    "log_config": logconfig.file,
    "access_log": same("access_log"),
    "access_log_fmt": asked("granian's names differ from gunicorn's atoms, which access_log_format has"),
    "ssl_certificate": same("tls_cert"),
    "ssl_keyfile": same("tls_key"),
    "ssl_keyfile_password": same("tls_key_password", "COREPOD_TLS_KEY_PASSWORD is safer than a file"),
    "ssl_protocol_min": dropped("TLS 1.2 and later"),
    "ssl_ca": same("tls_client_ca"),
    "ssl_crl": asked("corepod reads no revocation list; a proxy does"),
    "ssl_client_verify": dropped("clients need a certificate where tls_client_ca is set"),
    "url_path_prefix": same("root_path"),
    "respawn_failed_workers": dropped("workers that die are always replaced"),
    "respawn_interval": dropped("workers that die are replaced at once (crash_budget)"),
    "workers_lifetime": _duration("max_age"),
    "workers_max_rss": _memory,
    "workers_kill_timeout": _duration("stop_timeout"),
    "factory": same("factory"),
    "working_dir": same("chdir"),
    "env_files": same("env_file"),
    **dict.fromkeys(("static_path_route", "static_path_mount", "static_path_dir_to_file"), asked(FILES)),
    "static_path_expires": dropped("it is about static files"),
    "metrics": dropped(METRICS),
    **dict.fromkeys(("metrics_scrape_interval", "metrics_address", "metrics_port"), dropped(METRICS)),
    "reload": RELOAD,
    "reload_paths": same("reload_dir"),
    "reload_ignore_dirs": _ignored(str),
    "reload_ignore_paths": _ignored(str),
    "reload_ignore_patterns": asked("regular expressions there; reload_exclude has patterns with * and ?"),
    "reload_tick": dropped("for development, where corepod dev chooses it"),
    "reload_ignore_worker_failure": dropped("code that is broken answers with its traceback"),
    "process_name": same("name"),
    "pid_file": same("pid_file"),
    **dict.fromkeys(
        (
            *("blocking_threads_idle_timeout", "threads", "runtime_threads", "runtime_blocking_threads"),
            *("runtime_mode", "threading_mode", "task_impl", "rss_sample_interval", "rss_samples"),
            "http1_pipeline_flush",
        ),
        dropped(TUNING),
    ),
    **dict.fromkeys(
        (
            *("http2_adaptive_window", "http2_initial_connection_window_size", "http2_initial_stream_window_size"),
            *("http2_keep_alive_interval", "http2_keep_alive_timeout", "http2_max_frame_size"),
            *("http2_max_headers_size", "http2_max_send_buffer_size"),
        ),
        dropped(FRAMES),
    ),
}


def _unset(case: Case) -> None:
    """What granian does where nothing is given, and corepod wouldn't."""
    one_worker(case)
    if "interface" not in case.given:
        case.program.ask("--interface", "not given: rsgi", RSGI)


SERVER = Server(
    "granian", FLAGS, RULES, _unset, ("reload_paths", "reload_ignore_dirs", "reload_ignore_paths"), "GRANIAN_"
)
