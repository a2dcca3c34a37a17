"""At most one of several operators acts, and one does soon after another has gone."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from corepod.operator.api.cluster import LEASES, Cluster
from corepod.operator.api.leader import LeaderElector
from corepod.operator.api.lease import LeaseRecord, decode
from corepod.operator.api.reflector import Reflector
from corepod.operator.api.store import Store
from corepod.operator.api.transport import Credentials, Transport

from tests.process.harness import until
from tools.fakeapi import FakeApi, faults
from tools.fakeapi.objects import deployment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

DURATION = 3.0  # seconds of the lease: the server's API has it in whole seconds
LONG = 9.0  # where nobody is to lose it: longer than a busy machine holds all threads of this process
FOR_EVER = 600.0  # where it can't be over before a test is


class Candidate:
    """An operator as far as the lease goes."""

    def __init__(self, api: FakeApi, folder: Path, name: str, owner: str = "", duration: float = DURATION) -> None:
        self.told: list[str] = []
        self.transport = Transport(Credentials(str(api.kubeconfig(folder))), {})
        cluster = Cluster(self.transport)
        self.store: Store[LeaseRecord] = Store(lambda: self.elector.poked.set())
        self.elector = LeaderElector(
            cluster, self.store, namespace="ops", name="corepod", identity=name, owner=owner,
            duration=duration, log=self.told.append,
        )  # fmt: skip
        self.reflector = Reflector(
            cluster, LEASES, decode, self.store, namespace="ops", selector={"fieldSelector": "metadata.name=corepod"},
            seconds=5.0, jitter=lambda low, high: low, log=self.told.append,
        )  # fmt: skip
        self._threads = [threading.Thread(target=self.reflector.run), threading.Thread(target=self.elector.run)]
        for thread in self._threads:
            thread.start()

    @property
    def acts(self) -> bool:
        return self.elector.is_leader

    def stop(self) -> None:
        """As on TERM: the lease is given up."""
        self.elector.stopped = True
        self.elector.poked.set()
        self._threads[1].join()

    def close(self) -> None:
        if self._threads[1].is_alive():
            self.elector.release = lambda: None  # type: ignore[method-assign]
            self.stop()
        self.reflector.stopped.set()
        for thread in self._threads:
            thread.join()
        self.transport.close()


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with FakeApi() as server:
        server.store.put("deployments", deployment("corepod-operator", namespace="ops"))
        yield server


@pytest.fixture
def candidate(api: FakeApi, tmp_path: Path) -> Iterator[Callable[..., Candidate]]:
    made: list[Candidate] = []

    def make(name: str, **options: Any) -> Candidate:
        made.append(Candidate(api, tmp_path, name, **options))
        return made[-1]

    yield make
    api.close()
    for each in made:
        each.close()


def lease(api: FakeApi) -> LeaseRecord:
    found = api.store.get("leases", "ops", "corepod")
    assert found is not None
    return decode(found)


def test_the_first_takes_it_and_the_others_wait(api: FakeApi, candidate: Callable[..., Candidate]) -> None:
    first = candidate("first", duration=LONG)
    until(lambda: first.acts, "the first acts")
    others = [candidate("second", duration=LONG), candidate("third", duration=LONG)]
    renewed = lease(api).renewed
    until(lambda: lease(api).renewed != renewed, "a renewal")
    until(lambda: all(other.store.synced for other in others), "the others know of it")
    assert not any(other.acts for other in others)
    assert lease(api).transitions == 0


def test_many_at_once_are_one_in_the_end(api: FakeApi, candidate: Callable[..., Candidate]) -> None:
    all_ = [candidate(f"operator-{number}") for number in range(5)]

    def one_acts() -> bool:
        acting = sum(each.acts for each in all_)
        assert acting < 2
        return acting == 1

    until(one_acts, "one acts")


def test_it_is_handed_over_within_a_part_of_its_duration(api: FakeApi, candidate: Callable[..., Candidate]) -> None:
    first = candidate("first", duration=FOR_EVER)
    until(lambda: first.acts, "the first acts")
    second = candidate("second", duration=FOR_EVER)
    until(lambda: second.store.synced, "the second knows of it")
    first.stop()
    assert not first.acts
    until(lambda: second.acts, "the second acts")
    assert lease(api).holder == "second"
    assert lease(api).transitions == 1


def test_a_busy_api_server_has_time_for_the_release(api: FakeApi, candidate: Callable[..., Candidate]) -> None:
    first = candidate("first", duration=FOR_EVER)
    until(lambda: first.acts, "the first acts")
    api.fail(faults.slow(0.7), match=lambda call: call.write and not call.body["spec"]["holderIdentity"])
    first.stop()
    assert first.told[-1] == "released the Lease"
    assert lease(api).holder == ""


def test_a_holder_that_is_gone_is_followed_when_its_time_is_over(
    api: FakeApi, candidate: Callable[..., Candidate]
) -> None:
    first, second = candidate("first"), candidate("second")
    until(lambda: first.acts or second.acts, "one acts")
    gone, left = (first, second) if first.acts else (second, first)
    gone.elector.step = lambda: 60.0  # type: ignore[method-assign]
    until(lambda: left.acts, "the other one acts")
    assert not gone.acts


@pytest.mark.parametrize("minutes", [-5, 5], ids=["behind", "ahead"])
def test_the_clock_of_the_holder_doesnt_matter(
    api: FakeApi, candidate: Callable[..., Candidate], minutes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    skewed = (datetime.now(UTC) + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    monkeypatch.setattr("corepod.operator.api.lease.now", lambda: skewed)
    first = candidate("first", duration=LONG)
    until(lambda: first.acts, "the first acts")
    second = candidate("second", duration=LONG)
    until(lambda: second.store.synced, "the second knows of it")
    count = len(api.writes("leases"))
    until(lambda: len(api.writes("leases")) >= count + 2, "renewals")
    assert first.acts
    assert not second.acts


def test_a_holder_that_cant_renew_stops_to_act_before_another_may(
    api: FakeApi, candidate: Callable[..., Candidate]
) -> None:
    first = candidate("first")
    until(lambda: first.acts, "the first acts")
    second = candidate("second")
    until(lambda: second.store.synced, "the second knows of it")
    # The renewals hang; what the second one sends is served.
    api.fail(faults.hang, times=1000, match=lambda call: call.write and call.body["spec"]["holderIdentity"] == "first")

    def taken() -> bool:
        # Asked in this order: the first may lose it between the two questions, never get it back.
        acts = second.acts
        assert not (acts and first.acts)
        return acts

    until(taken, "the second acts")
    assert lease(api).holder == "second"


def test_the_holder_renews_a_few_times_in_its_duration(api: FakeApi, candidate: Callable[..., Candidate]) -> None:
    first = candidate("first", duration=LONG)
    until(lambda: first.acts, "the first acts")
    until(lambda: len(api.writes("leases")) >= 4, "renewals")
    times = [call.at for call in api.writes("leases")]
    # Each after a fourth of the duration. One whose answer comes late is sent again sooner.
    assert times[3] - times[0] > LONG / 3


def test_a_lease_that_somebody_deletes_is_made_anew(api: FakeApi, candidate: Callable[..., Candidate]) -> None:
    first = candidate("first")
    until(lambda: first.acts, "the first acts")
    api.store.delete("leases", "ops", "corepod")
    until(lambda: api.store.get("leases", "ops", "corepod"), "a lease")
    assert lease(api).holder == "first"
    until(lambda: first.acts, "it goes on to act")


def test_it_goes_with_its_owner(api: FakeApi, candidate: Callable[..., Candidate]) -> None:
    first = candidate("first", owner="corepod-operator")
    until(lambda: first.acts, "the first acts")
    found, owner = api.store.get("leases", "ops", "corepod"), api.store.get("deployments", "ops", "corepod-operator")
    assert found is not None
    assert owner is not None
    assert found["metadata"]["ownerReferences"] == [
        {"apiVersion": "apps/v1", "kind": "Deployment", "name": "corepod-operator", "uid": owner["metadata"]["uid"]}
    ]


@pytest.mark.parametrize("do", [faults.html(), faults.body(b"{}"), faults.status(500), faults.reset, faults.cut])
def test_an_answer_that_is_none_ends_nothing(api: FakeApi, candidate: Callable[..., Candidate], do: faults.Do) -> None:
    first = candidate("first")
    until(lambda: first.acts, "the first acts")
    fault = api.fail(do, match=lambda call: call.plural == "leases" and call.write)
    until(lambda: fault.seen, "the failure")
    count = len(api.writes("leases"))
    until(lambda: len(api.writes("leases")) >= count + 2, "renewals")
    until(lambda: first.acts, "it goes on to act")
