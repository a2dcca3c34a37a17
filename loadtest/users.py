"""The simulated users: browsers, requests that compute or wait, and arrivals that no slow response delays."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any

import gevent
from corepod.hit.exchange import OK, Client
from gevent.pool import Group
from locust import User, between, task

from loadtest.expect import expected
from loadtest.recorder import SAMPLE
from loadtest.tally import Sample

if TYPE_CHECKING:
    from corepod.hit.exchange import Answer


class FailedError(Exception):
    """A failed request, for Locust's own statistics."""


class Caller(User):
    """A user of an application. With `kept` it uses one connection, otherwise a new one for each request."""

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
    """Requests a page and its parts on one kept connection, then pauses."""

    weight = 4
    wait_time = between(0.3, 1.5)

    @task
    def page(self) -> None:
        for path in ("/", "/whoami", "/healthz"):
            self.ask(path)


class Waiter(Caller):
    """Requests a path that waits for something else, such as a database or another service."""

    weight = 2
    wait_time = between(0.1, 0.5)

    @task
    def wait_for_it(self) -> None:
        self.ask("/wait?seconds=0.2")


class Reports(Caller):
    """Requests a path that computes, on a new connection each time."""

    weight = 2
    kept = False
    wait_time = between(0.3, 1.5)

    @task
    def report(self) -> None:
        self.ask(f"/generate-report?size={self.options.report_size}")


class KeptReports(Reports):
    """The same on one kept connection, so that one worker computes all of them."""

    weight = 1
    kept = True


class Arrivals(Caller):
    """Requests on a schedule, `--rate` a second for each user (open loop). A late response delays none of them, and the
    latency of each is measured from the time at which it was due, so a pause of the server shows in all of them."""

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
        """Wait for the requests that were sent: without the slow ones at the end the result would be too good."""
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
    """The same on kept connections, which all requests of the user share."""

    weight = 2
    kept = True
