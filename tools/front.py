"""The chart's haproxy.cfg: the configuration that `corepod front` writes, with the chart's values in it. Part of
`make docs`; a test compares."""

from __future__ import annotations

from pathlib import Path

from corepod.config.spec import BY_NAME
from corepod.contract.env import ADMIN_PORT, APP_PORT
from corepod.contract.listening import ALL
from corepod.local.front.configuration import KEEP_ALIVE, LONGEST, PURGE, ROOM, SLACK, UNLIMITED, Configuration, Found
from corepod.local.front.haproxy import OR_PROXY, render

FILE = Path(__file__).parents[1] / "deploy" / "helm" / "corepod" / "files" / "haproxy.cfg"
HEAD = """\
{{- /* Written by `make docs` from app/corepod/local/front/haproxy.py and tools/front.py. Change it there. */ -}}
# The pod's environment gives PODS, SERVICE_IP, SERVICE_PORT, COOKIE_KEY where clients stick, IPV6 where there is any.
"""


def text() -> str:
    return HEAD + render(CONFIGURATION)


def _longer(*limits: str) -> str:
    return f"{{{{ add {SLACK} (max {' '.join(limits)}) | min {LONGEST} }}}}s"


def _setting(name: str, unlimited: int = 0) -> str:
    """Seconds of a setting, rounded up; `unlimited` in the place of 0."""
    value = f'(dig "{name}" {BY_NAME[name].default:g} .Values.settings | float64 | ceil | int'
    return f"{value} | default {unlimited})" if unlimited else f"{value})"


def _purge(low: int, each: float, high: int) -> str:
    seconds = f'(dig "keep_alive" {BY_NAME["keep_alive"].default:g} .Values.settings | float64)'
    return f"{{{{ mulf {seconds} {each} | int | min {high} | max {low} }}}}ms"


CONFIGURATION = Configuration(
    servers=Found(
        name="${PODS}",
        port=str(APP_PORT),
        admin_port=str(ADMIN_PORT),
        places='{{ include "corepod.front.places" . }}',
        service="${SERVICE_IP}:${SERVICE_PORT}",
    ),
    bind=(f"{ALL}:8080",),
    stats=f"{ALL}:8404",
    ipv6="defined(IPV6)",
    balance="{{ .Values.front.balance }}",
    queue_timeout="{{ mulf .Values.front.queueTimeout 1000 | int }}ms",
    check_interval="{{ mulf .Values.front.checkInterval 1000 | int }}ms",
    client_timeout=_longer(_setting("body_timeout", UNLIMITED), _setting("write_timeout", UNLIMITED)),
    server_timeout=_longer(_setting("busy_timeout", UNLIMITED), _setting("request_timeout"), _setting("wsgi_timeout")),
    keep_alive=f"{{{{ max {KEEP_ALIVE} {_setting('keep_alive')} | min {LONGEST} }}}}s",
    purge=_purge(*PURGE),
    buffer=str(ROOM + BY_NAME["limit_header"].default),
    closes='eq (dig "sticky" false .Values.settings | toString) "true"',
    retries=".Values.front.retries",
    cookie="{{ .Values.front.sticky.cookie }}",
    sticky=".Values.front.sticky.cookie",
    concurrency="{{ mul .Values.cpu.slots .Values.front.concurrency }}",
    limited=".Values.front.concurrency",
    proxies=f'{{{{ join "{OR_PROXY.replace(chr(10), chr(92) + "n")}" .Values.front.trustedProxies }}}}',
    behind_proxies=".Values.front.trustedProxies",
    connections="{{ .Values.front.connections }}",
)
