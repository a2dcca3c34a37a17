"""Control messages: what is sent is what arrives, and what isn't a message is refused."""

from __future__ import annotations

import json

import pytest
from corepod.contract import messages
from corepod.contract.messages import Activate, Drain, Failed, Hello, Message, decode, encode
from hypothesis import given
from hypothesis import strategies as st

_VALUES = {
    "int": st.integers(-(2**63), 2**63),
    "str": st.text(),
    "bool": st.booleans(),
    "float": st.floats(allow_nan=False, allow_infinity=False),
    "int | None": st.none() | st.integers(0, 1000),
    "dict[str, Any]": st.dictionaries(st.text(), st.integers() | st.text() | st.none()),
}


def test_there_are_five_in_one_direction_and_ten_in_the_other() -> None:
    assert len(Message.__subclasses__()) == 15


@pytest.mark.parametrize("kind", Message.__subclasses__())
@given(data=st.data())
def test_every_message_arrives_as_it_was_sent(kind: type[Message], data: st.DataObject) -> None:
    fields = {name: data.draw(_VALUES[annotation]) for name, annotation in kind.__annotations__.items()}
    message = kind(**fields)
    assert decode(encode(message)) == message
    assert vars(decode(encode(message))) == fields


@pytest.mark.parametrize("kind", [k for k in Message.__subclasses__() if k.__annotations__])
@given(data=st.data())
def test_a_message_with_a_field_of_another_type_or_without_one_is_refused(
    kind: type[Message], data: st.DataObject
) -> None:
    fields = {name: data.draw(_VALUES[annotation]) for name, annotation in kind.__annotations__.items()}
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


@pytest.mark.parametrize(
    "packet", ["null", "[]", "3", "{}", '{"type": "nosuch"}', '{"type": ["hello"]}', "[" * (messages.PACKET - 1)]
)
def test_shapes_that_json_allows(packet: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode(packet.encode())


def test_a_message_with_a_field_too_many_is_refused() -> None:
    with pytest.raises(ValueError, match="pid"):
        decode(b'{"type": "hello", "pid": 1, "uid": 0}')


@pytest.mark.parametrize("values", [(), (1, 2)])
def test_a_message_is_made_with_all_its_fields_and_no_others(values: tuple[int, ...]) -> None:
    with pytest.raises(TypeError, match="Hello takes pid"):
        Hello(*values)
    with pytest.raises(TypeError, match="Hello takes pid"):
        Hello(1, pid=2)  # type: ignore[misc]


def test_messages_show_what_they_hold() -> None:
    assert repr(Drain(within=2.5, linger=0.0)) == "Drain(within=2.5, linger=0.0)"
    assert Drain(1.0, 0.0) != Drain(1.0, 0.5)
    assert Failed("missing", "", "") != Activate(0, 1, None, 0, 0, 1)
    assert messages.PACKET > 1000
