"""One rule for each of gunicorn's settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from corepod.migrate import addresses, logconfig
from corepod.migrate.gunicorn import logs, own, paste, workers
from corepod.migrate.rules import Rule, asked, dropped, same, switch, zero_is_off

if TYPE_CHECKING:
    from corepod.migrate.given import Given
    from corepod.migrate.rules import Case

NO_FILE = "workers write their heartbeat into shared memory"
PROMETHEUS = "corepod has no statsd: Prometheus reads /metrics of the admin port, or statsd-exporter stands between"
SYSLOG = "corepod writes to standard output or a file; what runs it (systemd, a container) passes that on to syslog"
DIRTY = "corepod has no dirty workers; threads, or a queue of jobs, do that"
HTTP2 = "HTTP/2 is served with TLS, and its limits are corepod's own (http2_max_streams)"
TLS = "corepod's own TLS settings hold: TLS 1.2 and later"


def keepalive(case: Case, given: Given) -> None:
    if given.number:
        same("keep_alive")(case, given)
    else:
        case.use(given, "connection_max_requests", 1, "0: a connection is closed after each request")


def preload_app(case: Case, given: Given) -> None:
    note = "imported once for all workers, as before; docs/fork-safety.md says what then may not be made at import"
    case.use(given, "preload", "application", note)


def graceful_timeout(case: Case, given: Given) -> None:
    note = "what runs the pool has to wait longer: terminationGracePeriodSeconds, TimeoutStopSec, stopwaitsecs"
    case.use(given, "stop_timeout", max(given.number, 0.1), note if given.number > 25 else "")


def limit_head(case: Case, given: Given) -> None:
    sizes = ("limit_request_line", "limit_request_field_size")
    if given.number == 0:
        case.use(given, "limit_header", 1 << 20, "no limit there; corepod has always one")
        return
    largest = max([16384, *(case.given[name].count for name in sizes if name in case.given)])
    case.use(given, "limit_header", largest, "the whole head has one limit")


def umask(case: Case, given: Given) -> None:
    bits = int(str(given.value), 8) if isinstance(given.value, str) else given.count
    if any(word.startswith("unix:") for word in given_binds(case)):
        case.use(given, "socket_mode", f"{0o666 & ~bits:o}", "gunicorn's umask is the mode of its socket, not of files")
    else:
        case.drop(given, "gunicorn uses it for Unix sockets only, and there is none")


def given_binds(case: Case) -> list[str]:
    return case.given["bind"].words if "bind" in case.given else []


def forwarded(case: Case, given: Given) -> None:
    case.use(given, "trusted_proxies", given.words or ["none"])


def person(ours: str) -> Rule:
    return lambda case, given: case.use(given, ours, str(given.value))


def raw_env(case: Case, given: Given) -> None:
    pairs = given.value if isinstance(given.value, list | tuple) else [given.value]
    for pair in pairs:
        name, _, value = str(pair).partition("=")
        case.program.variables[name] = value
    case.program.map(given.setting, given.text, "[env]")


def reload(case: Case, given: Given) -> None:
    case.use(given, "reload", True, "for development; corepod dev does it without a setting", check=True)


RULES: dict[str, Rule] = {
    "bind": addresses.bind,
    "backlog": same("backlog"),
    "workers": workers.workers,
    "worker_class": own.worker_class,
    "threads": workers.threads,
    "worker_connections": workers.worker_connections,
    "max_requests": zero_is_off("max_requests", "a planned replacement: the next worker is ready before"),
    "max_requests_jitter": zero_is_off("max_requests_jitter"),
    "timeout": workers.timeout,
    "graceful_timeout": graceful_timeout,
    "keepalive": keepalive,
    "limit_request_line": limit_head,
    "limit_request_field_size": limit_head,
    "limit_request_fields": dropped("limit_header limits the whole head"),
    "reload": switch(reload, "off, as by default"),
    "reload_engine": dropped("corepod dev and reload choose by themselves"),
    "reload_extra_files": same("reload_include", "patterns of files"),
    "spew": dropped("a debugger works under corepod dev"),
    "check_config": dropped("corepod check does it"),
    "print_config": dropped("corepod config does it"),
    "preload_app": switch(preload_app, "each worker imports the application itself, as by default"),
    "sendfile": dropped("files are sent by the application or by a proxy"),
    "reuse_port": dropped("all workers share the supervisor's sockets"),
    "chdir": same("chdir"),
    "daemon": switch(dropped("corepod start runs a pool in the background"), "corepod run stays in the foreground"),
    "raw_env": raw_env,
    "pidfile": same("pid_file"),
    "worker_tmp_dir": dropped(NO_FILE),
    "user": person("user"),
    "group": person("group"),
    "umask": umask,
    "initgroups": dropped("workers have the groups of their user"),
    "tmp_upload_dir": dropped("bodies are streamed to the application; no file is written"),
    "secure_scheme_headers": asked("corepod reads X-Forwarded-Proto, and no other header; let the proxy send that"),
    "forwarded_allow_ips": forwarded,
    "accesslog": logs.accesslog,
    "access_log_format": logs.access_log_format,
    "errorlog": logs.errorlog,
    "loglevel": logs.loglevel,
    "capture_output": dropped("what workers print is in the log in any case"),
    "enable_stdio_inheritance": dropped("what workers print is in the log in any case"),
    "logger_class": logs.logger_class,
    "logconfig": logconfig.file,
    "logconfig_json": logconfig.file,
    "logconfig_dict": logconfig.mapping,
    "disable_redirect_access_to_syslog": dropped("corepod doesn't write to syslog"),
    "syslog": switch(asked(SYSLOG), "off, as by default"),
    "syslog_addr": dropped("corepod doesn't write to syslog"),
    "syslog_prefix": dropped("corepod doesn't write to syslog"),
    "syslog_facility": dropped("corepod doesn't write to syslog"),
    "statsd_host": asked(PROMETHEUS),
    "statsd_prefix": dropped("has no effect without statsd"),
    "dogstatsd_tags": dropped("has no effect without statsd"),
    "enable_backlog_metric": dropped("corepod_accept_queue_length is always measured"),
    "proc_name": same("name"),
    "default_proc_name": dropped("the pool is named after the application"),
    "pythonpath": same("pythonpath"),
    "paste": paste.application,
    "raw_paste_global_conf": paste.variables,
    "proxy_protocol": asked("corepod doesn't speak the PROXY protocol; let the proxy send X-Forwarded-For"),
    "proxy_allow_ips": dropped("it is about the PROXY protocol"),
    "uwsgi_allow_ips": dropped("it is about the uwsgi protocol"),
    "protocol": asked("corepod speaks HTTP; let the proxy do the same (proxy_pass)"),
    "keyfile": same("tls_key"),
    "certfile": same("tls_cert"),
    "ca_certs": same("tls_client_ca", "clients then need a certificate"),
    "cert_reqs": dropped("tls_client_ca decides: clients need a certificate where it is set"),
    "ciphers": same("tls_ciphers"),
    "ssl_version": dropped(TLS),
    "suppress_ragged_eofs": dropped(TLS),
    "do_handshake_on_connect": dropped(TLS),
    "strip_header_spaces": dropped("it accepted requests that are no HTTP, and corepod refuses them"),
    "permit_obsolete_folding": dropped("it accepted requests that are no HTTP, and corepod refuses them"),
    "permit_unconventional_http_method": dropped("methods are the application's matter"),
    "permit_unconventional_http_version": dropped("it accepted requests that are no HTTP, and corepod refuses them"),
    "casefold_http_method": dropped("methods are written in capitals"),
    "tolerate_dangerous_framing": dropped("it accepted requests that are no HTTP, and corepod refuses them"),
    "forwarder_headers": asked("SCRIPT_NAME of a header isn't used; root_path is the prefix"),
    "header_map": dropped("headers with underscores are the application's matter"),
    "root_path": same("root_path"),
    "control_socket": dropped("corepod's own socket needs no folder that can be written (control)"),
    "control_socket_mode": dropped("only the pool's owner may use corepod's control socket"),
    "control_socket_disable": dropped("corepod's own socket needs no folder that can be written (control)"),
    "dirty_apps": asked(DIRTY),
    "dirty_workers": asked(DIRTY),
    "dirty_timeout": dropped(DIRTY),
    "dirty_threads": dropped(DIRTY),
    "dirty_graceful_timeout": dropped(DIRTY),
    "http_protocols": dropped(HTTP2),
    "http2_cleartext": dropped(HTTP2),
    "http2_max_concurrent_streams": same("http2_max_streams"),
    "http2_initial_window_size": dropped(HTTP2),
    "http2_max_frame_size": dropped(HTTP2),
    "http2_max_header_list_size": dropped(HTTP2),
    "http_parser": dropped("httptools is used where it is installed (http)"),
    "asgi_loop": dropped("loop = uvloop where uvloop is installed"),
    "asgi_lifespan": same("lifespan"),
    "asgi_disconnect_grace_period": dropped("the application is told at once, and its request is cancelled later"),
    "websocket_max_message_size": same("websocket_max_message"),
}
