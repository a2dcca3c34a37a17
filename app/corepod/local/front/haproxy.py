"""The text of haproxy.cfg. Values come as text, as HAProxy reads it, so that the chart's file can have expressions of
Helm in their places: `corepod front` and the chart show the same configuration.

Directives are those of HAProxy 2.6 and later: https://docs.haproxy.org/2.6/configuration.html
"""

from __future__ import annotations

from corepod.contract.listening import ALL
from corepod.local.front.configuration import Configuration, Found, Server

# The supervisor's own word. 404 while it drains: HAProxy then sends nothing new there at the first such answer, and
# goes on with sessions that stick to it. 503, which may pass in milliseconds, has to come FALL times in a row.
CHECK = "/readyz?draining=404"
FALL = 5
FAST = "200ms"  # between two checks of a server that has just changed
CONNECT = "1s"
FORWARDED = ("X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host")  # what pools take from proxies they trust
OR_PROXY = "\n  acl proxy src "  # a line for each network: one line has 64 words at the most
PODS, FALLBACK = "pods", "fallback"  # backends


def render(config: Configuration) -> str:
    """The whole file."""
    sections = [
        _global(config),
        _defaults(config),
        *_stats(config),
        _frontend(config),
        _pods(config),
        _fallback(config),
    ]
    if isinstance(config.servers, Found):
        sections.insert(1, _RESOLVERS)
    return "\n\n".join("\n".join(section) for section in sections) + "\n"


def _when(condition: bool | str, yes: list[str], no: list[str] | None = None) -> list[str]:
    """The lines of a switch; those of a template's condition are between its marks."""
    if isinstance(condition, str):
        other = ["{{- else }}", *no] if no else []
        return [f"{{{{- if {condition} }}}}", *yes, *other, "{{- end }}"]
    return yes if condition else no or []


def _global(config: Configuration) -> list[str]:
    return [
        "global",
        "  # One thread sees all connections, so that there is one opinion of who has the fewest.",
        "  nbthread 1",
        *([f"  maxconn {config.connections}"] if config.connections else []),
        "  # What the pools take as the head of a request has to fit, and the head of a response, too.",
        f"  tune.bufsize {config.buffer}",
        "  tune.http.maxhdr 256",
        "  # A stop and a reload (SIGUSR1) let requests end, but no client can hold the old process longer than this.",
        "  hard-stop-after 30s",
        "  log stdout format raw local0 notice",
    ]


_RESOLVERS = [
    "resolvers cluster",
    "  parse-resolv-conf",
    "  # One answer has to hold all addresses. HAProxy drops a longer one, and all servers with it: with the",
    "  # default of 512 bytes that happens with about 30 pods.",
    "  accepted_payload_size 65535",
    "  timeout resolve 1s",
    "  timeout retry 1s",
    "  hold valid 1s",
    "  # Name servers with caches of their own may name a pod again that another one has left out. What comes back is",
    "  # used before its first check, so for a while the checks alone have to say that it is gone.",
    "  hold obsolete 10s",
    "  # While DNS doesn't answer, the known addresses stay, and the checks say which of them serve. With the default",
    "  # every server would be out after 30 s.",
    "  hold timeout 1d",
    "  hold refused 1d",
    "  hold nx 1d",
    "  hold other 1d",
]


def _defaults(config: Configuration) -> list[str]:
    return [
        "defaults",
        "  mode http",
        "  log global",
        "  option dontlognull",
        f"  balance {config.balance}",
        "  # Idle connections of clients outlive a stop until their next response, which asks to close them.",
        "  option idle-close-on-response",
        *_when(
            config.closes,
            [
                "  # The pools keep clients at a slot, and a connection stays in its slot: each request has its own.",
                "  option http-server-close",
            ],
            [
                "  # The first request of a client never meets a connection that the pool is just closing.",
                "  http-reuse safe",
            ],
        ),
        "  # Those that nobody needs are closed here before the pool does it (its keep_alive): a POST that met such an",
        "  # end would be lost.",
        f"  default-server pool-purge-delay {config.purge}",
        f"  timeout connect {CONNECT}",
        "  timeout http-request 10s",
        f"  timeout http-keep-alive {config.keep_alive}",
        "  # Longer than the pool's own limits: what takes too long is ended, explained and counted there.",
        f"  timeout client {config.client_timeout}",
        f"  timeout server {config.server_timeout}",
        "  timeout tunnel 1h",
        "  # Whoever has waited for a free slot this long gets 503.",
        f"  timeout queue {config.queue_timeout}",
        "  timeout check 2s",
        "  # A second try goes to another server; there is no third one.",
        "  retries 1",
        "  option redispatch 1",
    ]


def _stats(config: Configuration) -> list[list[str]]:
    if not config.stats:
        return []
    return [
        [
            "frontend stats",
            *_bind(config.stats, config),
            "  # Prometheus keeps its connection open between two scrapes: a stop mustn't wait for the next one.",
            "  no option idle-close-on-response",
            "  # Only of HAProxy itself: it has a way to serve even while no server passes its check.",
            "  monitor-uri /healthz",
            "  http-request use-service prometheus-exporter if { path /metrics }",
            "  stats enable",
            "  stats uri /stats",
        ]
    ]


def _frontend(config: Configuration) -> list[str]:
    return [
        "frontend http",
        *(line for address in config.bind for line in _bind(address, config)),
        "  # Pools trust what this proxy says of a client, so it mustn't pass on what the client says of itself.",
        *_when(
            config.behind_proxies,
            [
                f"  acl proxy src {config.proxies}",
                *(f"  http-request del-header {name} unless proxy" for name in FORWARDED),
            ],
            [f"  http-request del-header {name}" for name in FORWARDED],
        ),
        "  option forwardfor",
        "  # Without this, one slow database that blocks all workers would be a 503 for everybody.",
        f"  use_backend {FALLBACK} if {{ nbsrv({PODS}) eq 0 }}",
        f"  default_backend {PODS}",
    ]


def _bind(address: str, config: Configuration) -> list[str]:
    """A socket for each family: by one for both, HAProxy would write clients of IPv4 as ::ffff:192.0.2.1."""
    host, _, port = address.rpartition(":")
    if host != ALL:
        return [f"  bind {address}"]
    more = f"  bind :::{port} v6only"
    if isinstance(config.ipv6, str):
        return [f"  bind :{port}", f".if {config.ipv6}", more, ".endif"]
    return [f"  bind :{port}", *([more] if config.ipv6 else [])]


def _pods(config: Configuration) -> list[str]:
    return [
        f"backend {PODS}",
        f"  option httpchk GET {CHECK}",
        "  http-check expect status 200",
        "  http-check disable-on-404",
        *_when(config.sticky, _cookie(config)),
        *_when(config.retries, _WHY_AGAIN + _AGAIN + _BUDGET),
        *_servers(config),
    ]


_WHY_AGAIN = [
    "  # A request that was lost before a byte of its response is sent again, where that is safe. Not after a timeout:",
    "  # it would do the work of a slow request twice.",
]
_AGAIN = [
    "  retry-on conn-failure empty-response",
    "  http-request disable-l7-retry unless { method GET HEAD }",
]
_BUDGET = [
    "  # A request that kills its worker kills two. After that it isn't sent again while more than a tenth of the last",
    "  # minute's requests of its path fail. Only those count that may be sent again: a POST says nothing of them.",
    "  stick-table type string len 128 size 20k expire 2m store http_req_rate(60s),http_fail_rate(60s)",
    "  http-request track-sc0 path if { method GET HEAD }",
    "  http-request set-var(txn.requests) sc0_http_req_rate",
    "  http-request disable-l7-retry if { sc0_http_fail_rate,mul(10),sub(txn.requests) gt 0 }",
]


def _cookie(config: Configuration) -> list[str]:
    found = isinstance(config.servers, Found)
    return [
        *(['  dynamic-cookie-key "${COOKIE_KEY}"'] if found else []),
        f"  cookie {config.cookie} insert indirect nocache httponly{' dynamic' * found}",
    ]


def _servers(config: Configuration) -> list[str]:
    checks = f"check inter {config.check_interval} fastinter {FAST} fall {FALL} rise 1"
    if isinstance(config.servers, Found):
        found = config.servers
        limit = _when(config.limited, [f"  default-server maxconn {config.concurrency}"])
        return [
            *limit,
            f"  default-server {checks} port {found.admin_port} resolvers cluster resolve-prefer ipv4 init-addr none",
            "  # More pods than places here would get nothing.",
            f'  server-template pod {found.places} "{found.name}:{found.port}"',
        ]
    lines = [
        _server(server, config) + f" addr {server.admin_host} port {server.admin_port}" for server in config.servers
    ]
    return [f"  default-server {checks}", *lines]


def _server(server: Server, config: Configuration) -> str:
    words = [f"  server {server.name} {server.address}"]
    if server.slots > 1:
        words.append(f"weight {min(server.slots, 256)}")
    if config.limited and isinstance(config.concurrency, int):
        words.append(f"maxconn {server.slots * config.concurrency}")
    if config.sticky:
        words.append(f"cookie {server.name}")
    return " ".join(words)


def _fallback(config: Configuration) -> list[str]:
    head = [f"backend {FALLBACK}", *_when(config.retries, _AGAIN)]
    if isinstance(config.servers, Found):
        return [*head, f'  server service "{config.servers.service}"']
    lines = [_server(server, config) for server in config.servers]
    return [*head, *_when(config.sticky, _cookie(config)), *lines]
