from __future__ import annotations

import pytest
from corepod.shared.redis.address import CONNECTIONS, parse


@pytest.mark.parametrize(
    ("url", "name", "expected"),
    [
        ("redis://h", "redis://h", {"host": "h"}),
        ("redis://u:se%40cret@h:7000/3", "redis://h:7000/3", {"password": "se@cret", "username": "u", "db": 3}),
        ("rediss://:secret@h/0?ssl_ca_certs=/ca.pem", "rediss://h/0", {"ssl_ca_certs": "/ca.pem"}),
        ("unix:///run/redis.sock?db=2", "unix:///run/redis.sock", {"path": "/run/redis.sock", "db": 2}),
        ("redis://h/0?decode_responses=true&protocol=3", "redis://h/0", {"decode_responses": False, "protocol": 2}),
    ],
)
def test_one_server(url: str, name: str, expected: dict[str, object]) -> None:
    address = parse(url, 1.0)
    assert (address.name, address.connections) == (name, CONNECTIONS)
    options = address.pool().connection_kwargs
    assert {key: options[key] for key in expected} == expected


def test_connections() -> None:
    address = parse("redis://h?max_connections=3", 1.0)
    assert address.connections == 3
    assert address.pool().max_connections == 4  # one for messages


@pytest.mark.parametrize("scheme", ["redis", "rediss"])
def test_sentinels(scheme: str) -> None:
    url = f"{scheme}+sentinel://u:secret@a:1,b,[::1]:2/main/5?sentinel_password=other"
    address = parse(url, 1.2)
    assert address.name == f"{scheme}+sentinel://a:1,b,[::1]:2/main/5"
    pool = address.pool()
    options = pool.connection_kwargs
    assert (options["username"], options["password"], options["db"]) == ("u", "secret", 5)
    assert pool.service_name == "main"  # type: ignore[attr-defined]
    sentinels = [one.connection_pool.connection_kwargs for one in pool.sentinel_manager.sentinels]  # type: ignore[attr-defined]
    assert [(one["host"], one["port"]) for one in sentinels] == [("a", 1), ("b", 26379), ("::1", 2)]
    for one in sentinels:
        assert one["password"] == "other"
        assert one["socket_timeout"] * (len(sentinels) + 1) == pytest.approx(1.2)
    assert ("SSL" in pool.connection_class.__name__) == (scheme == "rediss")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("redis+sentinel://u:secret@a:1", "needs a master"),
        ("redis+sentinel://u:secret@/main/0", "HOST:PORT"),
        ("redis://u:secret@h?socket_timeout=never", "socket_timeout"),
        ("redis://u:secret@h:port/0", "can't be used"),
        ("redis://u:secret@h?max_connections=0", "max_connections"),
        ("redis://u:secret@h?timeout=5", "redis-py knows no option 'timeout'"),
        ("redis+sentinel://u:secret@h/main?ssl_ca_certs=/ca.pem", "redis-py knows no option 'ssl_ca_certs'"),
        ("redis+sentinel://u:secret@h:port/main", "the port in h:port is no number"),
    ],
)
def test_a_wrong_url_says_what_is_wrong_and_not_the_password(url: str, says: str) -> None:
    with pytest.raises(ValueError, match=says) as error:
        parse(url, 1.0)
    assert "secret" not in str(error.value)
