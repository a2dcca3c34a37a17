"""The user that holds a WebSocket."""

from __future__ import annotations

import json
import select
import time

import websocket
from corepod.hit.exchange import LOST_SESSION, NOBODY, OK, REFUSED, RESET, TIMED_OUT, WRONG, Responder
from locust import between, task

from loadtest.tally import Sample
from loadtest.users import Caller

RESTARTS = (1001, 1012)  # close codes by which a server announces that it goes away: the session is not lost
GONE = 1005  # closed without a code


class Talker(Caller):
    """Holds a WebSocket and sends a message now and then. A session that is cut without a close code is lost."""

    weight = 2
    wait_time = between(0.3, 1.0)

    def on_start(self) -> None:
        self._socket: websocket.WebSocket | None = None
        self._worker = NOBODY
        self._said = 0

    def on_stop(self) -> None:
        self._leave()

    @task
    def talk(self) -> None:
        begun, started = time.time(), time.perf_counter()
        outcome, detail = self._connect() if self._socket is None else self._say()
        if outcome:
            sample = Sample("/ws", begun, time.perf_counter() - started, outcome, self._worker, fresh=False)
            self.record(sample, detail)
        if outcome != OK:
            self._leave()

    def _connect(self) -> tuple[str, str]:
        self._worker = NOBODY
        try:
            address = (self.host or "").replace("http", "ws", 1).rstrip("/") + "/ws"
            self._socket = websocket.create_connection(address, timeout=self.options.timeout)
            hello = json.loads(self._socket.recv())["hello"]
        except ConnectionRefusedError as error:
            return REFUSED, str(error)
        except (TimeoutError, websocket.WebSocketTimeoutException):
            return TIMED_OUT, ""
        except (OSError, websocket.WebSocketException, ValueError, KeyError) as error:
            return RESET, repr(error)
        core = hello["core"] if hello["pinned"] else None
        self._worker = Responder(hello["pod"], hello["node"], hello["slot"], core, hello["pid"])
        return OK, ""

    def _say(self) -> tuple[str, str]:
        """An empty outcome if the server had announced that it goes away: the next turn connects to another worker."""
        assert self._socket is not None
        self._said += 1
        text = f"{id(self)} {self._said}"
        try:
            opcode, data = self._unasked()
            if opcode != websocket.ABNF.OPCODE_CLOSE:
                self._socket.send(text)
                opcode, data = self._socket.recv_data()
        except (TimeoutError, websocket.WebSocketTimeoutException):
            return TIMED_OUT, ""
        except (OSError, websocket.WebSocketException) as error:
            return LOST_SESSION, repr(error)
        if opcode == websocket.ABNF.OPCODE_CLOSE:
            code = int.from_bytes(data[:2], "big") if len(data) >= 2 else GONE
            return ("", "") if code in RESTARTS else (LOST_SESSION, f"closed with {code}")
        echo = json.loads(data).get("echo")
        return (OK, "") if echo == text else (WRONG, f"said {text!r}, heard {echo!r}")

    def _unasked(self) -> tuple[int, bytes]:
        """Read what the server has sent meanwhile: pings, or a close frame (a write first could cause a reset)."""
        assert self._socket is not None
        opcode, data = websocket.ABNF.OPCODE_CONT, b""
        while opcode != websocket.ABNF.OPCODE_CLOSE and select.select([self._socket], [], [], 0)[0]:
            opcode, data = self._socket.recv_data(control_frame=True)
        return opcode, data

    def _leave(self) -> None:
        if self._socket:
            self._socket.close(timeout=1)
        self._socket = None
