"""What an HTTP/2 stream has to send and its client doesn't take yet."""

from __future__ import annotations

from hypercorn.protocol.h2 import BufferCompleteError, StreamBuffer

MOST = 32768  # bytes at which the application's `send` waits
ENOUGH = MOST // 2  # bytes at which it goes on
PIECE = 32768  # bytes put in at once, so that a buffer never holds more than MOST and one piece


class SendBuffer(StreamBuffer):
    """Bounded: hypercorn's takes whatever the application gives it at once, and only then lets the next one wait."""

    taken = 0  # bytes that have left it

    @property
    def ended(self) -> bool:
        """Whether nothing may be put in any more."""
        return self._complete

    async def push(self, data: bytes) -> None:
        """Add a piece, and wait while there is too much."""
        if self._complete:
            raise BufferCompleteError
        self.buffer.extend(data)
        await self._is_empty.clear()
        if len(self.buffer) >= MOST:
            await self._paused.clear()
            await self._paused.wait()

    async def pop(self, max_length: int) -> bytes:
        """Take as much as may be sent."""
        data = bytes(self.buffer[:max_length])
        del self.buffer[:max_length]
        self.taken += len(data)
        if len(self.buffer) <= ENOUGH:
            await self._paused.set()
        if not self.buffer:
            await self._is_empty.set()
        return data
