"""What is sent is what arrives; what can't be sent is refused with the reason."""

from __future__ import annotations

from typing import Any

import pytest
from corepod.worker.ipc import wire
from hypothesis import given
from hypothesis import strategies as st

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)
TOPICS = st.text(min_size=1, max_size=50)


@given(TOPICS, JSON | st.binary(), st.sampled_from(range(4)), st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1))
def test_every_message_arrives_as_it_was_sent(topic: str, data: Any, kind: int, worker: int, request: int) -> None:
    packet = wire.decode(wire.content(topic, data).packet(kind, worker, 7, request))
    assert (packet.kind, packet.topic, packet.worker, packet.missed, packet.request) == (
        kind,
        topic,
        worker,
        7,
        request,
    )
    assert packet.data == data


@given(st.binary(max_size=300))
def test_what_is_no_packet_is_refused(raw: bytes) -> None:
    try:
        wire.decode(raw)
    except ValueError:
        pass


@pytest.mark.parametrize(
    ("topic", "data", "error", "why"),
    [
        ("t", bytes(wire.DATA_MOST + 1), ValueError, "65537 bytes for 't': 65536 is the most"),
        ("t", "x" * wire.DATA_MOST, ValueError, "65538 bytes"),
        ("t", {1, 2}, TypeError, "bytes, or what JSON can say: Object of type set"),
        ("", None, ValueError, "1 to 200 bytes, not 0"),
        ("t" * 201, None, ValueError, "1 to 200 bytes, not 201"),
        (b"t", None, TypeError, "a topic is a str, not bytes"),
    ],
)
def test_what_can_not_be_sent(topic: Any, data: Any, error: type[Exception], why: str) -> None:
    with pytest.raises(error, match=why):
        wire.content(topic, data)


def test_the_longest_message_fits() -> None:
    content = wire.content("t" * wire.TOPIC_MOST, bytes(wire.DATA_MOST))
    assert len(content.packet(wire.MESSAGE, 1)) == wire.PACKET_MOST
