"""hypercorn's HTTP/2 protocol, patched: what its clients may do."""

from __future__ import annotations

import re
import time
from contextlib import suppress
from typing import Any

from h2.errors import ErrorCodes
from h2.events import (
    DataReceived,
    PingReceived,
    PriorityUpdated,
    RemoteSettingsChanged,
    RequestReceived,
    StreamReset,
)
from h2.exceptions import ProtocolError
from hypercorn.events import Closed, RawData, Updated
from hyperframe.frame import GoAwayFrame
from priority.priority import PriorityError

from corepod.worker.hypercorn.http1 import head_size
from corepod.worker.hypercorn.http2_sending import SendingH2

PIECE = 4096  # bytes that are processed before the limits are checked
CHATTER, CHATTER_A_SECOND = 1000, 33  # frames that cost work without data: in one burst, and on average
TARGET = re.compile(rb"[!-~]+")
METHOD = re.compile(rb"[A-Za-z!#$%&'*+.^_`|~0-9-]+")


class PatchedH2(SendingH2):
    """Closes no connection for a fault of one of its streams, and no stream before it is finished.

    hypercorn closes a connection that reaches its limit of requests in the middle of the last one. Here the limit is
    announced, open streams are finished, and only a client that goes on regardless, that resets most of its requests
    (CVE-2023-44487) or that floods the connection (CVE-2019-9512 and its kind) is cut off.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._requests = self._resets = self._chatter = 0
        self._since = time.monotonic()
        self._announced_at: int | None = None

    async def initiate(self, *args: Any) -> None:
        await super().initiate(*args)
        # Until a stream comes. hypercorn takes the preface for a request, and lets its connection stay for ever.
        await self.send(Updated(idle=True))

    async def handle(self, event: Any) -> None:
        if isinstance(event, RawData) and len(event.data) > PIECE:
            for start in range(0, len(event.data), PIECE):
                if not self.closed:
                    await super().handle(RawData(event.data[start : start + PIECE]))
        else:
            await super().handle(event)
        if self.closed:
            # Nothing is sent any more: an application that answers now would wait for ever until its answer is sent.
            for buffer in self.stream_buffers.values():
                await buffer.close()

    async def _create_stream(self, request: Any) -> None:
        self._requests += 1
        await super()._create_stream(request)
        self.keep_alive_requests = 0  # hypercorn's own limit never applies

    async def _handle_events(self, events: Any) -> None:
        for event in events:
            if isinstance(event, RequestReceived) and (status := self._refusal(event)):
                self.connection.send_headers(event.stream_id, [(b":status", b"%d" % status)], end_stream=True)
                await self._flush()
            elif isinstance(event, DataReceived) and event.stream_id not in self.streams:
                await self._discard(event)
            elif isinstance(event, StreamReset):
                self._resets += 1
                await self.abandon([event.stream_id])
            else:
                self._chatter += _is_chatter(event)
                await super()._handle_events([event])
        if not events:
            await self._flush()  # the answer to data of a closed stream, for example
        await self._hold_limits()

    async def _priority_updated(self, event: PriorityUpdated) -> None:
        # Streams that never come would stay in the tree, and a thousand of them make hypercorn fail. RFC 9113, 5.3.2
        # leaves it to the server what it makes of these frames.
        if event.stream_id in self.stream_buffers and (event.depends_on or 0) in (0, *self.stream_buffers):
            with suppress(PriorityError):
                await super()._priority_updated(event)

    def _refusal(self, event: RequestReceived) -> int:
        headers = dict(event.headers)
        method, path = headers.get(b":method", b""), headers.get(b":path", b"")
        if not METHOD.fullmatch(method) or not TARGET.fullmatch(path):
            return 400
        if method == b"CONNECT" and headers.get(b":protocol") != b"websocket":
            return 501
        return 431 if head_size(event.headers) > self.config.h2_max_header_list_size else 0

    async def _discard(self, event: DataReceived) -> None:
        """Data of a request that has its answer already: hypercorn would fail, and the whole connection with it."""
        try:
            self.connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            if event.stream_id not in self.stream_buffers:
                self.connection.reset_stream(event.stream_id, ErrorCodes.NO_ERROR)  # RFC 9113, 8.1: enough, thank you
        except ProtocolError:
            pass  # it is closed by now
        await self._flush()

    async def _hold_limits(self) -> None:
        most = max(1, self.config.keep_alive_max_requests)
        streams = self.config.h2_max_concurrent_streams
        if self._announced_at is None and self._requests >= most:
            await self.announce_close()
        ignored = self._announced_at is not None and self._requests - self._announced_at > streams
        resets = self._resets > max(streams, self._requests // 2)
        chatter = (
            self._chatter > CHATTER and self._chatter > CHATTER + (time.monotonic() - self._since) * CHATTER_A_SECOND
        )
        if (ignored or resets or chatter) and not self.closed:
            self.connection.close_connection(ErrorCodes.ENHANCE_YOUR_CALM)
            await self._flush()
            await self.send(Closed())

    @property
    def asked(self) -> bool:
        """Whether there has been a request."""
        return self._requests > 0

    async def announce_close(self) -> None:
        """RFC 9113, 6.8: GOAWAY with the greatest stream number says "no new streams, please", and closes nothing."""
        if self._announced_at is None:
            self._announced_at = self._requests
            await self.send(RawData(data=GoAwayFrame(0, last_stream_id=2**31 - 1).serialize()))


def _is_chatter(event: Any) -> bool:
    return isinstance(event, PingReceived | RemoteSettingsChanged | PriorityUpdated) or (
        isinstance(event, DataReceived) and not event.data and event.stream_ended is None
    )
