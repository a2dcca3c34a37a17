"""Targets and hosts, against the grammar of RFC 3986."""

from __future__ import annotations

import ipaddress
import string

import pytest
from corepod.worker.request_head import has_control, is_host, split_target, with_host
from hypothesis import given
from hypothesis import strategies as st

UNRESERVED = string.ascii_letters + string.digits + "-._~"
SUB_DELIMS = "!$&'()*+,;="
PORTS = st.one_of(st.just(""), st.text(string.digits, max_size=6).map(":{}".format))

PERCENT = st.integers(0, 255).flatmap(lambda byte: st.sampled_from([f"%{byte:02x}", f"%{byte:02X}"]))
NAMES = st.lists(st.one_of(st.sampled_from(UNRESERVED + SUB_DELIMS), PERCENT), max_size=30).map("".join)
IPV6 = st.one_of(
    st.ip_addresses(v=6).map(str),
    st.ip_addresses(v=6).map(lambda address: address.exploded),
    st.ip_addresses(v=4).map("::ffff:{}".format),
    st.tuples(st.integers(0, 6), st.integers(0, 6)).filter(lambda pair: sum(pair) <= 7).map(
        lambda pair: ":".join(["a"] * pair[0]) + "::" + ":".join(["b"] * pair[1])
    ),
)  # fmt: skip
FUTURE = st.text(UNRESERVED + SUB_DELIMS + ":", min_size=1, max_size=10).map("v1f.{}".format)
LITERALS = st.one_of(IPV6, FUTURE).map("[{}]".format)

HOSTS = ["", "test", "a.b.test", "a_b", "a%20b", "TEST:80", "test:", ":80", "127.0.0.1:8000", "[::1]", "[::1]:443"]
NO_HOSTS = [
    "a b", "a/b", "a b/c", "/", "a?b", "a#b", "a@b", "user:secret@b", "a:b", "a:80:90", "a:-1", "a:+1", "a: 80",
    "a\tb", "a\x01b", "a\x7fb", "a\0", "a\n", "a\xff", "%", "%2", "%zz", "a\\b", "a<b>", '"a"', "a^b", "a`b", "{a}",
    "::1", "[::1", "::1]", "[]", "[::1]x", "[:::]", "[1::2::3]", "[12345::]", "[1:2:3:4:5:6:7]", "[::1%25eth0]",
    "[1:2:3:4:5:6:7:8:9]", "[::256.0.0.1]", "[v1]", "[v.a]", "[g::]", "http://a",
]  # fmt: skip


@pytest.mark.parametrize("value", HOSTS)
def test_hosts(value: str) -> None:
    assert is_host(value.encode())


@pytest.mark.parametrize("value", NO_HOSTS)
def test_no_hosts(value: str) -> None:
    assert not is_host(value.encode("latin-1"))
    assert split_target(b"GET", b"http://%s/" % value.encode("latin-1")) is None or set("/?") & set(value)


@given(st.one_of(NAMES, LITERALS), PORTS)
def test_all_that_the_grammar_allows_is_a_host(host: str, port: str) -> None:
    value = (host + port).encode()
    assert is_host(value)
    assert split_target(b"GET", b"http://" + value + b"/a") == ((b"/a", b"", value) if host else None)


@given(st.text("0123456789abcdefABCDEFg:.", max_size=20))
def test_in_brackets_is_what_python_takes_for_an_address(text: str) -> None:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        assert not is_host(f"[{text}]".encode())
    else:
        assert is_host(f"[{text}]".encode())


@given(st.binary(max_size=20))
def test_a_host_is_never_anything_that_ends_the_authority(value: bytes) -> None:
    if is_host(value):
        assert not set(value) & set(b"/?#@\\ \t\r\n\0\x7f")
        assert all(byte < 0x7F for byte in value)


TARGETS = {
    ("GET", "/"): ("/", "", ""),
    ("GET", "/a/b?x=1?y"): ("/a/b", "x=1?y", ""),
    ("GET", "/?"): ("/", "", ""),
    ("GET", "//evil.test/a"): ("//evil.test/a", "", ""),
    ("GET", "/a:b@c"): ("/a:b@c", "", ""),
    ("GET", "/http://a/"): ("/http://a/", "", ""),
    ("GET", '/a"<>\\^`{|}%zz'): ('/a"<>\\^`{|}%zz', "", ""),
    ("OPTIONS", "*"): ("*", "", ""),
    ("GET", "http://test/a/b?x=1"): ("/a/b", "x=1", "test"),
    ("GET", "HTTPS://TEST:8443/a"): ("/a", "", "TEST:8443"),
    ("GET", "http://[::1]:80/a"): ("/a", "", "[::1]:80"),
    ("GET", "http://test"): ("/", "", "test"),
    ("GET", "http://test?a"): ("/", "a", "test"),
    ("GET", "http://test//a"): ("//a", "", "test"),
    ("GET", "http://test/http://b/"): ("/http://b/", "", "test"),
    ("OPTIONS", "http://test:8001"): ("*", "", "test:8001"),
    ("OPTIONS", "http://test/"): ("/", "", "test"),
    ("OPTIONS", "http://test?a"): ("/", "a", "test"),
}
NO_TARGETS = [
    ("GET", target)
    for target in (
        "", "*", "**", "a", "a/b", "test:80", "?a", "#", "/a#b", "/a?b#c", "http://test#a", "http://test/#", "http:/a",
        "http:a", "http://", "http:///a", "http://:80/a", "http://?a", "http://a@b/", "http://a:b@c/", "http://a:b/",
        "http://a b/", "http://a\\b/", "http://[::1/", "http://[]/", "ftp://a/b", "ws://a/", "://a/", "/a b", "/\0",
        "/\x7f", "/\xe4", "\\a", " /",
    )
] + [("OPTIONS", "**"), ("OPTIONS", "*?a"), ("OPTIONS", "*/"), ("options", "*")]  # fmt: skip


@pytest.mark.parametrize(("method", "target"), TARGETS)
def test_targets(method: str, target: str) -> None:
    expected = tuple(part.encode() for part in TARGETS[method, target])
    assert split_target(method.encode(), target.encode()) == expected


@pytest.mark.parametrize(("method", "target"), NO_TARGETS)
def test_no_targets(method: str, target: str) -> None:
    assert split_target(method.encode(), target.encode("latin-1")) is None


def test_the_host_of_the_target_takes_the_place_of_the_received_one() -> None:
    headers = [(b"a", b"b"), (b"host", b"other"), (b"c", b"d")]
    assert with_host(headers, b"test") == [(b"a", b"b"), (b"host", b"test"), (b"c", b"d")]
    assert with_host([(b"a", b"b")], b"test") == [(b"host", b"test"), (b"a", b"b")]


def test_control_characters() -> None:
    controls = {*range(32), 127} - {9}
    assert {byte for byte in range(256) if has_control(b"a%cb" % byte)} == controls
    assert not has_control(b"")
