"""What the flags take, and that nothing but a word of its own gets into haproxy.cfg."""

from __future__ import annotations

import os
from argparse import ArgumentTypeError

import pytest
from corepod.local.front import values


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (":8080", "*:8080"),
        ("0.0.0.0:8080", "0.0.0.0:8080"),
        ("127.0.0.1", "127.0.0.1:8000"),
        ("[::1]:80", "[::1]:80"),
        ("shop.example:80", "shop.example:80"),
        ("unix:/run/front", "unix@/run/front"),
        ("unix:/run/the front", "'unix@/run/the front'"),
        ('unix:/run/a#b"c', "'unix@/run/a#b\"c'"),
    ],
)
def test_an_address_to_listen_on(text: str, address: str) -> None:
    assert values.bind(text) == values.stats(text) == address


def test_a_socket_below_the_folder_where_the_command_runs() -> None:
    assert values.bind("unix:front") == f"unix@{os.getcwd()}/front"


@pytest.mark.parametrize(
    "text",
    [
        "",
        ",",
        "nonsense",
        "127.0.0.1:0",
        "127.0.0.1:65536",
        "a:1,b:2",
        "a b:80",
        "a\n  user root:80",
        "[x]:80",
        "'a':80",
    ]
    + [f"unix:{path}" for path in ("", "@abstract", "/a,b", "/a\nuser root", "/a'b", "/a\\b", "/$HOME", "/a\udcff")],
)
def test_what_is_no_address_to_listen_on(text: str) -> None:
    with pytest.raises(ArgumentTypeError):
        values.bind(text)


@pytest.mark.parametrize("text", ["", "a b", "a#b", "a'b", "a$b", "a\nb", "a;b", "é"])
def test_what_is_no_cookie(text: str) -> None:
    with pytest.raises(ArgumentTypeError):
        values.cookie(text)


def test_a_number_is_one_that_haproxy_takes() -> None:
    assert [values.count(text) for text in ("0", "7", "1000000")] == [0, 7, 1000000]
    for text in ("", "-1", "1.5", "1000001", "4294967296", 5000 * "9", "\u0663"):
        with pytest.raises(ArgumentTypeError):
            values.count(text)
