"""What is known of the cluster is what the API server has, whatever happens on the way there."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from corepod.operator.api.cluster import NODES, PODS, Cluster
from corepod.operator.api.errors import ConnectError, Forbidden, Unreachable
from corepod.operator.api.reflector import PAUSES, Reflector
from corepod.operator.api.store import Store
from corepod.operator.api.transport import Credentials, Transport

from tests.process.harness import until
from tools.fakeapi import FakeApi, faults
from tools.fakeapi.objects import node

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tools.fakeapi.server import Handler

SECONDS = 1.0  # of a watch


def fact(found: dict[str, Any]) -> str:
    """The only thing these tests know of a node."""
    if "allocatable" not in found["status"]:
        raise ValueError("no allocatable")
    return str(found["status"]["allocatable"]["cpu"])


class Followed:
    """Nodes, followed by a thread."""

    def __init__(self, api: FakeApi, folder: Path, **options: Any) -> None:
        self.told: list[str] = []
        self.pokes = 0
        self.store: Store[str] = Store(self._poke)
        self.transport = Transport(Credentials(str(api.kubeconfig(folder))), {})
        self.reflector = Reflector(
            Cluster(self.transport), NODES, fact, self.store,
            **{"seconds": SECONDS, "jitter": lambda low, high: low, "log": self.told.append, **options},
        )  # fmt: skip
        self._thread = threading.Thread(target=self.reflector.run)
        self._thread.start()

    def _poke(self) -> None:
        self.pokes += 1

    def close(self) -> None:
        self.reflector.stopped.set()
        self._thread.join()
        self.transport.close()

    def knows(self, **nodes: str) -> None:
        """Wait until exactly these nodes are known, each with so much CPU."""
        until(lambda: self.now() == nodes, f"{nodes}, not {self.now()}; {self.store.error}")

    def now(self) -> dict[str, str]:
        return {name: cpu for name in ("a", "b", "c", "d") if (cpu := self.store.get("", name)) is not None}


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with FakeApi() as server:
        server.store.put("nodes", node("a", "1"))
        server.store.put("nodes", node("b", "2"))
        yield server


@pytest.fixture
def short(api: FakeApi) -> None:
    """Watches end after a second, whatever is asked for."""
    api.longest = 1.0


@pytest.fixture
def followed(api: FakeApi, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Followed]:
    """Already in step with the server, and watching; options of the reflector by indirect parameters."""
    nodes = Followed(api, tmp_path, **getattr(request, "param", {}))
    try:
        nodes.knows(a="1", b="2")
        until(lambda: api.streams, "a watch")
        yield nodes
    finally:
        api.close()
        nodes.close()


def change(api: FakeApi) -> None:
    api.store.put("nodes", node("a", "8"))
    api.store.delete("nodes", "", "b")
    api.store.put("nodes", node("c", "4"))


@contextlib.contextmanager
def watching(api: FakeApi) -> Iterator[None]:
    """There is an open watch, and it hears of nothing before the block ends."""

    def held() -> bool:
        api.store.changed.acquire()
        if api.streams:
            return True
        api.store.changed.release()
        return False

    until(held, "a watch")
    try:
        yield
    finally:
        api.store.changed.release()


@contextlib.contextmanager
def half_open(api: FakeApi) -> Iterator[None]:
    """The watch that is open says nothing any more, neither of what happens in the block nor of what follows."""
    # Between two watches there would be nothing to freeze, and the next one would tell of everything.
    with watching(api):
        api.freeze()
        yield


def test_changes_arrive_at_once_and_without_a_list(api: FakeApi, followed: Followed) -> None:
    change(api)
    followed.knows(a="8", c="4")
    assert len(api.lists("nodes")) == 1


# They would be taken for broken after so many seconds and MARGIN, however long this machine holds the server.
@pytest.mark.parametrize("followed", [{"seconds": 60.0}], indirect=True, ids=["patient"])
def test_a_watch_that_ends_is_followed_by_another_from_where_it_ended(
    api: FakeApi, short: None, followed: Followed
) -> None:
    until(lambda: len(api.watches("nodes")) >= 3, "two more watches")
    change(api)
    followed.knows(a="8", c="4")
    assert len(api.lists("nodes")) == 1
    assert followed.told == []


def test_a_bookmark_moves_where_the_next_watch_begins(api: FakeApi, followed: Followed) -> None:
    api.bookmarks = 0.05
    api.store.put("pods", {"metadata": {"name": "p", "namespace": "n"}})  # nodes don't hear of it
    until(lambda: api.watches("nodes")[-1].query["resourceVersion"] == str(api.store.version), "the bookmark's version")


def test_what_hasnt_changed_wakes_nobody(api: FakeApi, followed: Followed) -> None:
    before = followed.pokes
    for _ in range(5):
        api.store.put("nodes", node("a", "1"))
    api.store.put("nodes", node("b", "3"))
    followed.knows(a="1", b="3")
    until(lambda: followed.pokes > before, "a poke, which comes after the fact")
    assert followed.pokes == before + 1


@pytest.mark.parametrize("as_status", [True, False], ids=["status", "event"])
def test_410_costs_one_list(api: FakeApi, followed: Followed, as_status: bool) -> None:
    api.gone_as_status = as_status
    with half_open(api):
        change(api)
        api.store.compact()
    followed.knows(a="8", c="4")
    assert len(api.lists("nodes")) == 2


def test_410_in_the_middle_of_a_list_begins_it_again(api: FakeApi, followed: Followed) -> None:
    def compact(handler: Handler) -> bool:
        api.store.compact()
        return False

    for number in range(600):  # two pages
        api.store.put("nodes", node(f"n{number}", "1"))
    until(lambda: len(followed.store) == 602, "all of them")
    fault = api.fail(compact, match=lambda call: "continue" in call.query)
    with half_open(api):
        change(api)
        api.store.compact()
    followed.knows(a="8", c="4")
    assert len(fault.seen) == 1
    assert len(followed.store) == 602


def test_a_server_that_forgets_at_once_isnt_asked_for_lists_without_end(api: FakeApi, followed: Followed) -> None:
    gone = json.dumps({"type": "ERROR", "object": {"code": 410, "reason": "Expired"}}).encode() + b"\n"
    api.fail(faults.body(gone), times=1000, match=lambda call: call.watch)
    began, count = time.monotonic(), len(api.lists("nodes"))
    api.inject("nodes", b"", end=True)
    until(lambda: len(api.lists("nodes")) >= count + 4, "four lists")
    assert time.monotonic() - began > 0.5 * sum(PAUSES[1:4])


TROUBLE = {
    "half a line": b'{"type":"MODIFIED","object":{"metadata":{"na',
    "a line that isn't valid JSON": b"<html>\n",
    "a line that is no event": b'{"kind":"Status"}\n',
    "an error without a code": b'{"type":"ERROR","object":{}}\n',
    "a list": b"[1,2]\n",
    "an object without a name": b'{"type":"ADDED","object":{"metadata":{}}}\n',
}


@pytest.mark.parametrize("line", TROUBLE.values(), ids=TROUBLE)
def test_a_watch_that_says_nonsense_is_begun_again(api: FakeApi, followed: Followed, line: bytes) -> None:
    with watching(api):
        api.inject("nodes", line, end=True)
    change(api)
    followed.knows(a="8", c="4")
    assert len(api.lists("nodes")) == 1
    assert followed.told


ANSWERS = {
    "html": faults.html(),
    "html 502": faults.html(502),
    "half": faults.cut,
    "not json": faults.body(b"{"),
    "an array": faults.body(b"[]"),
    "no version": faults.body(b'{"items":[]}'),
    "500": faults.status(500, "InternalError"),
    "429": faults.status(429, "TooManyRequests", Retry_After="1"),
    "a date": faults.status(429, "TooManyRequests", Retry_After="Wed, 21 Oct 2026 07:28:00 GMT"),
    "reset": faults.reset,
}


@pytest.mark.parametrize("do", ANSWERS.values(), ids=ANSWERS)
def test_a_list_that_fails_is_tried_again_and_removes_nothing(
    api: FakeApi, followed: Followed, do: faults.Do, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("corepod.operator.api.reflector.PAUSES", (0.05,))
    kept = []

    def fail(handler: Handler) -> bool:
        kept.append("b" in followed.now())  # the second time after one failure
        return do(handler)

    fault = api.fail(fail, times=2, match=lambda call: call.list)
    with half_open(api):
        change(api)
        api.store.compact()
    followed.knows(a="8", c="4")
    assert len(fault.seen) == 2
    assert kept == [True, True]


def test_twenty_failures_in_a_row_are_told_once(api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("corepod.operator.api.reflector.PAUSES", (0.01, 0.02))
    fault = api.fail(faults.status(500, "InternalError"), times=20)
    nodes = Followed(api, tmp_path)
    try:
        nodes.knows(a="1", b="2")
        assert len(fault.seen) == 20
        assert len(nodes.told) == 1
        until(lambda: nodes.store.error == "", "no error, once the whole list is there")
    finally:
        api.close()
        nodes.close()


def test_retry_after_is_waited_for(api: FakeApi, followed: Followed) -> None:
    fault = api.fail(faults.status(429, "TooManyRequests", Retry_After="2"), match=lambda call: call.watch)
    api.inject("nodes", b"", end=True)
    until(lambda: fault.seen, "the refusal")
    change(api)
    followed.knows(a="8", c="4")
    calls, refused = api.watches("nodes"), fault.seen[0]
    assert calls[calls.index(refused) + 1].at - refused.at >= 2.0


def test_a_half_open_watch_is_given_up_after_its_time(api: FakeApi, followed: Followed) -> None:
    with half_open(api):
        change(api)
        assert followed.now() == {"a": "1", "b": "2"}
        watches = len(api.watches("nodes"))
    followed.knows(a="8", c="4")
    assert len(api.watches("nodes")) > watches
    assert len(api.lists("nodes")) == 1


def test_a_server_that_takes_connections_and_says_nothing(api: FakeApi, followed: Followed) -> None:
    with half_open(api):
        fault = api.fail(faults.hang, times=2)
        change(api)
    followed.knows(a="8", c="4")
    assert len(fault.seen) == 2


def test_an_object_that_nobody_understands_keeps_the_others_going(api: FakeApi, followed: Followed) -> None:
    api.store.put("nodes", {"metadata": {"name": "a"}, "status": {}})
    api.store.put("nodes", node("c", "4"))
    followed.knows(a="1", b="2", c="4")
    assert list(followed.store.malformed) == [("", "a")]
    assert len([line for line in followed.told if "can't be decoded" in line]) == 1
    api.store.put("nodes", node("a", "5"))
    followed.knows(a="5", b="2", c="4")
    assert not followed.store.malformed


def test_an_answer_that_drips_ends_in_time(api: FakeApi, followed: Followed) -> None:
    api.fail(faults.drip, match=lambda call: call.name == "a")
    with pytest.raises(Unreachable, match="in time"):
        # Long enough that no single byte is late: the socket's own timeout has another message.
        followed.transport.request("GET", NODES.path(name="a"), within=5.0)


def test_a_token_that_has_been_replaced_is_read_again(
    api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("corepod.operator.api.transport.RECONNECT", 0.0)
    transport = Transport(Credentials(str(api.kubeconfig(tmp_path, token="old"))), {})
    api.kubeconfig(tmp_path, token="new")
    api.fail(faults.status(401, "Unauthorized"))
    with pytest.raises(Exception, match="401"):
        transport.request("GET", NODES.path())
    transport.request("GET", NODES.path())
    assert [call.token for call in api.calls] == ["Bearer old", "Bearer new"]
    transport.close()


def test_what_is_refused_says_so(api: FakeApi, tmp_path: Path) -> None:
    transport = Transport(Credentials(str(api.kubeconfig(tmp_path)), "fake"), {})
    api.fail(faults.status(403, "Forbidden"))
    with pytest.raises(Forbidden, match="403 Forbidden: made to fail"):
        Cluster(transport).get(PODS, "n", "p")
    transport.close()


@pytest.mark.parametrize(
    ("kubeconfig", "context"), [("/nowhere", None), (None, "nobody"), ("{}", None), ("a: [", None)]
)
def test_no_way_to_the_cluster_is_said_plainly(tmp_path: Path, kubeconfig: str | None, context: str | None) -> None:
    with FakeApi() as server:
        path = tmp_path / "config"
        path.write_text(kubeconfig or server.kubeconfig(tmp_path).read_text())
        with pytest.raises(ConnectError, match="can't configure a connection to the cluster"):
            Transport(Credentials(kubeconfig if kubeconfig == "/nowhere" else str(path), context), {})
