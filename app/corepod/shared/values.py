"""Values as they are stored: JSON as it is, so that `redis-cli get` shows it and the server can count; bytes behind a
leading NUL, with which no JSON begins."""

from __future__ import annotations

import json
from typing import Any

VALUE_MOST = 1 << 20  # bytes of a value, as JSON where it isn't bytes
MESSAGE_MOST = 63 << 10  # bytes of a message: what fits into one of corepod.ipc beside its topic
_BINARY = (bytes, bytearray, memoryview)
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)
_DECODER = json.JSONDecoder()
_MARK = b"\0"


def encode(value: Any, most: int = VALUE_MOST) -> bytes:
    """Raises TypeError or ValueError: neither bytes nor JSON, None, or too long."""
    if isinstance(value, _BINARY):
        raw = _MARK + bytes(value)
        size = len(raw) - 1
    elif value is None:
        raise TypeError("None stands for no value: delete the key, or store something else")
    else:
        raw = _as_json(value)
        size = len(raw)
    if size > most:
        raise ValueError(
            f"{size} bytes are too long: {most} is the most; put them into a store for such, and its name here"
        )
    return raw


def encode_or_none(value: Any) -> bytes | None:
    """As `encode`; None stays None."""
    return None if value is None else encode(value)


def decode(raw: bytes) -> Any:
    """Raises ValueError where something else than this module has written it, and it isn't JSON."""
    if raw[:1] == _MARK:
        return raw[1:]
    try:
        return _DECODER.decode(raw.decode())
    except (ValueError, RecursionError):
        raise ValueError(f"a value that corepod.shared hasn't written, and that isn't JSON: {raw[:40]!r}") from None


def integer(raw: bytes) -> int:
    """The number that a value is. Raises TypeError where it is none that could be counted on."""
    text = raw.decode("ascii", "replace")
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()) or (digits != "0" and digits[0] == "0") or text == "-0":
        raise TypeError("the value isn't an integer, so nothing can be added to it")
    return int(text)


def _as_json(value: Any) -> bytes:
    try:
        return _ENCODER.encode(value).encode()
    except UnicodeEncodeError:
        raise ValueError("a value contains text that UTF-8 can't express (a lone surrogate)") from None
    except (TypeError, ValueError, RecursionError) as error:
        raise type(error)(f"a value is bytes, or what JSON can express: {error}") from None
