"""As much of Kubernetes' protobuf as it takes to read a Scale: some clients write nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

MAGIC = b"k8s\0"
VARINT, BYTES = 0, 2  # wire types


def scale(body: bytes) -> dict[str, Any]:
    """A Scale as JSON has it. Raises ValueError for what is none."""
    if not body.startswith(MAGIC):
        raise ValueError("no object of Kubernetes")
    envelope = dict(_fields(body[len(MAGIC) :]))
    found = dict(_fields(_bytes(envelope[2])))
    spec = dict(_fields(_bytes(found.get(2, b""))))
    return {"spec": {"replicas": spec.get(1, 0)}}


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise ValueError("a number where a message should be")
    return value


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        value, at = _varint(data, at)
        if key & 7 == BYTES:
            yield key >> 3, data[at : at + value]
            at += value
        elif key & 7 == VARINT:
            yield key >> 3, value
        else:
            raise ValueError(f"wire type {key & 7}")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if byte < 0x80:
            return value, at
