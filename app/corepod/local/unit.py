"""systemd's units for a pool: what `corepod systemd` prints. Text from facts, and nothing else."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from corepod.config.kinds import LISTS, show
from corepod.config.spec import SETTINGS
from corepod.contract import runtime
from corepod.contract.env import SECRETS
from corepod.contract.exits import EXIT_APP, EXIT_SETTINGS
from corepod.contract.listening import ALL

if TYPE_CHECKING:
    from corepod.config.resolve import Effective

NOTIFY_RELOAD = 253  # version of systemd that knows Type=notify-reload
SPARE = 5  # seconds more than stop_timeout, which the supervisor keeps by itself
TMP, HOMES = ("/tmp/", "/var/tmp/"), ("/home/", "/root/")
# Not among them: MemoryDenyWriteExecute= would break ctypes' callbacks and every library with a JIT.
ANYWHERE = """\
NoNewPrivileges=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictNamespaces=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM"""
SYSTEM_ONLY = """\
ProtectSystem=strict
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
# An application that uses a GPU needs this off.
PrivateDevices=yes"""


@dataclass(frozen=True)
class Facts:
    """Where a unit runs, beside the settings. `run_as` is the user of the service, empty for one of systemd's own."""

    python: str
    folder: str
    prefix: str = ""  # where the interpreter is installed that a virtual environment stands on
    config: str = ""  # path of the settings file, empty where there is none
    environment: str = ""
    user_unit: bool = False
    socket: bool = False
    run_as: str = ""
    version: int = NOTIFY_RELOAD - 1


@dataclass(frozen=True)
class Unit:
    """A file and its text."""

    name: str
    text: str = field(repr=False)


def units(effective: Effective, facts: Facts) -> list[Unit]:
    """The service, and the socket unit where it is activated by one."""
    name = unit_name(effective)
    made = [Unit(f"{name}.service", service(effective, facts))]
    return [*made, Unit(f"{name}.socket", socket(effective, facts))] if facts.socket else made


def unit_name(effective: Effective) -> str:
    """That of the pool, as its control socket has it."""
    return runtime.names(effective.values["name"] or effective.values["app"].partition(":")[0])[0]


def service(effective: Effective, facts: Facts) -> str:
    name, values = unit_name(effective), effective.values
    lines = [
        *_how_to_install(name, facts),
        "[Unit]",
        f"Description={_plain(name)} ({_plain(values['app'].partition('(')[0])}), run by corepod",
        *([f"Requires={name}.socket", f"After={name}.socket"] if facts.socket else []),
        *([] if facts.user_unit else ["Wants=network-online.target", "After=network-online.target"]),
        "# A service that fails this often is left alone; systemctl reset-failed and start try again.",
        "StartLimitIntervalSec=300",
        "StartLimitBurst=10",
        "",
        "[Service]",
        *_type(facts.version),
        "NotifyAccess=main",
        f"WorkingDirectory={_plain(facts.folder)}",
        f"ExecStart={' '.join(map(_word, command(effective, facts)))}",
        "TimeoutStartSec=300",
        f"TimeoutStopSec={values['stop_timeout'] + SPARE:g}",
        "# The supervisor stops its workers itself, in order.",
        "KillMode=mixed",
        "Restart=always",
        "RestartSec=1",
        "# Bad settings and an application that isn't there don't get better by themselves.",
        f"RestartPreventExitStatus={EXIT_SETTINGS} {EXIT_APP}",
        "# A supervisor that is wedged can't be asked to end.",
        "WatchdogSec=30",
        "WatchdogSignal=SIGKILL",
        "# A worker that the kernel ends for its memory is replaced; the others go on.",
        "OOMPolicy=continue",
        "LimitNOFILE=65536",
        *([] if facts.user_unit else _system(effective, facts, name)),
        ANYWHERE,
        "",
        "[Install]",
        f"WantedBy={'default.target' if facts.user_unit else 'multi-user.target'}",
        *([f"Also={name}.socket"] if facts.socket else []),
    ]
    return "\n".join(lines) + "\n"


def socket(effective: Effective, facts: Facts) -> str:
    name, values = unit_name(effective), effective.values
    mode = show_mode(values["socket_mode"])
    tcp = any(not bind.startswith("unix:") for bind in values["bind"])
    lines = [
        "[Unit]",
        f"Description=Sockets of {_plain(name)}",
        "",
        "[Socket]",
        *(f"ListenStream={_plain(_listen(bind))}" for bind in values["bind"]),
        *(["BindIPv6Only=both"] if any(bind.startswith(f"{ALL}:") for bind in values["bind"]) else []),
        f"Backlog={values['backlog']}",
        *([f"SocketMode={mode}"] if mode else []),
        *(["NoDelay=yes", "# Connections that bring nothing wait in the kernel.", "DeferAcceptSec=1"] if tcp else []),
        "",
        "[Install]",
        "WantedBy=sockets.target",
    ]
    return "\n".join(lines) + "\n"


def _listen(bind: str) -> str:
    """As systemd writes it: a port alone is one of all addresses, IPv4 and IPv6."""
    return bind.removeprefix("unix:").removeprefix(f"{ALL}:")


def command(effective: Effective, facts: Facts) -> list[str]:
    """What starts the pool as it would start here now: flags for all that isn't in the file."""
    words = [facts.python, "-m", "corepod", "run"]
    words.append(effective.application or effective.values["app"])
    if facts.config:
        words += ["--config", facts.config]
    if facts.environment:
        words += ["--env", facts.environment]
    for setting in SETTINGS[1:]:
        source, value = effective.sources[setting.name], effective.values[setting.name]
        if setting.name not in SECRETS and source in (setting.flag, setting.variable):
            words += _flags(setting, value)
    return words


def _flags(setting: Any, value: Any) -> list[str]:
    if setting.kind == "flag":
        return [setting.flag if value else setting.flag.replace("--", "--no-", 1)]
    if setting.kind in LISTS and value:
        return [f"{setting.flag}={one}" for one in value]
    return [f"{setting.flag}={show(setting, value)}"]


def show_mode(mode: int | None) -> str:
    """Octal, as systemd writes it; empty for none."""
    return "" if mode is None else f"{mode:04o}"


def _type(version: int) -> list[str]:
    if version >= NOTIFY_RELOAD:
        return ["Type=notify-reload"]
    return ["Type=notify", "ExecReload=kill -HUP $MAINPID"]


def _system(effective: Effective, facts: Facts, name: str) -> list[str]:
    """What only the system's own manager can set up: user, capabilities, folders."""
    values = effective.values
    ports = [int(bind.rpartition(":")[2]) for bind in values["bind"] if not bind.startswith("unix:")]
    capabilities = ["CAP_NET_BIND_SERVICE"] if not facts.socket and any(0 < port < 1024 for port in ports) else []
    if values["user"] or values["group"]:  # the supervisor has to be root, to make its workers somebody else's
        lines = [f"CapabilityBoundingSet={' '.join([*capabilities, 'CAP_SETUID', 'CAP_SETGID', 'CAP_KILL'])}"]
    else:
        lines = [f"User={facts.run_as}"] if facts.run_as else ["DynamicUser=yes"]
        lines += [f"AmbientCapabilities={' '.join(capabilities)}"] if capabilities else []
        lines.append(f"CapabilityBoundingSet={' '.join(capabilities)}")
    used = [f"{path}/" for path in (facts.folder, os.path.dirname(facts.python), facts.prefix, facts.config)]
    at_home = any(path.startswith(HOMES) for path in used)
    in_tmp = any(path.startswith(TMP) for path in [*used, *_socket_folders(values, facts)])
    lines += [
        f"# The control socket: corepod ps, top, reload ... find the pool there. {name} may also write in",
        f"# /var/lib/{name} and in its own /tmp; ReadWritePaths= allows more.",
        f"RuntimeDirectory=corepod/{name}",
        f"StateDirectory={name}",
        *(f"ReadWritePaths={_plain(path.rstrip('/'))}" for path in _socket_folders(values, facts)),
        f"ProtectHome={'read-only' if at_home else 'yes'}",
        SYSTEM_ONLY,
    ]
    return [*lines, f"PrivateTmp={'no' if in_tmp else 'yes'}"] if not in_tmp or facts.run_as else lines


def _socket_folders(values: dict[str, Any], facts: Facts) -> list[str]:
    """Folders in which the pool itself makes sockets of the application."""
    if facts.socket:
        return []
    paths = [os.path.join(facts.folder, bind[5:]) for bind in values["bind"] if bind.startswith("unix:/")]
    return list(dict.fromkeys(os.path.join(os.path.dirname(path), "") for path in paths))


def _how_to_install(name: str, facts: Facts) -> list[str]:
    """The comment at the head: commands for people."""
    systemctl = "systemctl --user" if facts.user_unit else "systemctl"
    folder = "~/.config/systemd/user" if facts.user_unit else "/etc/systemd/system"
    enable = f"{systemctl} enable --now {name}.{'socket' if facts.socket else 'service'}"
    return [
        f"# {folder}/{name}.service; then",
        f"#   {systemctl} daemon-reload && {enable}",
        *(["#   loginctl enable-linger     (else it runs only while you are logged in)"] if facts.user_unit else []),
        f"# {systemctl} reload {name} loads new code without losing a request; journalctl {'--user ' * facts.user_unit}"
        f"-u {name} shows the log.",
        "",
    ]


def _word(text: str) -> str:
    """An argument as ExecStart= wants it."""
    text = _plain(text).replace("$", "$$")
    if text and not set(text) & set(" \t\"'\\;"):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _plain(text: str) -> str:
    """A value without specifiers."""
    return text.replace("%", "%%")
