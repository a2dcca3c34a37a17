"""The admin port's page for people: one HTML document without scripts or other files."""

from __future__ import annotations

from corepod.contract.escaping import line
from corepod.contract.units import duration, size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

REFRESH = 2  # seconds
STYLE = """
:root{color-scheme:light dark;--ink:#1b1f24;--dim:#667080;--line:#dfe3e8;--back:#f6f7f9;--card:#fff;
--green:#1a7f37;--yellow:#946200;--red:#c62828;--blue:#1f62c5;--violet:#7d3fc0}
@media (prefers-color-scheme:dark){:root{--ink:#e4e8ee;--dim:#8f9aa8;--line:#2c333c;--back:#12151a;--card:#1a1f26;
--green:#4ac26b;--yellow:#dba63c;--red:#ff7b72;--blue:#6cb0ff;--violet:#c297f7}}
*{box-sizing:border-box}
body{margin:0;padding:2rem clamp(1rem,4vw,3rem);background:var(--back);color:var(--ink);
font:15px/1.5 system-ui,sans-serif}
header{display:flex;flex-wrap:wrap;align-items:baseline;gap:.25rem .75rem}
h1{margin:0;font-size:1.5rem;font-weight:650}
header p,dt,th,footer,small{color:var(--dim)}
header p{margin:0}
dl{display:flex;flex-wrap:wrap;gap:.75rem 2.25rem;margin:1.25rem 0}
dt{font-size:.75rem}
dd{margin:0;font-variant-numeric:tabular-nums}
.card{overflow-x:auto;background:var(--card);border:1px solid var(--line);border-radius:10px}
table{width:100%;border-collapse:collapse;font-variant-numeric:tabular-nums}
th{font-size:.75rem;font-weight:500}
th,td{padding:.55rem .65rem;text-align:right;white-space:nowrap;border-bottom:1px solid var(--line)}
tr:last-child td{border-bottom:0}
.text{text-align:left}
.wide{white-space:normal;min-width:12rem}
small{display:block;white-space:normal;max-width:22rem}
meter{width:3.5rem;margin-right:.5rem;vertical-align:middle}
.state{font-weight:600;color:var(--dim)}
.state::before{content:"\\25cf\\a0"}
.ready{color:var(--green)}.busy,.backoff{color:var(--yellow)}.stuck,.failed{color:var(--red)}
.starting{color:var(--blue)}.draining{color:var(--violet)}
footer{margin-top:1.25rem;font-size:.85rem}
a{color:inherit;margin-right:1rem}
"""
# Hash of STYLE. Should a name slip through unescaped, the browser still accepts no other style and no script, image or
# frame.
STYLE_HASH = "o91EWgTJdA8sW5q9Xe1abpPaY+58IknYCdGXfb92d4Q="
HEADER = (
    f"Content-Security-Policy: default-src 'none'; style-src 'sha256-{STYLE_HASH}'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n"
)
COLUMNS = (
    ("slot", ""),
    ("worker", ""),
    ("core", ""),
    ("pid", ""),
    ("state", "text"),
    ("restarts", ""),
    ("requests", ""),
    ("in flight", ""),
    ("CPU", ""),
    ("memory", ""),
    ("up", ""),
    ("last exit", "text wide"),
)
LINKS = ("/status", "/metrics", "/livez", "/readyz", "/startupz")
_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;"})


def render(status: dict[str, Any], now: float) -> Iterator[str]:
    """The page for a status document, piece by piece; `now` is Unix time in seconds."""
    name, state = _escape(status["name"]), _escape(status["state"])
    head = "".join(f'<th scope="col" class="{kind}">{title}</th>' for title, kind in COLUMNS)
    links = "".join(f'<a href="{path}">{path}</a>' for path in LINKS)
    yield (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="refresh" content="{REFRESH}">\n'
        '<meta name="viewport" content="width=device-width,initial-scale=1">\n'
        f"<title>{name}: {state}</title>\n<style>{STYLE}</style></head>\n<body>\n"
        f"<header><h1>{name}</h1>{_state(status['state'])}<p>corepod {_escape(status['version'])}</p></header>\n"
        f"<dl>{''.join(_fact(term, text) for term, text in _facts(status, now))}</dl>\n"
        f'<div class="card"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n'
    )
    for slot in status["slots"]:
        yield f"<tr>{_row(slot, now)}</tr>\n"
    yield f"</tbody></table></div>\n<footer>{links}</footer>\n</body></html>\n"


def _facts(status: dict[str, Any], now: float) -> list[tuple[str, str]]:
    cores, queue, standby = status["cores"], status["accept_queue"], status["standby"]
    ready = "ready" if standby["ready"] else "not ready"
    if standby["wanted"] > 1:
        ready = f"{standby['count']} of {standby['wanted']} ready"
    return [
        ("listens on", ", ".join(status["binds"]) or "no address any more"),
        ("application", status["app"]),
        ("usable cores", f"{len(cores['usable'])} (limit: {cores['limit']})"),
        ("standby", "none" if standby["mode"] == "none" else f"{standby['mode']}, {ready}"),
        ("waiting connections", f"{queue['length']} of {queue['limit']}" if queue else "-"),
        ("supervisor", f"pid {status['pid']}, {size(status['supervisor']['rss_bytes'])}"),
        ("up", duration(now - status["started_at"])),
    ]


def _fact(term: str, text: str) -> str:
    return f"<div><dt>{term}</dt><dd>{_escape(text)}</dd></div>"


def _row(slot: dict[str, Any], now: float) -> str:
    busy = f'<meter value="{slot["busy"]}"></meter>{slot["busy"]:.0%}'
    why = f"<small>{_escape(slot['why'])}</small>" if slot["why"] else ""
    cells = (
        _escape(slot["slot"]),
        _known(slot["worker"]),
        _known(slot["core"]),
        _known(slot["pid"]),
        _state(slot["state"]) + why,
        _escape(slot["restarts"]),
        _escape(slot["requests"]),
        _escape(slot["in_flight"]),
        busy if slot["pid"] else "-",
        size(slot["rss_bytes"]),
        "-" if slot["ready_at"] is None else duration(now - slot["ready_at"]),
        _escape(slot["last_exit"] or ""),
    )
    return "".join(f'<td class="{kind}">{cell}</td>' for (_, kind), cell in zip(COLUMNS, cells, strict=True))


def _state(state: str) -> str:
    return f'<span class="state {_escape(state)}">{_escape(state)}</span>'


def _known(value: object) -> str:
    return "-" if value is None else _escape(value)


def _escape(value: object) -> str:
    return line(str(value)).translate(_ESCAPES)
