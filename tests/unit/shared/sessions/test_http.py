"""What a response says of the session that was used for it."""

from __future__ import annotations

import pytest
from corepod.shared.sessions.cookie import checked
from corepod.shared.sessions.http import added
from corepod.shared.sessions.store import REMOVE, UNCHANGED, Answer

COOKIE = checked("s", "/", None, False, "Lax")
GIVEN = Answer("v", 5)
SET, GONE = COOKIE.given("v", 5), COOKIE.taken_away()
VARY, PRIVATE = ("Vary", "Cookie"), ("Cache-Control", "private")


@pytest.mark.parametrize(
    ("headers", "accessed", "answer", "expected"),
    [
        ([], False, UNCHANGED, []),
        ([], True, UNCHANGED, [VARY, PRIVATE]),
        ([], True, GIVEN, [VARY, PRIVATE, ("Set-Cookie", SET)]),
        ([], True, REMOVE, [VARY, PRIVATE, ("Set-Cookie", GONE)]),
        ([("vary", "Accept, COOKIE")], True, UNCHANGED, [PRIVATE]),
        ([("Vary", "*"), ("cache-control", "no-store")], True, UNCHANGED, []),
        ([("Vary", "Accept"), ("Cache-Control", "public")], True, GIVEN, [VARY, ("Set-Cookie", SET)]),
    ],
)
def test_headers(
    headers: list[tuple[str, str]], accessed: bool, answer: Answer, expected: list[tuple[str, str]]
) -> None:
    assert added(headers, accessed, answer, COOKIE) == expected
