"""h11's connection of a server, in the places where it is too strict or not strict enough for a public port, and the
requests that come of it."""

from __future__ import annotations

import re
from typing import Any

import h11
from h11._readers import ChunkedReader
from h11._receivebuffer import ReceiveBuffer

from corepod.worker.request_head import has_control, is_host, split_target, with_host

EMPTY_LINE = b"\r\n"

_space_in_size = re.compile(rb"[0-9A-Fa-f]*[ \t]").match


class Parser(h11.Connection):
    """Reads requests, frames responses. h11's internals are used, which is why its minor version is pinned."""

    def __init__(self, limit_header: int) -> None:
        super().__init__(h11.SERVER, max_incomplete_event_size=limit_header)
        self._limit_header = limit_header
        self._skipped = 0  # bytes of empty lines before the request that is expected
        self.behind = False  # something has come behind the last request of the connection

    def next_event(self) -> Any:
        """See h11. Empty lines before a request are ignored (RFC 9112, 2.2), and so is all that follows the last one:
        h11 would answer 400 in place of what the client has asked for before."""
        if self.their_state is h11.MUST_CLOSE and self._receive_buffer:
            self._receive_buffer = ReceiveBuffer()
            self.behind = True
        if self.their_state is h11.IDLE and self._is_between():
            return h11.NEED_DATA
        event = super().next_event()
        if isinstance(event, h11.Request):
            self._skipped = 0
        return event

    def _is_between(self) -> bool:
        """Skip empty lines; whether half of one is left. As many as a head may be long: h11 refuses the next one."""
        buffer = self._receive_buffer
        while buffer._data[:2] == EMPTY_LINE and self._skipped < self._limit_header:
            buffer.maybe_extract_at_most(2)
            self._skipped += 2
        return buffer._data == b"\r" and not self._receive_buffer_closed

    def _get_io_object(self, *args: Any) -> Any:
        found = super()._get_io_object(*args)
        return _Chunks() if type(found) is ChunkedReader else found

    def _clean_up_response_headers_for_sending(self, response: h11.Response) -> h11.Response:
        response = super()._clean_up_response_headers_for_sending(response)
        if self._request_method != b"HEAD":
            return response
        # h11 says how the body of a GET would be framed. There is none.
        headers = [header for header in response.headers if header[0] != b"transfer-encoding"]
        return h11.Response(status_code=response.status_code, headers=headers, reason=response.reason)


class _Chunks(ChunkedReader):
    """h11 allows spaces behind the size of a chunk, where other servers find another size, or none."""

    def __call__(self, buffer: ReceiveBuffer) -> Any:
        if not self._bytes_in_chunk and not self._reading_trailer:
            start = len(self._bytes_to_discard)
            if _space_in_size(buffer._data, start):
                raise h11.LocalProtocolError("a space beside the size of a chunk")
        return super().__call__(buffer)


def refusal(request: h11.Request, headers: list[tuple[bytes, bytes]]) -> int:
    """The status to refuse a request with, 0 where it may pass."""
    if request.method == b"CONNECT":
        return 501
    if request.http_version not in (b"1.1", b"1.0"):
        return 505
    lengths = {name for name, _ in headers if name in (b"content-length", b"transfer-encoding")}
    # Before HTTP/1.1 there was no chunked body: a proxy of that time takes it for the next request (RFC 9112, 6.1).
    if len(lengths) > 1 or (request.http_version == b"1.0" and b"transfer-encoding" in lengths):
        return 400
    if split_target(request.method, request.target) is None or has_control(b"".join(pair[1] for pair in headers)):
        return 400
    return 0 if all(is_host(value) for name, value in headers if name == b"host") else 400


def in_origin_form(request: h11.Request, headers: list[tuple[bytes, bytes]]) -> h11.Request:
    """The request with the path of an absolute target as its target, and the host of that as its Host."""
    path, query, host = split_target(request.method, request.target) or (request.target, b"", b"")
    if not host:
        return request
    return h11.Request(
        method=request.method,
        target=path + b"?" + query if query else path,
        headers=with_host(headers, host),
        http_version=request.http_version,
    )
