"""Limits and proxy headers. Each is wrapped around the application only where its setting asks for it: what isn't used
costs nothing."""

from __future__ import annotations

import asyncio
import ipaddress
from typing import TYPE_CHECKING, Any

from corepod.contract import IN_FLIGHT, SHED

if TYPE_CHECKING:
    from corepod.worker.board import Board


class TooLargeError(Exception):
    """The request's body is larger than `limit_body`."""


def wrap(app: Any, settings: dict[str, Any], board: Board) -> Any:
    """The application behind what the settings ask for, the outermost last."""
    if settings["limit_body"]:
        app = limit_body(app, settings["limit_body"])
    if settings["request_timeout"] and not settings["debug"]:
        app = limit_time(app, settings["request_timeout"])
    if settings["limit_requests"]:
        app = limit_requests(app, settings["limit_requests"], board)
    if settings["trusted_proxies"]:
        app = believe_proxies(app, settings["trusted_proxies"])
    return app


def limit_requests(app: Any, most: int, board: Board) -> Any:
    """503 above `most` requests at once, so that what is served is served in time."""

    async def limited(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and board.words[IN_FLIGHT] > most:
            board.words[SHED] += 1
            await _answer(send, 503, b"overloaded, please try again\n", (b"retry-after", b"1"))
        else:
            await app(scope, receive, send)

    return limited


def limit_time(app: Any, seconds: float) -> Any:
    """504 when the response hasn't begun after `seconds`; one that has begun is cut off."""

    async def limited(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        begun = False

        async def watched(message: Any) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            async with asyncio.timeout(seconds):
                await app(scope, receive, watched)
        except TimeoutError:
            if begun:
                raise
            await _answer(send, 504, b"the application took too long\n", (b"connection", b"close"))

    return limited


def limit_body(app: Any, most: int) -> Any:
    """413 when the request's body is larger than `most` bytes, announced or not."""

    async def limited(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        length = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        left = most - int(length)
        begun = False

        async def counted() -> Any:
            nonlocal left
            message = await receive()
            left -= 0 if int(length) else len(message.get("body", b""))
            if left < 0:
                raise TooLargeError
            return message

        async def watched(message: Any) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            if left < 0:
                raise TooLargeError
            await app(scope, counted, watched)
        except TooLargeError:
            if begun:
                raise
            await _answer(send, 413, b"the request's body is too large\n", (b"connection", b"close"))

    return limited


def believe_proxies(app: Any, trusted: list[str]) -> Any:
    """Client, scheme and host from X-Forwarded-For, -Proto and -Host, where the peer is a trusted proxy.

    Of X-Forwarded-For it is the last address that no trusted proxy has: what stands before it anybody may have written.
    """
    everyone = "*" in trusted
    networks = [ipaddress.ip_network(text) for text in trusted if text != "*"]

    def believed(host: str) -> bool:
        if everyone:
            return True
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        return any(address in network for network in networks)

    async def proxied(scope: Any, receive: Any, send: Any) -> None:
        # No client: a Unix socket, which only a proxy on this machine reaches.
        if scope["type"] in ("http", "websocket") and (scope["client"] is None or believed(scope["client"][0])):
            _rewrite(scope, believed)
        await app(scope, receive, send)

    return proxied


def _rewrite(scope: Any, believed: Any) -> None:
    forwarded = {name: value.decode("latin-1") for name, value in scope["headers"] if name.startswith(b"x-forwarded-")}
    chains = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
    hops = [hop.strip() for hop in ",".join(chains).split(",")] if chains else []
    if hops:
        strangers = [hop for hop in hops if not believed(_bare(hop))]
        scope["client"] = (_bare(strangers[-1] if strangers else hops[0]), 0)
    proto = forwarded.get(b"x-forwarded-proto", "").split(",")[-1].strip()
    if proto in ("http", "https"):
        secure = proto == "https"
        scope["scheme"] = {
            "http": "https" if secure else "http",
            "websocket": "wss" if secure else "ws",
        }[scope["type"]]
    if host := forwarded.get(b"x-forwarded-host", "").split(",")[-1].strip():
        headers = [(name, value) for name, value in scope["headers"] if name != b"host"]
        scope["headers"] = [*headers, (b"host", host.encode("latin-1"))]


def _bare(hop: str) -> str:
    """The address without a port: 1.2.3.4:5, [::1]:5."""
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop


async def _answer(send: Any, status: int, body: bytes, extra: tuple[bytes, bytes]) -> None:
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        extra,
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
