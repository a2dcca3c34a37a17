"""Who asks: browsers, requests that compute or wait, WebSockets, and arrivals that no slow answer delays."""

from __future__ import annotations

import json
import random
import select
import time
from typing import TYPE_CHECKING, Any

import gevent
import websocket
from corepod.hit.exchange import LOST_SESSION, NOBODY, OK, REFUSED, RESET, TIMED_OUT, WRONG, Client, Worker
from gevent.pool import Group
from locust import User, between, task

from loadtest.expect import expected
from loadtest.recorder import SAMPLE
from loadtest.tally import Sample

if TYPE_CHECKING:
    from corepod.hit.exchange import Answer

RESTARTS = (1001, 1012)  # close codes by which a server says that it goes away: no session is lost without a word
GONE = 1005  # closed without a code


class FailedError(Exception):
    """A failed request, as Locust's own statistics show it."""


class Caller(User):
    """A user of an application. With `kept` it asks on one connection, else on a new one for each request."""

    abstract = True
    kept = True

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        self.options = environment.parsed_options
        self.client = self.connect()

    def connect(self) -> Client:
        return Client(self.host or "", kept=self.kept, timeout=self.options.timeout)

    def on_stop(self) -> None:
        self.client.close()

    def ask(self, path: str) -> Answer:
        begun = time.time()
        answer = self.client.get(path, expected(path))
        route = self.route(path)
        sample = Sample(route, begun, answer.seconds, answer.outcome, answer.worker, fresh=not self.kept)
        self.record(sample, answer.detail)
        return answer

    def route(self, path: str) -> str:
        return path.partition("?")[0] + ("" if self.kept else ", new connection")

    def record(self, sample: Sample, detail: str = "") -> None:
        failed = None if sample.outcome == OK else FailedError(f"{sample.outcome} {detail}".strip())
        self.environment.events.request.fire(
            request_type="GET",
            name=sample.route,
            response_time=sample.seconds * 1000,
            response_length=0,
            exception=failed,
            context={SAMPLE: sample},
        )


class Browser(Caller):
    """Looks at a page and what belongs to it, on the connection it keeps, and thinks."""

    weight = 4
    wait_time = between(0.3, 1.5)

    @task
    def page(self) -> None:
        for path in ("/", "/whoami", "/healthz"):
            self.ask(path)


class Waiter(Caller):
    """Asks for what waits for something else: a database, another service."""

    weight = 2
    wait_time = between(0.1, 0.5)

    @task
    def wait_for_it(self) -> None:
        self.ask("/wait?seconds=0.2")


class Reports(Caller):
    """Asks for what computes, on a new connection each time."""

    weight = 2
    kept = False
    wait_time = between(0.3, 1.5)

    @task
    def report(self) -> None:
        self.ask(f"/generate-report?size={self.options.report_size}")


class KeptReports(Reports):
    """The same on one connection: whoever it leads to computes all of them."""

    weight = 1
    kept = True


class Arrivals(Caller):
    """Requests that come when they come, `--rate` a second from each user: open loop. A late answer delays none, and
    each is timed from when it was due, so a pause of the server is seen by all that would have come in it."""

    weight = 6
    kept = False
    wait_time = between(0, 0)

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        self._idle: list[Client] = []
        self._under_way = Group()

    def on_start(self) -> None:
        # Not all at the same moment, however many users are added at once.
        self._due = time.time() + random.expovariate(self.options.rate)

    def on_stop(self) -> None:
        """What was sent is waited for: to leave out the slow ones at the end would flatter."""
        self._under_way.join(self.options.timeout)
        for client in self._idle:
            client.close()

    @task
    def arrive(self) -> None:
        gevent.sleep(max(0.0, self._due - time.time()))
        self._under_way.spawn(self._ask_at, self._due)
        self._due += random.expovariate(self.options.rate)

    def _ask_at(self, due: float) -> None:
        path = self.options.arrival_path
        client = self._idle.pop() if self._idle else self.connect()
        late = time.time() - due
        answer = client.get(path, expected(path))
        self._idle.append(client)
        route = "arrivals" + ("" if self.kept else ", new connection")
        sample = Sample(
            route,
            due,
            answer.seconds + late,
            answer.outcome,
            answer.worker,
            scheduled=True,
            late=late,
            fresh=not self.kept,
        )
        self.record(sample, answer.detail)


class KeptArrivals(Arrivals):
    """The same on connections that are kept and shared."""

    weight = 2
    kept = True


class Talker(Caller):
    """Holds a WebSocket and says something now and then. One that is cut without a word is a lost session."""

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
        self._worker = Worker(hello["pod"], hello["node"], hello["slot"], core, hello["pid"])
        return OK, ""

    def _say(self) -> tuple[str, str]:
        """Nothing where the server had said before that it goes away: the next turn finds another worker."""
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
        """What the server has said meanwhile: pings, or goodbye (to write without reading it could bring a reset)."""
        assert self._socket is not None
        opcode, data = websocket.ABNF.OPCODE_CONT, b""
        while opcode != websocket.ABNF.OPCODE_CLOSE and select.select([self._socket], [], [], 0)[0]:
            opcode, data = self._socket.recv_data(control_frame=True)
        return opcode, data

    def _leave(self) -> None:
        if self._socket:
            self._socket.close(timeout=1)
        self._socket = None
