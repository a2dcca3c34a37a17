"""`kubectl corepod restarts`: the last deaths over all pods, with their reasons and what was in flight."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from corepod.contract import escaping
from corepod.contract.exits import EXIT_OK
from corepod.contract.units import timestamp
from corepod.kubectl.access import connect
from corepod.kubectl.crew import THREADS, Crew
from corepod.kubectl.execute import execute
from corepod.kubectl.pods import find_all, none
from corepod.local import output

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterable, Iterator

    from corepod.kubectl.pods import Pod

EVENTS = ("corepod", "events", "--json")
PATIENCE = 15.0  # seconds for a pod's answer
LIMIT = 20
# A pod may answer anything: so many of its newest events are read, of which a supervisor keeps 200 ...
MOST = 1000
LONGEST = 500  # ... and so many characters of a reason or of a list of requests are shown
HEAD = ("time", "namespace", "pod", "node", "slot", "reason", "lost", "requests in flight")
# What a line about a death says (corepod.supervisor.pool.exits), up to what follows from it.
DEATH = re.compile(r"^(?:died: )?(?P<reason>.*?) after [\d.]+ s and \d+ requests(?:; lost (?P<lost>\d+) in flight: "
                   r"(?P<requests>.*?))?(?:; (?:restarting|lost up to).*)?$", re.DOTALL)  # fmt: skip


class Death(NamedTuple):
    """`time` is in Unix time. `slot` is None where the container itself has ended; `lost` is how many requests were in
    flight, None where it isn't known, and `requests` names them."""

    time: float
    namespace: str
    pod: str
    node: str
    slot: int | None
    reason: str
    lost: int | None
    requests: str


def configure(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--limit", type=int, default=LIMIT, metavar="COUNT", help=f"show so many, 0 for all (default: {LIMIT})"
    )
    output.add_json(parser, "print a list of JSON objects, one for each death")


def main(options: Namespace) -> int:
    access = connect(options)
    pods = find_all(access)
    if not pods and not options.json:
        raise none(access)
    crew = Crew(lambda pod: execute(access.transport, pod, EVENTS, within=PATIENCE))
    asked = [pod for pod in pods if pod.runs]
    answers = crew.look(asked, PATIENCE * (1 + len(asked) // THREADS) + 1)
    faults = [answer for answer in answers.values() if isinstance(answer, Exception)]
    if faults and len(faults) == len(answers) and not any(pod.deaths for pod in pods):
        raise faults[0]
    found: list[Death] = []
    for pod in pods:
        found += of_container(pod)
        answer = answers.get(pod.uid)
        if answer is None or isinstance(answer, Exception) or answer.code:
            found += of_annotation(pod)
            if answer is not None:
                why = answer if isinstance(answer, Exception) else answer.err
                output.complain(f"{pod.name} can't be asked: {_shown(str(why).strip())}")
        else:
            found += of_events(pod, answer.out)
    latest = newest(found, options.limit)
    output.dump([death._asdict() for death in latest]) if options.json else _print(latest, len(found), access.namespace)
    return EXIT_OK


def newest(found: Iterable[Death], limit: int) -> list[Death]:
    """The newest first; `limit` 0 is all."""
    ordered = sorted(found, key=lambda death: death.time, reverse=True)
    return ordered[:limit] if limit > 0 else ordered


def of_events(pod: Pod, text: str) -> Iterator[Death]:
    """The deaths among the events of a pod, as `corepod events --json` prints them."""
    for line in text.splitlines()[-MOST:]:
        try:
            event: dict[str, Any] = json.loads(line)
            if event["kind"] == "died":
                at = float(event["time"])
                timestamp(at)  # which not every number is
                yield _death(pod, at, event.get("slot"), str(event["message"]))
        except (ValueError, KeyError, TypeError, OverflowError, OSError, RecursionError):
            continue  # a line of another program, such as a warning of its Python


def _death(pod: Pod, at: float, slot: Any, message: str) -> Death:
    match = DEATH.match(message)
    reason = match["reason"] if match else message.partition("\n")[0]
    lost = int(match["lost"] or 0) if match else None
    requests = match["requests"] or "" if match else ""
    number = slot if isinstance(slot, int) else None
    return Death(at, pod.namespace, pod.name, pod.node, number, _shown(reason), lost, _shown(requests))


def _shown(text: str) -> str:
    return escaping.line(text if len(text) <= LONGEST else f"{text[:LONGEST]} …")


def of_annotation(pod: Pod) -> Iterator[Death]:
    """What the operator has published of a pod that can't be asked: its last death."""
    reason, _, rest = pod.last_death.rpartition(" (")
    if reason and (at := _seconds(rest.rstrip(")"))) is not None:
        yield Death(at, pod.namespace, pod.name, pod.node, None, reason, None, "")


def of_container(pod: Pod) -> Iterator[Death]:
    """The last end of the supervisor, which the kubelet knows."""
    stop = pod.last_stop
    if stop is not None and (at := _seconds(stop.at)) is not None:
        reason = f"the container ended: {stop.reason}, exit code {stop.code}"
        yield Death(at, pod.namespace, pod.name, pod.node, None, reason, None, "")


def _seconds(text: str) -> float | None:
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
    except ValueError:
        return None


def _print(latest: list[Death], count: int, namespace: str) -> None:
    if not latest:
        output.say("no worker has died as long as these pods and their supervisors remember")
        return
    rows = [
        [
            timestamp(death.time)[:19] + "Z",
            "" if namespace else death.namespace,
            death.pod,
            death.node,
            "" if death.slot is None else str(death.slot),
            death.reason,
            "" if death.lost is None else str(death.lost),
            death.requests,
        ]
        for death in latest
    ]
    output.table(HEAD, rows, ("slot", "lost"))
    if count > len(latest):
        output.complain(f"{count - len(latest)} older deaths aren't shown; --limit 0 shows all")
