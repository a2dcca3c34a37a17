"""gunicorn's settings with their flags and defaults, of the versions 20 to 27."""

from __future__ import annotations

from typing import Any

from corepod.migrate.flags import BARE, NO, OPTIONAL, table

FLAGS = {
    **table(
        """
config -c --config
bind -b --bind
backlog --backlog
workers -w --workers
worker_class -k --worker-class
threads --threads
worker_connections --worker-connections
max_requests --max-requests
max_requests_jitter --max-requests-jitter
timeout -t --timeout
graceful_timeout --graceful-timeout
keepalive --keep-alive
limit_request_line --limit-request-line
limit_request_fields --limit-request-fields
limit_request_field_size --limit-request-field_size
reload_engine --reload-engine
reload_extra_files --reload-extra-file
chdir --chdir
raw_env -e --env
pidfile -p --pid
worker_tmp_dir --worker-tmp-dir
user -u --user
group -g --group
umask -m --umask
forwarded_allow_ips --forwarded-allow-ips
accesslog --access-logfile
access_log_format --access-logformat
errorlog --error-logfile --log-file
loglevel --log-level
logger_class --logger-class
logconfig --log-config
logconfig_json --log-config-json
syslog_addr --log-syslog-to
syslog_prefix --log-syslog-prefix
syslog_facility --log-syslog-facility
statsd_host --statsd-host
dogstatsd_tags --dogstatsd-tags
statsd_prefix --statsd-prefix
proc_name -n --name
pythonpath --pythonpath
paste --paste --paster
raw_paste_global_conf --paste-global
proxy_allow_ips --proxy-allow-from
uwsgi_allow_ips --uwsgi-allow-from
protocol --protocol
keyfile --keyfile
certfile --certfile
ssl_version --ssl-version
cert_reqs --cert-reqs
ca_certs --ca-certs
ciphers --ciphers
forwarder_headers --forwarder-headers
header_map --header-map
root_path --root-path
control_socket --control-socket
control_socket_mode --control-socket-mode
dirty_apps --dirty-app
dirty_workers --dirty-workers
dirty_timeout --dirty-timeout
dirty_threads --dirty-threads
dirty_graceful_timeout --dirty-graceful-timeout
http_protocols --http-protocols
http2_cleartext --http2-cleartext
http2_max_concurrent_streams --http2-max-concurrent-streams
http2_initial_window_size --http2-initial-window-size
http2_max_frame_size --http2-max-frame-size
http2_max_header_list_size --http2-max-header-list-size
http_parser --http-parser
asgi_loop --asgi-loop
asgi_lifespan --asgi-lifespan
asgi_disconnect_grace_period --asgi-disconnect-grace-period
websocket_max_message_size --websocket-max-message-size
"""
    ),
    **table(
        """
reload --reload
spew --spew
check_config --check-config
print_config --print-config
preload_app --preload
reuse_port --reuse-port
daemon -D --daemon
initgroups --initgroups
disable_redirect_access_to_syslog --disable-redirect-access-to-syslog
capture_output --capture-output
syslog --log-syslog
enable_stdio_inheritance -R --enable-stdio-inheritance
enable_backlog_metric --enable-backlog-metric
suppress_ragged_eofs --suppress-ragged-eofs
do_handshake_on_connect --do-handshake-on-connect
strip_header_spaces --strip-header-spaces
permit_obsolete_folding --permit-obsolete-folding
permit_unconventional_http_method --permit-unconventional-http-method
permit_unconventional_http_version --permit-unconventional-http-version
casefold_http_method --casefold-http-method
tolerate_dangerous_framing --tolerate-dangerous-framing
control_socket_disable --no-control-socket
""",
        BARE,
    ),
    **table("sendfile --no-sendfile", NO),
    **table("proxy_protocol --proxy-protocol", OPTIONAL),
}
LISTS = ("bind", "raw_env", "reload_extra_files", "raw_paste_global_conf", "dirty_apps")
HOOKS = (
    *("on_starting", "on_reload", "when_ready", "pre_fork", "post_fork", "post_worker_init", "worker_int"),
    *("worker_abort", "pre_exec", "pre_request", "post_request", "child_exit", "worker_exit", "nworkers_changed"),
    *("on_exit", "ssl_context", "on_dirty_starting", "dirty_post_fork", "dirty_worker_init", "dirty_worker_exit"),
)
# Only in a file.
UNFLAGGED = ("wsgi_app", "logconfig_dict", "tmp_upload_dir", "secure_scheme_headers", "default_proc_name")
NAMES = (*{flag.name: None for flag in FLAGS.values()}, *UNFLAGGED, *HOOKS)
LOG_FORMAT = '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"'
# Defaults of what may be repeated without any effect. Where a default of gunicorn's has to be written out for corepod
# (workers, threads, timeout), it isn't in here.
DEFAULTS: dict[str, Any] = {
    "backlog": 2048,
    "worker_connections": 1000,
    "max_requests": 0,
    "max_requests_jitter": 0,
    "limit_request_line": 4094,
    "limit_request_fields": 100,
    "limit_request_field_size": 8190,
    "reload": False,
    "reload_engine": "auto",
    "reload_extra_files": [],
    "spew": False,
    "check_config": False,
    "print_config": False,
    "preload_app": False,
    "sendfile": None,
    "reuse_port": False,
    "daemon": False,
    "raw_env": [],
    "pidfile": None,
    "worker_tmp_dir": None,
    "user": None,
    "group": None,
    "initgroups": False,
    "tmp_upload_dir": None,
    "secure_scheme_headers": {"X-FORWARDED-PROTOCOL": "ssl", "X-FORWARDED-PROTO": "https", "X-FORWARDED-SSL": "on"},
    "accesslog": None,
    "disable_redirect_access_to_syslog": False,
    "errorlog": "-",
    "loglevel": "info",
    "capture_output": False,
    "logger_class": "gunicorn.glogging.Logger",
    "logconfig": None,
    "logconfig_dict": {},
    "logconfig_json": None,
    "syslog": False,
    "enable_stdio_inheritance": False,
    "statsd_host": None,
    "dogstatsd_tags": "",
    "statsd_prefix": "",
    "enable_backlog_metric": False,
    "proc_name": None,
    "pythonpath": None,
    "paste": None,
    "raw_paste_global_conf": [],
    "proxy_protocol": "off",
    "protocol": "http",
    "keyfile": None,
    "certfile": None,
    "ca_certs": None,
    "ciphers": None,
    "suppress_ragged_eofs": True,
    "do_handshake_on_connect": False,
    "strip_header_spaces": False,
    "permit_obsolete_folding": False,
    "permit_unconventional_http_method": False,
    "permit_unconventional_http_version": False,
    "casefold_http_method": False,
    "tolerate_dangerous_framing": False,
    "forwarder_headers": "SCRIPT_NAME,PATH_INFO",
    "header_map": "drop",
    "root_path": "",
    "control_socket_disable": False,
    "dirty_apps": [],
    "dirty_workers": 0,
    "http_protocols": "h1",
    "http2_cleartext": "off",
    "http_parser": "auto",
    "asgi_loop": "auto",
    "asgi_lifespan": "auto",
    "asgi_disconnect_grace_period": 3,
    "websocket_max_message_size": 16 << 20,
}
