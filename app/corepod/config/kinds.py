"""From text to a value, for each kind of setting. Every parser raises ValueError with a phrase that names the fault and
the values that are allowed."""

from __future__ import annotations

import ipaddress
import math
import re
import shlex
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from corepod.contract import hooks
from corepod.contract.env import APP_PORT
from corepod.contract.listening import ALL
from corepod.contract.sizing import FIXED, sizing

if TYPE_CHECKING:
    from collections.abc import Callable

    from corepod.config.spec import Setting

YES, NO = ("1", "true", "yes", "on"), ("0", "false", "no", "off")
UNITS = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
LEAST_MEMORY = 16 << 20  # bytes: no worker has less, and who writes 512 means 512m
LISTS = ("addresses", "networks", "paths", "texts", "hooks")
TARGET = re.compile(r"/[!-\"$-~]*")  # of a request: ASCII without spaces and controls, and no fragment
WEBHOOK = re.compile(r"[!-~]+")  # a request's target has ASCII without spaces only
LOOPBACK, PEER, NOBODY = "loopback", "peer", "none"  # in the place of networks; none also in the place of paths


def parse(setting: Setting, raw: Any) -> Any:
    """The value of `raw`: text from a flag or a variable, a list of texts, or a value from the TOML file.

    Raises ValueError with a phrase.
    """
    if setting.kind in LISTS:
        parts = raw if isinstance(raw, list) else [raw]
        split = setting.kind != "hooks"  # a command may have commas of its own
        texts = [
            text.strip()
            for part in parts
            for text in (_text(part).split(",") if split else [_text(part)])
            if text.strip()
        ]
        if setting.kind in ("networks", "paths", "texts", "hooks") and texts == [NOBODY]:
            return []
        return [_PARSERS[setting.kind](setting, text) for text in texts]
    if isinstance(raw, bool):
        if setting.kind != "flag":
            raise ValueError(f"{str(raw).lower()} is not {_wanted(setting)}")
        return raw
    if setting.kind == "mode" and isinstance(raw, int):
        raise ValueError(f'{raw} is a number; write the octal digits as text, "660"')
    return _PARSERS[setting.kind](setting, _text(raw).strip())


def _text(raw: Any) -> str:
    if isinstance(raw, str):
        return raw
    if isinstance(raw, int | float) and not isinstance(raw, bool):
        return str(raw)
    raise ValueError(f"a {type(raw).__name__} can't be a value here")


def _wanted(setting: Setting) -> str:
    least = "" if setting.minimum is None else f" of at least {setting.minimum:g}"
    return {
        "flag": "one of true, false",
        "choice": f"one of {', '.join(setting.choices)}",
        "count": f"a whole number{least}",
        "seconds": f"a number of seconds{least}",
        "bytes": f"a number of bytes{least}, such as 16384 or 16k",
        "memory": "a number of bytes of at least 16m, such as 512m, a share such as 80%, or 0 for no limit",
        "workers": "auto or a whole number of at least 1, or auto with bounds, such as auto:2-8 or auto:2-",
        "budget": "DEATHS/SECONDS such as 5/60, or 0",
        "mode": "an octal mode such as 660",
    }.get(setting.kind, "text")


def _text_value(setting: Setting, text: str) -> str:
    if "\0" in text or "\n" in text:
        raise ValueError("a value can't contain a line break or a NUL")
    return text


def _flag(setting: Setting, text: str) -> bool:
    if text.lower() in YES + NO:
        return text.lower() in YES
    raise ValueError(f"{text!r} is not {_wanted(setting)}")


def _choice(setting: Setting, text: str) -> str:
    if text in setting.choices:
        return text
    raise ValueError(f"{text!r} is not {_wanted(setting)}")


def _number(setting: Setting, text: str, convert: Callable[[str], Any]) -> Any:
    try:
        value = convert(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or (setting.minimum is not None and value < setting.minimum):
        raise ValueError(f"{text!r} is not {_wanted(setting)}")
    return value


def _count(setting: Setting, text: str) -> int:
    return int(_number(setting, text, int))


def _seconds(setting: Setting, text: str) -> float:
    return float(_number(setting, text, float))


def _bytes(setting: Setting, text: str) -> int:
    unit = UNITS.get(text[-1:].lower(), 1)
    return int(_number(setting, text, lambda t: int(t if unit == 1 else t[:-1]) * unit))


def _memory(setting: Setting, text: str) -> int | str:
    if text.endswith("%"):
        share = text[:-1].strip()
        if share.isascii() and share.isdecimal() and 1 <= int(share) <= 100:
            return f"{int(share)}%"
    else:
        try:
            size = _bytes(setting, text)
        except ValueError:
            size = -1
        if size == 0 or size >= LEAST_MEMORY:
            return size
    raise ValueError(f"{text!r} is not {_wanted(setting)}")


def _cron(setting: Setting, text: str) -> str:
    if text:
        from corepod.contract import cron  # only here: few pools have a schedule

        cron.parse(text)
    return text


def _workers(setting: Setting, text: str) -> str | int:
    try:
        found = sizing(text)
    except ValueError:
        raise ValueError(f"{text!r} is not {_wanted(setting)}") from None
    return found.least if found.mode == FIXED else text


def _budget(setting: Setting, text: str) -> tuple[int, float]:
    deaths, slash, window = text.partition("/")
    if text == "0":
        return 0, 0.0
    try:
        budget = int(deaths), float(window if slash else "nan")
    except ValueError:
        budget = 0, 0.0
    if budget[0] < 1 or not math.isfinite(budget[1]) or budget[1] <= 0:
        raise ValueError(f"{text!r} is not {_wanted(setting)}")
    return budget


def _mode(setting: Setting, text: str) -> int:
    try:
        value = int(text.removeprefix("0o"), 8)
    except ValueError:
        value = -1
    if not 0 <= value <= 0o777:
        raise ValueError(f"{text!r} is not {_wanted(setting)}")
    return value


def _address(setting: Setting, text: str) -> str:
    if setting.name == "admin" and text == "none":
        return text
    if text.startswith("unix:") and setting.name != "notify":
        if text == "unix:":
            raise ValueError("unix: needs a path, such as unix:/run/app.sock")
        return text
    if setting.name == "bind" and (host := _host_alone(text)):
        return f"{host}:{APP_PORT}"
    host, colon, port = text.rpartition(":")
    if text.isdecimal():
        raise ValueError(f"{text!r} is not an address: write :{text} for a port on all addresses")
    if not colon or not (port.isascii() and port.isdecimal()) or int(port) > 65535:
        raise ValueError(f"{text!r} is not an address: write HOST:PORT, [IPV6]:PORT or unix:PATH")
    if ":" in host and not (host.startswith("[") and host.endswith("]")):
        raise ValueError(f"{text!r} is not an address: an IPv6 address goes in brackets, [{host}]:{port}")
    if setting.name == "notify" and host in ("", ALL):
        raise ValueError(f"{text!r} names no host: write HOST:PORT of the operator")
    return f"{host or ALL}:{port}"


def _host_alone(text: str) -> str:
    """The host of an address that names no port, empty where it does or isn't one. `::1:80` could mean both."""
    if text in (ALL, "localhost", "::", "::1"):
        return f"[{text}]" if ":" in text else text
    version = 6 if text.startswith("[") and text.endswith("]") else 4
    try:
        found = ipaddress.ip_address(text[1:-1] if version == 6 else text)
    except ValueError:
        return ""
    return text if found.version == version else ""


def _network(setting: Setting, text: str) -> str:
    if text in ("*", LOOPBACK, PEER):
        return text
    if text == NOBODY:
        raise ValueError(f"{NOBODY} can't be combined with others")
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(
            f"{text!r} is not an address, a network such as 10.0.0.0/8, {LOOPBACK}, {PEER}, * or {NOBODY}"
        ) from None
    mapped = getattr(network.network_address, "ipv4_mapped", None)
    if mapped is not None and network.prefixlen >= 96:  # peers' addresses are compared as IPv4, too
        network = ipaddress.ip_network((mapped, network.prefixlen - 96))
    return str(network)


def _path(setting: Setting, text: str) -> str:
    if not text.startswith("/"):
        raise ValueError(f"{text!r} has to start with / (commas separate paths: write %2C for one in a path)")
    if not TARGET.fullmatch(text):
        raise ValueError(f"{text!r} can't be requested as it is: write %20 for a space, and so on for what isn't ASCII")
    return text


def _hook(setting: Setting, text: str) -> str:
    if text == NOBODY:
        raise ValueError(f"{NOBODY} can't be combined with others")
    _text_value(setting, text)
    if hooks.kind(text) == hooks.WEBHOOK:
        return _webhook(text)
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ValueError(f"{text!r} can't be split into words as a shell does it: {error}") from None
    if not (words and words[0]):
        raise ValueError(f"{text!r} names no command")
    return text


def _webhook(text: str) -> str:
    try:
        parts = urlsplit(text)
        usable = bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not WEBHOOK.fullmatch(text):
        raise ValueError("not a URL: write http://HOST/PATH or https://HOST:PORT/PATH, with %20 for a space")
    if parts.username is not None:
        raise ValueError("a webhook's URL can't have a user and a password")
    return text


_PARSERS: dict[str, Callable[[Setting, str], Any]] = {
    "text": _text_value,
    "flag": _flag,
    "choice": _choice,
    "count": _count,
    "seconds": _seconds,
    "bytes": _bytes,
    "memory": _memory,
    "cron": _cron,
    "workers": _workers,
    "budget": _budget,
    "mode": _mode,
    "address": _address,
    "addresses": _address,
    "networks": _network,
    "paths": _path,
    "texts": _text_value,
    "hooks": _hook,
}


def show(setting: Setting, value: Any) -> str:
    """The value as people write it, so that it could be given again."""
    if value is None or value == "":
        return ""
    if setting.kind == "flag":
        return "true" if value else "false"
    if setting.kind == "mode":
        return f"{value:o}"
    if setting.kind == "budget":
        return f"{value[0]}/{value[1]:g}" if value[0] else "0"
    if setting.kind in LISTS:
        return ", ".join(value) or NOBODY
    return f"{value:g}" if isinstance(value, float) else str(value)
