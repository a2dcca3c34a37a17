"""What can stand in haproxy.cfg as one word. A file of lines has no way to write a line's end, and HAProxy replaces
variables in addresses even between quotes: https://docs.haproxy.org/2.6/configuration.html#2.2
"""

from __future__ import annotations

import ipaddress
import re

HOST = re.compile(r"[A-Za-z0-9._-]+")
PLAIN = re.compile(r"[A-Za-z0-9_./:@-]+")
RULE = "its characters have to be printable, and none of them may be $ ' , or \\"


def is_host(text: str) -> bool:
    """Whether it is a name, an IPv4 address, or an IPv6 address in brackets."""
    if not text.startswith("["):
        return HOST.fullmatch(text) is not None
    try:
        return text.endswith("]") and "%" not in text and ipaddress.IPv6Address(text[1:-1]) is not None
    except ValueError:
        return False


def socket(path: str) -> str:
    """The address of a Unix socket, in quotes where it needs them; empty if it can't be written."""
    word = f"unix@{path}"
    if PLAIN.fullmatch(word):
        return word
    return f"'{word}'" if word.isprintable() and not set("$',\\") & set(word) else ""
