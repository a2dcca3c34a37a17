"""h11's connection of a server, in the places where it is too strict or not strict enough for a public port."""

from __future__ import annotations

import re
from typing import Any

import h11
from h11._readers import ChunkedReader
from h11._receivebuffer import ReceiveBuffer

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
