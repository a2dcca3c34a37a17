"""The text of haproxy.cfg: what each value changes in it."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from corepod.local.front.configuration import Configuration, Found, Server
from corepod.local.front.haproxy import OR_PROXY, render

POOLS = (Server("blue", "127.0.0.1:8001", "127.0.0.1", 9001), Server("green", "[::1]:8002", "[::1]", 9002, slots=4))
CLUSTER = Found("${PODS}", "8000", "9000", "50", "${SERVICE_IP}:${SERVICE_PORT}")
PLAIN = Configuration(
    servers=POOLS,
    bind=("127.0.0.1:8080",),
    stats="127.0.0.1:8404",
    ipv6=True,
    balance="leastconn",
    queue_timeout="30s",
    check_interval="500ms",
    client_timeout="90s",
    server_timeout="330s",
    keep_alive="60s",
    purge="312ms",
    buffer="20480",
    closes=False,
    retries=True,
    cookie="",
    sticky=False,
    concurrency=0,
    limited=False,
    proxies="",
    behind_proxies=False,
)


def sections(config: Configuration) -> dict[str, list[str]]:
    """The directives of each section, without comments."""
    found: dict[str, list[str]] = {}
    for line in render(config).splitlines():
        if line and not line.startswith(" "):
            found[line] = directives = []
        elif line and not line.strip().startswith("#"):
            directives.append(line.strip())
    return found


def changed(**values: Any) -> dict[str, list[str]]:
    return sections(replace(PLAIN, **values))


def lines(config: dict[str, list[str]], beginning: str) -> list[str]:
    return [line for section in config.values() for line in section if line.startswith(beginning)]


def test_the_sections_of_a_front_before_pools() -> None:
    names = ["global", "defaults", "frontend stats", "frontend http", "backend pods", "backend fallback"]
    assert list(sections(PLAIN)) == names
    assert list(changed(stats="")) == [name for name in names if name != "frontend stats"]


@pytest.mark.parametrize(
    ("ipv6", "more"),
    [
        (True, "  bind :::80 v6only\n"),
        (False, ""),
        ("defined(IPV6)", ".if defined(IPV6)\n  bind :::80 v6only\n.endif\n"),
    ],
)
def test_all_addresses_are_a_socket_for_each_family(ipv6: bool | str, more: str) -> None:
    text = render(replace(PLAIN, bind=("*:80",), stats="*:80", ipv6=ipv6))
    assert text.count(f"frontend http\n  bind :80\n{more}  #") == 1
    assert text.count(f"frontend stats\n  bind :80\n{more}  #") == 1


def test_pools_have_their_slots_and_checks() -> None:
    assert lines(sections(PLAIN), "server ") == [
        "server blue 127.0.0.1:8001 addr 127.0.0.1 port 9001",
        "server green [::1]:8002 weight 4 addr [::1] port 9002",
        "server blue 127.0.0.1:8001",
        "server green [::1]:8002 weight 4",
    ]
    assert lines({"": sections(PLAIN)["backend pods"]}, "default-server") == [
        "default-server check inter 500ms fastinter 200ms fall 5 rise 1"
    ]


def test_a_check_can_tell_a_drain() -> None:
    pods = sections(PLAIN)["backend pods"]
    assert "option httpchk GET /readyz?draining=404" in pods
    assert "http-check disable-on-404" in pods


def test_a_limit_counts_for_each_slot() -> None:
    servers = lines(changed(concurrency=2, limited=True), "server ")
    assert [re.findall(r"maxconn (\d+)", server) for server in servers] == [["2"], ["8"]] * 2


def test_a_weight_is_one_that_haproxy_takes() -> None:
    many = (replace(POOLS[0], slots=512),)
    assert "weight 256" in lines(changed(servers=many), "server ")[0]


def test_clients_stick_in_the_fallback_too() -> None:
    config = changed(sticky=True, cookie="PLACE")
    assert lines(config, "cookie ") == ["cookie PLACE insert indirect nocache httponly"] * 2
    assert all(server.split()[1] == server.split(" cookie ")[1].split()[0] for server in lines(config, "server "))
    assert not lines(sections(PLAIN), "cookie ")


def test_no_request_is_sent_again_without_retries() -> None:
    config = changed(retries=False)
    assert not [*lines(config, "retry-on"), *lines(config, "stick-table"), *lines(config, "http-request track")]
    assert len(lines(sections(PLAIN), "retry-on conn-failure empty-response")) == 2
    # One that was refused is sent to another pool in any case.
    assert "option redispatch 1" in config["defaults"]


def test_headers_of_clients_are_removed_unless_they_are_proxies() -> None:
    assert lines(sections(PLAIN), "http-request del-header") == [
        f"http-request del-header X-Forwarded-{name}" for name in ("For", "Proto", "Host")
    ]
    config = changed(behind_proxies=True, proxies=OR_PROXY.join(["10.0.0.0/8", "::1"]))
    assert lines(config, "acl") == ["acl proxy src 10.0.0.0/8", "acl proxy src ::1"]
    assert all(line.endswith(" unless proxy") for line in lines(config, "http-request del-header"))


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"bind": ("a:1", "unix@/b")}, "bind unix@/b"),
        ({"stats": ":8404"}, "bind :8404"),
        ({"balance": "random"}, "balance random"),
        ({"queue_timeout": "5s"}, "timeout queue 5s"),
        ({"check_interval": "2s"}, "default-server check inter 2s fastinter 200ms fall 5 rise 1"),
        ({"client_timeout": "1s"}, "timeout client 1s"),
        ({"server_timeout": "2s"}, "timeout server 2s"),
        ({"keep_alive": "3s"}, "timeout http-keep-alive 3s"),
        ({"purge": "10ms"}, "default-server pool-purge-delay 10ms"),
        ({"buffer": "69632"}, "tune.bufsize 69632"),
        ({"closes": True}, "option http-server-close"),
        ({"connections": "4000"}, "maxconn 4000"),
    ],
)
def test_values_stand_where_they_belong(values: dict[str, Any], line: str) -> None:
    assert line in lines(changed(**values), line.split()[0])
    assert line not in lines(sections(PLAIN), line.split()[0])


def test_pods_are_found_by_dns() -> None:
    config = changed(servers=CLUSTER, sticky=True, cookie="PLACE", limited=True, concurrency=3)
    assert lines(config, "server") == [
        'server-template pod 50 "${PODS}:8000"',
        'server service "${SERVICE_IP}:${SERVICE_PORT}"',
    ]
    assert "accepted_payload_size 65535" in config["resolvers cluster"]
    assert {line for line in config["resolvers cluster"] if line.endswith("1d")} == {
        f"hold {what} 1d" for what in ("timeout", "refused", "nx", "other")
    }
    assert "hold obsolete 10s" in config["resolvers cluster"]
    assert "default-server maxconn 3" in config["backend pods"]
    assert 'dynamic-cookie-key "${COOKIE_KEY}"' in config["backend pods"]
    assert not lines({"": config["backend fallback"]}, "cookie"), "the Service picks by itself"


def test_a_condition_of_a_template_stays_one() -> None:
    text = render(
        replace(PLAIN, servers=CLUSTER, sticky=".a", cookie="{{ .a }}", behind_proxies=".b", proxies="{{ .b }}")
    )
    assert '{{- if .a }}\n  dynamic-cookie-key "${COOKIE_KEY}"\n  cookie {{ .a }} insert' in text
    assert "{{- if .b }}\n  acl proxy src {{ .b }}\n" in text
    assert "unless proxy\n{{- else }}\n  http-request del-header X-Forwarded-For\n" in text
    assert text.count("{{- if") == text.count("{{- end }}") == 2
