"""Control messages: what is sent is what arrives, and what isn't a message is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from corepod.contract.messages import (
    FAILURES,
    PACKET,
    Activate,
    Drain,
    Failed,
    Hello,
    Message,
    Refused,
    Unforkable,
    decode,
    encode,
    name_of,
    show,
)
from hypothesis import given
from hypothesis import strategies as st

_VALUES = {
    "int": st.integers(-(2**63), 2**63),
    "str": st.text(),
    "bool": st.booleans(),
    "float": st.floats(allow_nan=False, allow_infinity=False),
    "int | None": st.none() | st.integers(0, 1000),
    "list[int]": st.lists(st.integers(0, 1000), max_size=9),
    "list[list[int]]": st.lists(st.lists(st.integers(0, 1000), max_size=4), max_size=9),
    "dict[str, Any]": st.dictionaries(st.text(), st.integers() | st.text() | st.none()),
}


def drawn(kind: type[Message], data: st.DataObject) -> dict[str, Any]:
    fields = {name: data.draw(_VALUES[annotation]) for name, annotation in kind.__annotations__.items()}
    return fields if kind is not Failed else {**fields, "kind": data.draw(st.sampled_from(FAILURES))}


def test_there_are_eight_in_one_direction_and_thirteen_in_the_other() -> None:
    assert len(Message.__subclasses__()) == 21


@pytest.mark.parametrize("kind", Message.__subclasses__())
@given(data=st.data())
def test_every_message_arrives_as_it_was_sent(kind: type[Message], data: st.DataObject) -> None:
    fields = drawn(kind, data)
    message = kind(**fields)
    assert decode(encode(message)) == message
    assert vars(decode(encode(message))) == fields


@pytest.mark.parametrize("kind", [k for k in Message.__subclasses__() if k.__annotations__])
@given(data=st.data())
def test_a_message_with_a_field_of_another_type_or_without_one_is_refused(
    kind: type[Message], data: st.DataObject
) -> None:
    fields = drawn(kind, data)
    packet = json.loads(encode(kind(**fields)))
    wrong = data.draw(st.sampled_from(sorted(fields)))
    with pytest.raises(ValueError, match=wrong):
        decode(json.dumps({**packet, wrong: ["something else"]}).encode())
    del packet[wrong]
    with pytest.raises(ValueError, match=wrong):
        decode(json.dumps(packet).encode())


@given(st.binary(max_size=200))
def test_what_is_no_message_is_refused_and_harms_nobody(packet: bytes) -> None:
    try:
        assert isinstance(decode(packet), Message)
    except ValueError:
        pass


NESTED = "[" * (PACKET // 4) + "]" * (PACKET // 4)
# As deep as the parser still reads: what is made of it then must not go as deep once more.
AS_DEEP_AS_READ = [f'{{"type": {"[" * depth + "]" * depth}}}' for depth in range(50, 1000, 50)]


@pytest.mark.parametrize(
    "packet",
    [
        *("", "null", "[]", "3", "{}", "NaN", '"hello"', '{"type": "nosuch"}', '{"type": ["hello"]}', '{"type": null}'),
        *('{"type": "Hello"}', '{"type": "hello", "pid": -1}', '{"type": "hello", "self": 1}', '{"type": "message"}'),
        *("[" * (PACKET - 1), NESTED, '{"type": "failed"}', "9" * PACKET, *AS_DEEP_AS_READ),
        '{"type": "failed", "kind": "other", "message": "", "traceback": ""}',
        '{"type": "failed", "kind": "missing", "message": null, "traceback": ""}',
    ],
    ids=lambda packet: packet[:40],
)
def test_shapes_that_json_allows(packet: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode(packet.encode())


def test_a_message_with_a_field_too_many_is_refused() -> None:
    with pytest.raises(ValueError, match="why"):
        decode(b'{"type": "refused", "why": "", "uid": 0}')


def test_a_process_cannot_name_its_pid() -> None:
    """The kernel does: were a packet believed, root's supervisor would signal any process that a worker names."""
    assert decode(b'{"type": "hello"}') == Hello()
    with pytest.raises(ValueError, match="no fields"):
        decode(b'{"type": "hello", "pid": 1}')


@pytest.mark.parametrize("values", [(), (1, 2)])
def test_a_message_is_made_with_all_its_fields_and_no_others(values: tuple[Any, ...]) -> None:
    with pytest.raises(TypeError, match="Refused takes why"):
        Refused(*values)
    with pytest.raises(TypeError, match="Refused takes why"):
        Refused("x", why="y")  # type: ignore[misc]


def test_messages_show_what_they_hold() -> None:
    assert repr(Drain(within=2.5, linger=0.0)) == "Drain(within=2.5, linger=0.0)"
    assert Drain(1.0, 0.0) != Drain(1.0, 0.5)
    assert Failed("missing", "", "") != Activate(0, 1, None, 0, 0, 1)
    assert (name_of(Hello()), name_of(Unforkable("x"))) == ("hello", "unforkable")
    assert PACKET > 1000


def test_a_packet_is_shown_on_one_line_and_not_whole() -> None:
    assert show(b'{"type": "x"}') == '{"type": "x"}'
    assert show(b"\x1b[2J\nERROR \xff") == r"\x1b[2J\nERROR \xff"
    assert len(show(b"x" * PACKET)) < 200
    assert len(show(b"\xff" * PACKET)) < 200
