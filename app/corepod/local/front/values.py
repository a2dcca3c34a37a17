"""What the flags of `corepod front` take. Each raises ArgumentTypeError with a sentence."""

from __future__ import annotations

import os
import re
from argparse import ArgumentTypeError

from corepod.config.kinds import LOOPBACK, parse
from corepod.config.spec import BY_NAME
from corepod.contract.listening import ALL
from corepod.local.front import words

COOKIE = re.compile(r"[A-Za-z0-9_.-]+")  # RFC 6265 allows more, which means something else in haproxy.cfg
MOST = 1_000_000  # requests at once in a slot: HAProxy takes a larger number, and means another one


def bind(text: str) -> str:
    try:
        [address] = parse(BY_NAME["bind"], text) if text.strip(" ,") and "," not in text else [""]
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from error
    if not address:
        raise ArgumentTypeError(f"{text!r} is not one address: write HOST:PORT, [IPV6]:PORT or unix:PATH")
    if address.startswith("unix:"):
        return _socket(address.removeprefix("unix:"))
    host, _, port = address.rpartition(":")
    if host != ALL and not words.is_host(host):
        raise ArgumentTypeError(f"{text!r}: {host!r} is not the name or address of a host")
    if not int(port):
        raise ArgumentTypeError(f"{text!r}: name a port from 1 to 65535, so that clients know it")
    return address


def _socket(path: str) -> str:
    if path.startswith("@"):
        raise ArgumentTypeError(f"{path!r} has no place in the file system: HAProxy gives such sockets another name")
    word = words.socket(os.path.abspath(path))
    if not word:
        raise ArgumentTypeError(f"{path!r} can't be written in haproxy.cfg: {words.RULE}")
    return word


def stats(text: str) -> str:
    return "" if text == "none" else bind(text)


def count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(MOST)) and int(text) <= MOST):
        raise ArgumentTypeError(f"{text!r} is not a whole number from 0 to {MOST}")
    return int(text)


def seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.001 <= seconds <= 86400:
        raise ArgumentTypeError(f"{text!r} is not a number of seconds from 0.001 to 86400")
    return seconds


def cookie(text: str) -> str:
    if not COOKIE.fullmatch(text):
        raise ArgumentTypeError(f"{text!r} is not the name of a cookie: letters, digits, - . and _")
    return text


def networks(text: str) -> list[str]:
    try:
        networks: list[str] = parse(BY_NAME["trusted_proxies"], text.split(","))
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from error
    all_networks = ("0.0.0.0/0", "::/0")
    every = {"*": all_networks, "peer": all_networks, LOOPBACK: ("127.0.0.0/8", "::1")}
    return [part for network in networks for part in every.get(network, (network,))]
