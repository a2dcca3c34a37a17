"""Checks of the values against each other and against this machine."""

from __future__ import annotations

import grp
import os
import pwd
import ssl
from collections import defaultdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

FILES = ("tls_cert", "tls_key", "tls_client_ca", "env_file")


def faults_between(values: dict[str, Any], sources: dict[str, str]) -> list[str]:
    """Phrases for the values that don't fit together, each beginning with the source of the value."""
    checks = (_files(values), _tls(values), _paths(values), _times(values), _people(values), _others(values))
    return [f"{_place(name, sources)}: {phrase}" for check in checks for name, phrase in check]


def _place(name: str, sources: dict[str, str]) -> str:
    source = sources[name]
    return source if source.startswith(("--", "COREPOD_")) else f"{source}: {name}"


def _files(values: dict[str, Any]) -> list[tuple[str, str]]:
    faults = [
        (
            name,
            f"{values[name]} can't be read: {'no such file' if not Path(values[name]).exists() else 'no permission'}",
        )
        for name in FILES
        if values[name] and not os.access(values[name], os.R_OK)
    ]
    if values["chdir"] and not Path(values["chdir"]).is_dir():
        faults.append(("chdir", f"there is no folder {values['chdir']}"))
    return faults


def _tls(values: dict[str, Any]) -> list[tuple[str, str]]:
    faults = [
        (name, "needs a certificate, tls_cert")
        for name in ("tls_key", "tls_client_ca", "tls_ciphers")
        if values[name] and not values["tls_cert"]
    ]
    if values["tls_ciphers"]:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).set_ciphers(values["tls_ciphers"])
        except ssl.SSLError:
            faults.append(("tls_ciphers", "OpenSSL knows none of these ciphers"))
    return faults + _certificate(values, faults)


def _certificate(values: dict[str, Any], faults: list[tuple[str, str]]) -> list[tuple[str, str]]:
    paths = [values[name] for name in ("tls_cert", "tls_key") if values[name]]
    if faults or not values["tls_cert"] or not all(os.access(path, os.R_OK) for path in paths):
        return []
    try:
        # Any text as password: without one OpenSSL would ask on the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
            values["tls_cert"], values["tls_key"] or None, values["tls_key_password"] or "none"
        )
    except (ssl.SSLError, OSError) as error:
        return [("tls_cert", f"certificate and key can't be used: {error.args[-1] or error}")]
    return []


def _paths(values: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        (name, f"{values[name]!r} has to start with /")
        for name in ("ready_path", "root_path")
        if values[name] and not values[name].startswith("/")
    ]


def _times(values: dict[str, Any]) -> list[tuple[str, str]]:
    if values["lame_duck"] and values["lame_duck"] >= values["stop_timeout"]:
        text = (
            f"{values['lame_duck']:g} s is too long: stop_timeout ({values['stop_timeout']:g} s) includes it, "
            "and no time would be left for draining"
        )
        return [("lame_duck", text)]
    return []


def _people(values: dict[str, Any]) -> list[tuple[str, str]]:
    faults = []
    for name, find in (("user", pwd.getpwnam), ("group", grp.getgrnam)):
        text = values[name]
        if not text:
            continue
        if os.geteuid() != 0:
            faults.append((name, "only root may run workers as another user or group"))
        elif not text.isdigit():
            try:
                find(text)
            except KeyError:
                faults.append((name, f"there is no {name} {text!r}"))
        elif name == "user":
            try:
                pwd.getpwuid(int(text))
            except KeyError:
                faults.append((name, f"there is no user with the number {text}"))
    return faults


def _others(values: dict[str, Any]) -> list[tuple[str, str]]:
    faults = []
    if values["loop"] == "uvloop" and find_spec("uvloop") is None:
        faults.append(("loop", "uvloop isn't installed; pip install 'corepod[uvloop]'"))
    try:
        values["access_log_format"] % defaultdict(str)
    except (ValueError, TypeError) as error:
        faults.append(("access_log_format", f"is not a valid format: {error}"))
    if values["standbys"] > 1 and values["standby"] == "none":
        faults.append(("standbys", f"{values['standbys']} standbys are asked for, but standby is none"))
    if not values["bind"]:
        faults.append(("bind", "has no address"))
    return faults
