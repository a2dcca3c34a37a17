"""Messages as packets: what is sent, how long it may be, and what is refused before it is sent."""

from __future__ import annotations

import json
import json.encoder
from struct import Struct
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

DATA_MOST = 1 << 16  # bytes of data, as JSON where it isn't bytes
TOPIC_MOST = 200  # bytes
MESSAGE, REQUEST, REPLY, REFUSAL = range(4)  # kinds of packets; a refusal: nobody listens to the request's topic
_JSON, _BYTES = range(2)
# Kind, form of the data, length of the topic, the sender's number, messages missed before this one, number of a request
_HEAD = Struct("<BBHIIQ")
PACKET_MOST = _HEAD.size + TOPIC_MOST + DATA_MOST
_BINARY = (bytes, bytearray, memoryview)
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_DECODER = json.JSONDecoder()


def _encoder() -> Callable[[Any], str]:
    """What `_ENCODER.encode` does, with an encoder in C that is made once: to make one for each message costs as much
    as the system call that sends it. This one finds no circles, and only fails at them."""
    try:
        quote = json.encoder.encode_basestring
        make = json.encoder.c_make_encoder  # type: ignore[attr-defined]
        encode = make(None, _ENCODER.default, quote, None, ":", ",", False, False, True)
        encode({"": [0]}, 0)
    except (AttributeError, TypeError):  # another Python, or none in C
        return _ENCODER.encode
    return lambda data: "".join(encode(data, 0))


_encode = _encoder()
_MISSED_MOST = (1 << 32) - 1


class Packet(NamedTuple):
    """One message on its way. The data is still as it was sent: who isn't interested doesn't decode it."""

    kind: int
    topic: str
    worker: int  # the sender's number, which is checked against what the kernel says
    missed: int  # messages of this topic that the sender couldn't send before this one
    request: int  # number of the request, 0 where it is none
    form: int
    body: bytes

    @property
    def data(self) -> Any:
        """Raises ValueError where it isn't JSON."""
        if self.form == _BYTES:
            return self.body
        text = self.body.decode("utf-8", "surrogatepass")
        data, end = _DECODER.raw_decode(text)  # without looking for the space that we don't write
        if end != len(text):
            raise ValueError("something behind the JSON")
        return data


class Content(NamedTuple):
    """What a message says, ready to be sent to one worker or to many."""

    topic: str
    name: bytes
    form: int
    body: bytes

    def packet(self, kind: int, worker: int, missed: int = 0, request: int = 0) -> bytes:
        head = _HEAD.pack(kind, self.form, len(self.name), worker, min(missed, _MISSED_MOST), request)
        return head + self.name + self.body


def content(topic: str, data: Any) -> Content:
    """Raises TypeError or ValueError: data that is neither bytes nor JSON, or too long, or a topic that is no name."""
    name = topic_name(topic)
    if isinstance(data, _BINARY):
        form, body = _BYTES, bytes(data)
    else:
        form, body = _JSON, _as_json(data)
    if len(body) > DATA_MOST:
        raise ValueError(
            f"a message of {len(body)} bytes for {topic!r}: {DATA_MOST} is the most; put what is longer into a file or "
            "a store, and send where it is"
        )
    return Content(topic, name, form, body)


def topic_name(topic: str) -> bytes:
    """Raises TypeError or ValueError where it can't be a topic."""
    if not isinstance(topic, str):
        raise TypeError(f"a topic is a str, not {type(topic).__name__}")
    name = topic.encode("utf-8", "surrogatepass")
    if not 0 < len(name) <= TOPIC_MOST:
        raise ValueError(f"a topic has 1 to {TOPIC_MOST} bytes, not {len(name)}")
    return name


def _as_json(data: Any) -> bytes:
    try:
        return _encode(data).encode("utf-8", "surrogatepass")
    except (TypeError, ValueError, RecursionError):
        pass
    try:  # it says better what is wrong
        return _ENCODER.encode(data).encode("utf-8", "surrogatepass")
    except (TypeError, ValueError, RecursionError) as error:
        raise type(error)(f"data of a message is bytes, or what JSON can say: {error}") from None


def decode(raw: bytes) -> Packet:
    """Raises ValueError where it is no packet of ours."""
    if len(raw) < _HEAD.size:
        raise ValueError("too short")
    kind, form, length, worker, missed, request = _HEAD.unpack_from(raw)
    at = _HEAD.size + length
    if kind > REFUSAL or form > _BYTES or not 0 < length <= TOPIC_MOST or len(raw) < at:
        raise ValueError("no message")
    topic = raw[_HEAD.size : at].decode("utf-8", "surrogatepass")
    return Packet(kind, topic, worker, missed, request, form, raw[at:])
