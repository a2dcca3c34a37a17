"""hypercorn's HTTP/2 protocol, patched: how responses leave, and what becomes of those whose client takes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError
from hypercorn.events import Updated
from hypercorn.protocol.events import Body, Data, StreamClosed
from hypercorn.protocol.h2 import H2Protocol
from hypercorn.protocol.http_stream import ASGIHTTPState, HTTPStream
from hypercorn.protocol.ws_stream import WSStream

from corepod.worker.hypercorn.http2_buffer import PIECE, SendBuffer

if TYPE_CHECKING:
    from corepod.worker.hypercorn.write_progress import ConnectionContext


class SendingH2(H2Protocol):
    """Puts no more of a body into a stream's buffer than its client takes, and ends each stream completely."""

    app: Any  # the worker's Instrumented
    context: ConnectionContext
    stream_buffers: dict[int, SendBuffer]  # type: ignore[assignment]

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._sent = 0  # bytes of all bodies

    async def _send_data(self, stream_id: int) -> None:
        stream, buffer = self.streams.get(stream_id), self.stream_buffers[stream_id]
        taken = buffer.taken
        await super()._send_data(stream_id)
        self._sent += buffer.taken - taken
        if buffer.buffer:
            self.context.waits()
        if stream is not None and stream_id not in self.stream_buffers:
            self.app.answered(stream.scope)

    async def stream_send(self, event: Any) -> None:
        if isinstance(event, Body | Data) and len(event.data) > PIECE:
            await self._send_in_pieces(event)
            return
        if isinstance(event, StreamClosed):
            await self._end(event.stream_id)
        await super().stream_send(event)

    async def _send_in_pieces(self, event: Body | Data) -> None:
        for start in range(0, len(event.data), PIECE):
            buffer = self.stream_buffers.get(event.stream_id)
            if buffer is None or buffer.ended:
                return
            piece = event.data[start : start + PIECE]
            await super().stream_send(type(event)(stream_id=event.stream_id, data=piece))

    async def _end(self, stream_id: int) -> None:
        stream, buffer = self.streams.get(stream_id), self.stream_buffers.get(stream_id)
        if isinstance(stream, HTTPStream) and stream.state is not ASGIHTTPState.CLOSED:
            # Without it the client would wait for the rest of the response for ever.
            self._reset(stream_id, ErrorCodes.INTERNAL_ERROR)
            await self._flush()
            await self._window_updated(stream_id)
        elif isinstance(stream, WSStream) and buffer is not None:
            # hypercorn never ends it, and it would count as one of the client's streams until the connection ends.
            buffer.set_complete()
            await self._window_updated(stream_id)

    def _reset(self, stream_id: int, code: ErrorCodes) -> None:
        try:
            self.connection.reset_stream(stream_id, code)
        except ProtocolError:
            pass  # it is closed by now

    def blocked_streams(self) -> dict[int, tuple[int, int]]:
        """The streams that have data and can't send any, because a window of their client's is closed: with the window
        and what it has let through. A stream behind the connection's window has moved when any stream has."""
        blocked = {}
        window = self.connection.outbound_flow_control_window
        for stream_id, buffer in self.stream_buffers.items():
            stream = self.connection.streams.get(stream_id)
            if stream is None or not buffer.buffer:
                continue
            if stream.outbound_flow_control_window <= 0:
                blocked[stream_id] = (stream.outbound_flow_control_window, buffer.taken)
            elif window <= 0:
                blocked[stream_id] = (window, self._sent)
        return blocked

    def give_up(self, stream_ids: list[int]) -> None:
        """End these streams: their client doesn't open the window."""
        if not self.closed:
            for stream_id in stream_ids:
                self._reset(stream_id, ErrorCodes.CANCEL)
            self.task_group.spawn(self.abandon, stream_ids)

    async def abandon(self, stream_ids: list[int]) -> None:
        """These streams have been reset. In hypercorn, one whose window is closed keeps its data, and the application's
        `send` waits on; and a connection whose last stream is reset is never closed for being idle."""
        await self._flush()
        for stream_id in stream_ids:
            if (buffer := self.stream_buffers.get(stream_id)) is not None:
                await buffer.close()
            await self._close_stream(stream_id)
            await self._window_updated(stream_id)
        await self.send(Updated(idle=self.idle))
