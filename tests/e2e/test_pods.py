"""Many pods, one application: sessions, messages, the chat and Socket.IO, over three pods on two nodes.

Its tests share one release, which has Service and front side by side; each begins with three ready pods.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from contextlib import ExitStack
from itertools import count, islice
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import requests
import socketio
import yaml
from requests.adapters import HTTPAdapter
from urllib3.util import Retry
from websockets.sync.client import ClientConnection, connect

from tests.e2e.conftest import IMAGE
from tests.e2e.fronted import SMALL, Fronted
from tests.e2e.kube import DEADLINE, ROOT, get, kubectl, load_image, node_address, run, until
from tests.e2e.release import RETRIES, answered, patient_client

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.release import Pod

BASE = os.environ.get("COREPOD_E2E_IMAGE", IMAGE)
VALKEY = "valkey:8"
BUILD = 240.0  # seconds the image may take, with what pip fetches
PODS = 3
DOCUMENTS = {name: (ROOT / f"docs/{name}.md").read_text(encoding="utf-8") for name in ("sessions", "sticky")}
UP = 'haproxy_backend_active_servers{proxy="pods"}'
NUMBERS = count(1)  # of messages and texts: none twice in this run


def block(page: str, pattern: str) -> str:
    """What stands there."""
    [found] = re.findall(pattern, DOCUMENTS[page], re.DOTALL | re.MULTILINE)
    return str(found)


def build(folder: Path) -> str:
    """An image with python-socketio, the application of docs/sticky.md, and more around it; on every node."""
    pin = re.search(r"^python-socketio==\S+", (ROOT / "requirements/test.txt").read_text(), re.MULTILINE)
    assert pin
    (folder / "chat.py").write_text(block("sticky", r"<!-- chat.py -->\n\n```python\n(.*?)```"))
    shutil.copy(ROOT / "tests/apps/many_pods.py", folder / "main.py")
    (folder / "Dockerfile").write_text(f"FROM {BASE}\nRUN pip install {pin[0]}\nCOPY . .\n")
    image = "many-pods:1"
    run("docker", "build", "--tag", image, str(folder), deadline=BUILD)
    load_image(image, VALKEY)
    return image


def values(image: str) -> dict[str, Any]:
    """Sessions, state and front as their pages have them, and pods that have to be on both nodes."""
    shown, front = (yaml.safe_load(block(page, r"^```yaml\n(.*?)^```")) for page in ("sessions", "sticky"))
    repository, _, tag = image.partition(":")
    small = {"image": {"repository": VALKEY.partition(":")[0]}, "cpu": "20m", "memory": "64Mi"}
    spread = {"topologyKey": "kubernetes.io/hostname", "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule"}
    return {
        **SMALL,
        **shown,
        "state": {"valkey": {**shown["state"]["valkey"], **small}},
        "image": {"repository": repository, "tag": tag},
        "app": {"module": "main:app"},
        "replicas": PODS,
        "topologySpread": [spread],
        "settings": {"lame_duck": 3, "shared_timeout": 10},
        "front": {**front["front"], "cpu": "20m", "service": {"type": "NodePort"}},
    }


class ManyPods(Fronted):
    """`url` is the front's, `service` the Service's, which deals connections to all pods."""

    image = ""
    affinity = ""

    def rise(self, *_: Any, **more: Any) -> ManyPods:
        """Three pods on two nodes, which both fronts know."""
        self.install(**{**values(self.image), **more})
        pods = self.ready(PODS)
        assert len({pod.node for pod in pods}) == 2
        until(lambda: self.figures(UP) == [PODS] * 2, "three pods in use by both fronts")
        return self

    @property
    def service(self) -> str:
        port = get("service", self.full_name, "-n", self.namespace)["spec"]["ports"][0]["nodePort"]
        return f"http://{node_address()}:{port}"

    def names(self) -> set[str]:
        """Of the pods that serve."""
        return {pod.name for pod in self.pods() if pod.ready}


@pytest.fixture(scope="module")
def installed(namespace: str, tmp_path_factory: pytest.TempPathFactory) -> ManyPods:
    command = block("sessions", r"^    (export SESSION_KEYS=.*?)$") + "\n"
    command += block("sessions", r"^    (kubectl create secret .*?)$") + f" -n {namespace}"
    run("sh", "-ec", command)
    release = ManyPods(namespace)
    release.image = build(tmp_path_factory.mktemp("image"))
    return release.rise()  # its end is that of the namespace


@pytest.fixture
def release(installed: ManyPods) -> ManyPods:
    """As a test before may have left something else."""
    if len(installed.names()) != PODS:
        installed.scale(PODS)
    return installed


# Messages


def news(pod: Pod) -> dict[str, Any]:
    """Of one of its workers."""
    path = f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}:8000/proxy/news"
    found: dict[str, Any] = json.loads(kubectl("get", "--raw", path))
    return found


def of_all_workers(pods: list[Pod], workers: int) -> dict[tuple[str, int], dict[str, Any]]:
    """What each worker has heard, when all have subscribed."""
    found: dict[tuple[str, int], dict[str, Any]] = {}

    def all_of_them() -> bool:
        for pod in pods:
            said = news(pod)
            if said["joined"]:
                found[said["pod"], said["pid"]] = said
        return len(found) == workers

    until(all_of_them, f"an answer of {workers} workers")
    return found


def test_a_broadcast_reaches_every_worker_of_every_pod_once(release: ManyPods) -> None:
    pods = release.ready(PODS)
    two = pods[0]
    two.sh("kill -TTIN 1")  # one slot more
    try:
        of_all_workers(pods, PODS + 1)
        expected: list[int] = []
        senders: set[str] = set()

        def all_have_sent() -> bool:
            numbers = list(islice(NUMBERS, 10))
            url = f"{release.service}/news?{numbers[0]}-{numbers[-1]}"
            with patient_client() as client:
                senders.add(client.post(url).raise_for_status().json()["pod"])
            expected.extend(numbers)
            return len(senders) == PODS

        until(all_have_sent, "messages from every pod")

        def heard() -> list[list[Any]] | None:
            rows = [said["heard"][-len(expected) :] for said in of_all_workers(pods, PODS + 1).values()]
            return rows if all(row and row[-1][0] == expected[-1] for row in rows) else None

        # A message that came twice would push the first one out of these.
        assert until(heard, "the last one everywhere") == [[[number, False] for number in expected]] * (PODS + 1)
    finally:
        two.sh("kill -TTOU 1")
        # The next test's connections mustn't be those of a worker that is about to leave.
        until(lambda: len(two.workers()) == 1, "the slot gone")


def test_users_of_the_chat_hear_each_other_over_all_pods(release: ManyPods) -> None:
    address = release.service.replace("http", "ws", 1)
    with ExitStack() as stack:
        users: dict[str, ClientConnection] = {}

        def one_at_each() -> bool:
            try:
                connection = connect(f"{address}/chat/ws", open_timeout=DEADLINE, close_timeout=DEADLINE)
            except ConnectionRefusedError:
                return False  # kube-proxy follows a moment later
            user = stack.enter_context(connection)
            users.setdefault(json.loads(user.recv(DEADLINE))["hello"]["pod"], user)
            return users.keys() == release.names()

        until(one_at_each, "a user at each pod")
        for pod, user in users.items():
            text = f"text {next(NUMBERS)}"
            user.send(text)
            heard = [json.loads(other.recv(DEADLINE)) for other in users.values()]
            assert [(said["text"], said["pod"], said["lost"]) for said in heard] == [(text, pod, False)] * PODS


# Socket.IO


def made(stack: ExitStack, *, reconnection: bool = False) -> Any:
    """A client with its default transports, a jar of cookies, and a connection for each request of its polling."""
    session = stack.enter_context(requests.Session())
    session.trust_env = False
    session.headers["Connection"] = "close"
    # Only of a connection that is refused: nothing has been sent.
    again = Retry(total=None, connect=RETRIES, read=0, other=0, backoff_factor=0.5)
    session.mount("http://", HTTPAdapter(max_retries=again))
    # After the client's own 5 seconds an upgrade would have failed, and it would go on polling.
    client = socketio.Client(reconnection=reconnection, http_session=session, request_timeout=int(DEADLINE))
    sockets: list[Any] = []  # a client leaves one open that the server has closed
    client.on("connect", lambda: sockets.append(client.eio.ws))
    stack.callback(lambda: [each.shutdown() for each in sockets if each])
    stack.callback(client.shutdown)  # which ends its attempts to connect again, too
    return client


def connected(stack: ExitStack, url: str, *, reconnection: bool = False) -> tuple[Any, list[str]]:
    """A client, and what it has heard."""
    client, heard = made(stack, reconnection=reconnection), list[str]()
    client.on("said", heard.append)
    client.connect(url, wait_timeout=int(DEADLINE))
    return client, heard


def pod_of(client: Any, timeout: float = DEADLINE) -> str:
    return str(client.call("where", timeout=int(timeout)))


def lives(one: tuple[Any, list[str]]) -> bool:
    """Whether it is connected, again or still."""
    try:
        return bool(pod_of(one[0], 10))
    except socketio.exceptions.SocketIOError:
        return False


def all_hear_each(clients: list[tuple[Any, list[str]]]) -> bool:
    """One speaks; a subscription that has just begun may miss it, and another text follows."""
    text = f"text {next(NUMBERS)}"
    clients[0][0].call("say", text, timeout=int(DEADLINE))
    until(lambda: text in clients[0][1], "heard by whoever said it")
    return all(text in heard for _, heard in clients)


def test_socketio_fails_where_its_requests_go_to_any_pod(release: ManyPods) -> None:
    """The negative control of the next two."""

    def fails() -> bool:
        with ExitStack() as stack:
            client = made(stack)
            try:
                client.connect(release.service, wait=False)
            except socketio.exceptions.ConnectionError:
                return True
            until(lambda: client.namespaces or client.eio.state == "disconnected", "what becomes of a client")
            return not client.namespaces

    until(fails, "a client that can't connect")


def test_socketio_with_the_cookie_of_the_front(release: ManyPods) -> None:
    until(lambda: release.figures(UP) == [PODS] * 2, "three pods in use by both fronts")
    with ExitStack() as stack:
        clients: list[tuple[Any, list[str]]] = []

        def at_each() -> bool:
            clients.append(connected(stack, release.url, reconnection=True))
            return {pod_of(client) for client, _ in clients} == release.names()

        until(at_each, "clients at each pod")
        until(lambda: all_hear_each(clients), "a text at all clients")
        assert {client.eio.transport() for client, _ in clients} == {"websocket"}

        gone = release.names() - {pod_of(clients[0][0])}
        kubectl("delete", "pod", min(gone), "-n", release.namespace, "--wait")
        until(lambda: release.names().isdisjoint([min(gone)]) and all(map(lives, clients)), "all clients connected")
        assert min(gone) not in {pod_of(client) for client, _ in clients}
        until(lambda: all_hear_each(clients), "a text at all clients, wherever they are now")


def lead_to_one_pod(url: str) -> bool:
    """Whether ten new connections do."""
    answers = [answered(f"{url}/whoami", DEADLINE) for _ in range(10)]
    return None not in answers and len({answer.json()["pod"] for answer in answers if answer}) == 1


def test_socketio_with_affinity_of_addresses(release: ManyPods) -> None:
    release.rise(service={"type": "NodePort", "sessionAffinity": "ClientIP"})
    try:
        until(lambda: lead_to_one_pod(release.service), "affinity: kube-proxy follows a Service a moment later")
        with ExitStack() as stack:
            clients = [connected(stack, release.service)[0] for _ in range(5)]
            assert len({pod_of(client) for client in clients}) == 1, "all have one address, and so one pod"
            assert {client.eio.transport() for client in clients} == {"websocket"}
    finally:
        release.rise()


# Sessions


class Browser:
    """Visits /session with its cookie. Each visit has to find what the ones before have left."""

    def __init__(self, release: ManyPods, client: httpx.Client) -> None:
        self._release, self._client = release, client
        self._url = f"{release.service}/session"
        self.last: dict[str, Any] = {"visits": 0}

    def visit(self) -> dict[str, Any] | None:
        """None where nobody has answered, as may be for a moment while a pod leaves."""
        try:
            answer = self._client.get(self._url)
        except httpx.TransportError:
            return None
        found: dict[str, Any] = answer.raise_for_status().json()
        assert found["visits"] > self.last["visits"], (found, self.last)
        assert found["since"] == self.last.get("since", found["since"])
        self.last = found
        return found

    def meets(self, pods: set[str]) -> None:
        """Visit until each of these pods has answered."""
        met = set()

        def all_of_them() -> bool:
            if found := self.visit():
                met.add(found["pod"])
            return met >= pods

        until(all_of_them, f"an answer of {pods}")
        assert met <= pods | set(self.last["answered"])


def test_a_session_survives_its_worker_its_pod_and_a_scale_down(release: ManyPods) -> None:
    with httpx.Client(timeout=DEADLINE) as client, httpx.Client(timeout=DEADLINE) as other:
        browser = Browser(release, client)
        first = until(browser.visit, "a session")
        assert first is not None
        browser.meets(release.names())

        pod = next(pod for pod in release.pods() if pod.name == first["pod"])
        before = pod.metric("corepod_worker_restarts_total")
        pod.sh(f"kill -9 {pod.worker().pid}")
        until(lambda: pod.metric("corepod_worker_restarts_total") > before, f"a death in {pod.name}")
        until(lambda: (v := browser.visit()) and v["pod"] == pod.name and v["pid"] != first["pid"], "its next worker")
        assert pod.again().restarts == 0, "the worker, not the container"

        kubectl("delete", "pod", pod.name, "-n", release.namespace, "--wait")
        new = {pod.name for pod in release.ready(PODS)}
        assert pod.name not in new
        browser.meets(new)

        release.scale(1)
        browser.meets(release.names())
        assert len(browser.last["answered"]) == PODS + 1
        without = until(Browser(release, other).visit, "a session without the cookie")
        assert without is not None
        assert without["visits"] == 1, "it is another one"
