"""Ids are signed with the first key and accepted with any; whatever else a client sends is no session."""

from __future__ import annotations

import re
import secrets

import pytest
from corepod.shared.sessions.keys import Keys, KeysError, new_id, place
from hypothesis import given
from hypothesis import strategies as st

OLD, NEW = "an old key of at least 32 bytes..", "a new key of at least 32 bytes..."


def test_a_key_that_was_first_is_accepted_and_a_key_that_is_gone_is_not() -> None:
    value = Keys([OLD]).sign(id := new_id())  # noqa: A001
    assert Keys([OLD]).read(value) == (id, True)
    assert Keys([NEW, OLD]).read(value) == (id, False)
    assert Keys([NEW, OLD]).read(Keys([NEW]).sign(id)) == (id, True)
    assert Keys([NEW]).read(value) is None


def test_keys_may_be_one_text_or_bytes() -> None:
    secret = secrets.token_urlsafe(32)
    value = Keys(f"{secret}\n").sign(new_id())
    assert Keys([secret.encode()]).read(value) is not None
    assert Keys(f"{secrets.token_urlsafe(32)} {secret}").read(value) is not None


@pytest.mark.parametrize("keys", ["", "  \n", [], ()])
def test_without_a_key_nothing_is_invented(keys: str | list[str]) -> None:
    with pytest.raises(KeysError, match=r"sessions need a key that all workers know.*make one with: python -c"):
        Keys(keys)


def test_a_key_that_is_too_short_is_counted_and_not_shown() -> None:
    with pytest.raises(KeysError, match=r"key 2 for sessions has 6 bytes, and needs 32 or more; make one") as caught:
        Keys([NEW, "secret"])
    assert "secret'" not in str(caught.value).replace("import secrets", "")
    assert Keys(["x" * 32]).read("x") is None


def test_how_to_make_a_key_makes_one_that_is_long_enough() -> None:
    Keys(secrets.token_urlsafe(32))


@given(st.text() | st.text("abcXYZ019-_.", min_size=80, max_size=95))
def test_garbage_is_no_session(value: str) -> None:
    assert Keys([NEW]).read(value) is None


@given(st.integers(0, 86), st.sampled_from("AQgwZz09_-."))
def test_no_character_of_a_cookie_can_be_changed(place: int, other: str) -> None:
    value = Keys([NEW]).sign(new_id())
    changed = value[:place] + other + value[place + 1 :]
    assert (Keys([NEW]).read(changed) is None) == (changed != value)


def test_a_key_that_signs_other_things_doesnt_sign_ids() -> None:
    import base64
    import hmac

    id = new_id()  # noqa: A001
    plain = base64.urlsafe_b64encode(hmac.digest(NEW.encode(), id.encode(), "sha256")).rstrip(b"=").decode()
    assert Keys([NEW]).read(f"{id}.{plain}") is None


def test_the_shared_state_has_a_hash() -> None:
    id = new_id()  # noqa: A001
    assert re.fullmatch(r"session:[0-9a-f]{64}", place(id))
    assert place(id) != place(new_id())
    assert id not in place(id)
