"""What an application is wrapped in while its code is being written (`reload`): faults are shown where they are looked
for, in the browser and in the terminal."""

from __future__ import annotations

import html
import os
import re
import sys
from dataclasses import dataclass
from typing import Any

from corepod.contract import escaping
from corepod.worker.application.tracebacks import application_traceback

FRAME = re.compile(r' *File "(?P<file>[^"]+)", line \d+')
LIBRARIES = (os.path.dirname(os.__file__), "/site-packages/", "/dist-packages/", "<frozen")
BOLD, RED, DIM, PLAIN = "\x1b[1m", "\x1b[1;31m", "\x1b[2m", "\x1b[0m"
MARK = b"x-corepod-broken"  # a header of the page that stands for the whole application
# The page comes back by itself when the application does; nothing is sent to the application before that.
POLL = """<script>
setInterval(async () => {
  try {
    const answer = await fetch(location.href, {method: "HEAD", cache: "no-store"});
    if (!answer.headers.has("x-corepod-broken")) location.reload();
  } catch { /* the pool is stopped, or starts again */ }
}, 1000);
</script>"""
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
:root {{ color-scheme: light dark }}
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 2rem }}
h1 {{ font-size: 1.3rem }}
pre {{ font-size: .9rem; overflow-x: auto }}
.library {{ opacity: .55 }} .own {{ font-weight: bold }} .error {{ color: #d33; font-weight: bold }}
</style></head><body><h1>{title}</h1><pre>{text}</pre><p>{note}</p>{script}</body></html>
"""


@dataclass(frozen=True)
class Fault:
    """Why there is no application. `text` is the traceback, empty where the message says it all."""

    message: str
    text: str

    @property
    def summary(self) -> str:
        """One line: the exception, or the message."""
        lines = self.text.strip().splitlines()
        return lines[-1].strip() if lines else self.message


class Broken(Fault):
    """Stands for an application that couldn't be loaded."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError(self.message)  # never served: `Pages` answers in its place


class Pages:
    """Around the application. Once there is a `fault` every request is answered with it."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self.fault: Fault | None = None
        if isinstance(app, Broken):
            self.fail(app.message, app.text)

    def fail(self, message: str, text: str) -> None:
        """There is no application: show why, here and in the terminal."""
        self.fault = Fault(message, text)
        shown = escaping.lines(f"{message}\n{text}".strip())
        print(in_colours(shown) if sys.stderr.isatty() else shown, file=sys.stderr)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self.fault is not None and scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1011, "reason": "the application is broken"})
        elif self.fault is not None and scope["type"] == "http":
            await _answer(scope, send, self.fault, broken=True)
        elif scope["type"] == "http":
            await self._show_exception(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _show_exception(self, scope: Any, receive: Any, send: Any) -> None:
        """Frameworks answer 500 before they pass an exception on: that answer is held back until it is known whether
        one follows."""
        held: list[Any] = []
        begun = False

        async def hold(message: Any) -> None:
            nonlocal begun
            kind = message["type"]
            first = not begun and not held and kind == "http.response.start" and message["status"] == 500
            if first or (len(held) == 1 and kind == "http.response.body" and not message.get("more_body")):
                held.append(message)
                return
            begun = True
            await _send_all(held, send)
            await send(message)

        try:
            await self._app(scope, receive, hold)
        except Exception as error:
            if not begun:
                fault = Fault(f"{scope['method']} {scope['path']} failed", application_traceback(error))
                await _answer(scope, send, fault, broken=False)
            raise  # for the log
        await _send_all(held, send)


async def _send_all(held: list[Any], send: Any) -> None:
    while held:
        await send(held.pop(0))


async def _answer(scope: Any, send: Any, fault: Fault, *, broken: bool) -> None:
    accepted = b",".join(value for name, value in scope["headers"] if name == b"accept")
    if b"text/html" in accepted:
        kind, body = b"text/html; charset=utf-8", page(fault, broken=broken)
    else:
        kind, body = b"text/plain; charset=utf-8", f"{fault.message}\n\n{fault.text}".rstrip() + "\n"
    data = body.encode("utf-8", "backslashreplace")
    headers = [
        (b"content-type", kind),
        (b"content-length", str(len(data)).encode()),
        (b"cache-control", b"no-store"),
        *([(MARK, b"1")] if broken else []),
    ]
    await send({"type": "http.response.start", "status": 500, "headers": headers})
    await send({"type": "http.response.body", "body": data})


def page(fault: Fault, *, broken: bool) -> str:
    """For a browser. `broken`: the page looks for the application by itself."""
    lines = [f'<span class="{kind}">{html.escape(line)}</span>' for kind, line in classified(fault.text)]
    note = "This page reloads when the code is repaired." if broken else ""
    text = "\n".join(lines)
    return PAGE.format(title=html.escape(fault.message), text=text, note=note, script=POLL if broken else "")


def in_colours(text: str) -> str:
    """For a terminal: the application's own frames stand out, those of libraries step back."""
    colours = {"own": BOLD, "library": DIM, "error": RED, "": ""}
    return "\n".join(f"{colours[kind]}{line}{PLAIN if kind else ''}" for kind, line in classified(text))


def classified(text: str) -> list[tuple[str, str]]:
    """Each line of a traceback with what it belongs to: a frame of the application or of a library, or the error."""
    kind, found = "", []
    for line in text.splitlines():
        if match := FRAME.match(line):
            kind = "library" if any(part in match["file"] for part in LIBRARIES) else "own"
        elif line and not line.startswith(" "):
            kind = "" if line.endswith(":") and "Traceback" in line else "error"
        found.append((kind, line))
    return found
