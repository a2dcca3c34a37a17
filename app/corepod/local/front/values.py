"""What the flags of `corepod front` take. Each raises ArgumentTypeError with a sentence."""

from __future__ import annotations

import os
import re
from argparse import ArgumentTypeError

from corepod.config.kinds import LOOPBACK, parse
from corepod.config.spec import BY_NAME

COOKIE = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # a token: RFC 6265, section 4.1.1


def bind(text: str) -> str:
    try:
        address: str = parse(BY_NAME["bind"], text)[0]
    except (ValueError, IndexError) as error:
        raise ArgumentTypeError(str(error)) from error
    return f"unix@{os.path.abspath(path)}" if (path := address.removeprefix("unix:")) != address else address


def stats(text: str) -> str:
    return "" if text == "none" else bind(text)


def count(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise ArgumentTypeError(f"{text!r} is not a whole number of at least 0")
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
        raise ArgumentTypeError(f"{text!r} is not the name of a cookie: letters, digits, - and _")
    return text


def networks(text: str) -> list[str]:
    try:
        networks: list[str] = parse(BY_NAME["trusted_proxies"], text.split(","))
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from error
    all_networks = ("0.0.0.0/0", "::/0")
    every = {"*": all_networks, "peer": all_networks, LOOPBACK: ("127.0.0.0/8", "::1")}
    return [part for network in networks for part in every.get(network, (network,))]
