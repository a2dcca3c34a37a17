"""What hypercorn's flags become."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from corepod.migrate import addresses, logconfig
from corepod.migrate.flags import BARE, table
from corepod.migrate.gunicorn.logs import OUT, loglevel
from corepod.migrate.gunicorn.workers import one_worker
from corepod.migrate.gunicorn.workers import workers as count
from corepod.migrate.rules import Case, Rule, asked, dropped, same, switch, zero_is_off
from corepod.migrate.server import Server

if TYPE_CHECKING:
    from corepod.migrate.given import Given

FLAGS = {
    **table(
        """
access_log --access-log --access-logfile
access_log_format --access-logformat
backlog --backlog
bind -b --bind
ca_certs --ca-certs
certfile --certfile
cert_reqs --cert-reqs
ciphers --ciphers
config -c --config
error_log --error-log --error-logfile --log-file
graceful_timeout --graceful-timeout
read_timeout --read-timeout
max_requests --max-requests
max_requests_jitter --max-requests-jitter
group -g --group
worker_class -k --worker-class
keep_alive --keep-alive
keyfile --keyfile
keyfile_password --keyfile-password
insecure_bind --insecure-bind
log_config --log-config
log_level --log-level
pid -p --pid
quic_bind --quic-bind
root_path --root-path
server_name --server-name
statsd_host --statsd-host
statsd_prefix --statsd-prefix
umask -m --umask
user -u --user
verify_mode --verify-mode
websocket_ping_interval --websocket-ping-interval
workers -w --workers
"""
    ),
    **table("daemon -D --daemon\ndebug --debug\nreload --reload", BARE),
}
LOG_FORMAT = '%(h)s %(l)s %(l)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"'


def _access_log(case: Case, given: Given) -> None:
    if given.value in OUT:
        case.use(given, "access_log", True)
    else:
        case.program.settings["access_log"] = True
        case.use(given, "access_log_file", str(given.value), "USR2 opens the file anew, for logrotate")
    if "access_log_format" not in case.given:
        case.program.settings["access_log_format"] = LOG_FORMAT


def _error_log(case: Case, given: Given) -> None:
    if given.value in OUT:
        case.drop(given, "the log goes to standard error, as by default")
    else:
        case.use(given, "log_file", str(given.value), "has what workers print, too; USR2 opens it anew")


def _config(case: Case, given: Given) -> None:
    kind = "a module of Python" if str(given.value).startswith(("python:", "file:")) else "TOML"
    name = Path(str(given.value)).name
    case.ask(given, f"{name} ({kind}) isn't read: write its settings as flags, and try again")


def _worker_class(case: Case, given: Given) -> None:
    if given.value == "trio":
        case.ask(given, "corepod runs asyncio: an application of trio stays with hypercorn")
    elif given.value == "uvloop":
        case.use(given, "loop", "uvloop")
    else:
        case.drop(given, "asyncio, as by default")


def _umask(case: Case, given: Given) -> None:
    bits = int(str(given.value), 0)
    if any(word.startswith("unix:") for word in (case.given["bind"].words if "bind" in case.given else [])):
        case.use(given, "socket_mode", f"{0o666 & ~bits:o}", "it was the mode of the socket")
    else:
        case.drop(given, "it was about Unix sockets, and there is none")


def _owner(case: Case, given: Given) -> None:
    case.ask(given, "it was the socket's owner only: socket_mode, or a socket of systemd, lets a proxy in")


RULES: dict[str, Rule] = {
    "access_log": _access_log,
    "access_log_format": same("access_log_format"),
    "backlog": same("backlog"),
    "bind": addresses.bind,
    "ca_certs": same("tls_client_ca", "clients then need a certificate"),
    "certfile": same("tls_cert"),
    "cert_reqs": dropped("clients need a certificate where tls_client_ca is set"),
    "ciphers": same("tls_ciphers"),
    "config": _config,
    "error_log": _error_log,
    "graceful_timeout": same("stop_timeout"),
    "read_timeout": same("body_timeout", "time without any progress of a body"),
    "max_requests": zero_is_off("max_requests", "a planned replacement: the next worker is ready before"),
    "max_requests_jitter": zero_is_off("max_requests_jitter"),
    "group": _owner,
    "worker_class": _worker_class,
    "keep_alive": same("keep_alive"),
    "keyfile": same("tls_key"),
    "keyfile_password": same("tls_key_password", "COREPOD_TLS_KEY_PASSWORD is safer than a file"),
    "insecure_bind": asked("an address without TLS beside one with it needs a second pool, or a proxy"),
    "log_config": logconfig.file,
    "log_level": loglevel,
    "pid": same("pid_file"),
    "quic_bind": asked("HTTP/3 isn't served; a proxy in front of the pool can do that"),
    "root_path": same("root_path"),
    "server_name": asked("corepod answers for every Host; the framework (ALLOWED_HOSTS) or a proxy refuses others"),
    "statsd_host": asked("corepod has no statsd: Prometheus reads /metrics of the admin port"),
    "statsd_prefix": dropped("has no effect without statsd"),
    "umask": _umask,
    "user": _owner,
    "verify_mode": dropped("clients need a certificate where tls_client_ca is set"),
    "websocket_ping_interval": same("websocket_ping"),
    "workers": count,
    "daemon": dropped("it was about hypercorn's own processes"),
    "debug": switch(dropped("corepod dev is for that"), "off, as by default"),
    "reload": same("reload", "for development; corepod dev does it, too", check=True),
}


def _unset(case: Case) -> None:
    """What hypercorn does where nothing is given, and corepod wouldn't."""
    one_worker(case)


SERVER = Server("hypercorn", FLAGS, RULES, _unset, ("bind", "insecure_bind", "quic_bind", "server_name"))
