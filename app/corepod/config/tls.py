"""Checks of certificate and key, before a worker would fail with them."""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import Any


def faults(values: dict[str, Any]) -> list[tuple[str, str]]:
    """Pairs of a setting and what is wrong with it."""
    found = [
        (name, "needs a certificate, tls_cert")
        for name in ("tls_key", "tls_client_ca", "tls_ciphers")
        if values[name] and not values["tls_cert"]
    ]
    if values["tls_key_password"] and not (values["tls_key"] or values["tls_cert"]):
        found.append(("tls_key_password", "needs a key: tls_key, or tls_cert where the key is in the same file"))
    if values["tls_ciphers"]:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).set_ciphers(values["tls_ciphers"])
        except ssl.SSLError:
            found.append(("tls_ciphers", "OpenSSL knows none of these ciphers"))
    return found or _pem(values) or _certificate(values)


def _pem(values: dict[str, Any]) -> list[tuple[str, str]]:
    """Files that can't be right: OpenSSL's own words for them don't say which one, nor what is missing."""
    key = "tls_key" if values["tls_key"] else "tls_cert"
    faults = []
    for name, part in (("tls_cert", "CERTIFICATE"), ("tls_client_ca", "CERTIFICATE"), (key, "PRIVATE KEY")):
        text = _content(values[name])
        if text is None:
            continue
        if not text.strip():
            faults.append((name, f"can't be used: {values[name]} is empty"))
        elif f"{part}-----" not in text:
            what = "certificate" if part == "CERTIFICATE" else "private key"
            remedy = "; name the file of the key in tls_key" if (name, what) == ("tls_cert", "private key") else ""
            faults.append((name, f"can't be used: {values[name]} holds no {what} in PEM form{remedy}"))
    if not faults and "ENCRYPTED" in (_content(values[key]) or "") and not values["tls_key_password"]:
        faults.append(
            (
                key,
                "can't be used: the key is encrypted; give its password in COREPOD_TLS_KEY_PASSWORD (tls_key_password)",
            )
        )
    return list(dict.fromkeys(faults))


def _content(path: str) -> str | None:
    try:
        return Path(path).read_text(errors="replace") if path else None
    except OSError:
        return None  # reported with the files


def _certificate(values: dict[str, Any]) -> list[tuple[str, str]]:
    paths = [values[name] for name in ("tls_cert", "tls_key") if values[name]]
    if not values["tls_cert"] or not all(os.access(path, os.R_OK) for path in paths):
        return []
    try:
        # Any text as password: without one OpenSSL would ask on the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
            values["tls_cert"], values["tls_key"] or None, values["tls_key_password"] or "none"
        )
    except (ssl.SSLError, OSError) as error:
        return [("tls_cert", f"certificate and key can't be used: {error.args[-1] or error}")]
    return []
