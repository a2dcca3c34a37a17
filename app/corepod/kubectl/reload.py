"""`kubectl corepod reload DEPLOYMENT`: each of its pods loads its code anew, one after the other, and none is replaced.

The next pod's turn comes when the last one is ready again. The first pod that fails ends it: the others keep what they
have.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from corepod.contract import escaping
from corepod.contract.exits import EXIT_FAILED, EXIT_LATE, EXIT_NO_POOL, EXIT_OK
from corepod.kubectl.access import connect
from corepod.kubectl.execute import execute
from corepod.kubectl.pods import decode, suggestion
from corepod.local import output
from corepod.local.pools import CommandError, add_timeout
from corepod.operator.api.cluster import DEPLOYMENTS, PODS, STATEFULSETS
from corepod.operator.api.errors import ClusterError, InvalidResponse, NotFound, Unreachable

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from corepod.kubectl.access import Access
    from corepod.kubectl.pods import Pod
    from corepod.operator.api.cluster import Kind

GOING = ("Terminating", "Succeeded", "Completed", "Failed", "Evicted")  # states of pods that won't serve again
LOOK = 0.5  # seconds between two looks at a pod's readiness
MARGIN = 10.0  # seconds that the command in the pod may take beyond its own --timeout
KINDS: dict[str, Kind] = {
    **dict.fromkeys(("deployment", "deployments", "deploy", "deployment.apps"), DEPLOYMENTS),
    **dict.fromkeys(("statefulset", "statefulsets", "sts", "statefulset.apps"), STATEFULSETS),
}


class Done(NamedTuple):
    """A pod that serves the new code. `workers` are the numbers of its new workers."""

    pod: str
    seconds: float
    workers: list[int]


def configure(parser: ArgumentParser) -> None:
    parser.add_argument("workload", metavar="DEPLOYMENT", help="name of the Deployment (or statefulset/NAME)")
    add_timeout(parser, 300, "time for each pod to reload and to be ready")
    output.add_json(parser, "print a list of JSON objects, one for each pod, at the end")


def main(options: Namespace) -> int:
    access = connect(options)
    if not access.namespace:
        raise CommandError("reload needs one namespace: use -n instead of -A", EXIT_FAILED)
    pods = _pods(access, options.workload)
    done: list[Done] = []
    try:
        for number, pod in enumerate(pods, 1):
            reloaded = _reload(access, pod, options.timeout)
            progress = f"{number}/{len(pods)} {pod.name}"
            if reloaded is None:
                output.complain(f"{progress}: is gone, so there is nothing to reload")
                continue
            done.append(reloaded)
            if not options.json:
                print(f"{progress}: reloaded and ready in {reloaded.seconds:.1f} s", flush=True)
    except (CommandError, ClusterError, KeyboardInterrupt):
        output.complain(
            f"stopped at {pod.name}: {len(done)} of {len(pods)} pods have the new code, and the last "
            f"{len(pods) - number} were not asked"
        )
        raise
    finally:
        if options.json:
            output.dump([each._asdict() for each in done])
    return EXIT_OK


def _pods(access: Access, name: str) -> list[Pod]:
    """The pods of the workload, by name. Raises CommandError, also while a rollout replaces them."""
    kind, _, rest = name.rpartition("/")
    if kind and kind not in KINDS:
        raise CommandError(f"{name}: write DEPLOYMENT, deployment/NAME or statefulset/NAME", EXIT_NO_POOL)
    found = KINDS.get(kind, DEPLOYMENTS)
    try:
        workload = access.cluster.get(found, access.namespace, rest)
    except NotFound:
        pages = access.cluster.list_pages(found, access.namespace)
        known = [item["metadata"]["name"] for page in pages for item in page.items]
        text = f"there is no {found.kind} {rest} in {access.where}{suggestion(rest, known)}"
        raise CommandError(text, EXIT_NO_POOL) from None
    if under_way(workload):
        text = f"a rollout of {rest} is under way, and its new pods load the code anyway: see kubectl rollout status"
        raise CommandError(text, EXIT_FAILED)
    pages = access.cluster.list_pages(PODS, access.namespace, labelSelector=selector(workload["spec"]["selector"]))
    pods = sorted((decode(item) for page in pages for item in page.items), key=lambda pod: pod.name)
    pods = [pod for pod in pods if pod.state not in GOING]
    if not pods:
        raise CommandError(f"{rest} has no pods", EXIT_NO_POOL)
    return pods


def under_way(workload: dict[str, Any]) -> bool:
    """Whether pods of an older template are being replaced."""
    status, meta = workload.get("status") or {}, workload["metadata"]
    behind = int(status.get("observedGeneration") or 0) < int(meta.get("generation") or 0)
    return behind or int(status.get("updatedReplicas") or 0) < int(status.get("replicas") or 0)


def selector(spec: dict[str, Any]) -> str:
    """A selector of an object as the parameter of a list."""
    parts = [f"{name}={value}" for name, value in sorted((spec.get("matchLabels") or {}).items())]
    for each in spec.get("matchExpressions") or ():
        key, operator, values = each["key"], each["operator"], ",".join(each.get("values") or ())
        parts.append({"Exists": key, "DoesNotExist": f"!{key}"}.get(operator) or f"{key} {operator.lower()} ({values})")
    return ",".join(parts)


def _reload(access: Access, pod: Pod, timeout: float) -> Done | None:
    """Reload one pod; None where it is gone. Raises CommandError or ClusterError."""
    began = time.monotonic()
    deadline = began + timeout
    try:
        _until_ready(access, pod, deadline, "was not reloaded, because it is not ready")
        command = ["corepod", "reload", "--wait", "--json", "--timeout", f"{timeout:g}"]
        ended = execute(access.transport, pod, command, within=timeout + MARGIN)
        if ended.code:
            why = escaping.lines(ended.err.strip().removeprefix("corepod: "))
            raise CommandError(f"{pod.name}: {why or 'the reload failed'}", ended.code)
        _until_ready(access, pod, deadline, "has reloaded, and is not ready")
    except (CommandError, ClusterError):
        if _is_gone(access, pod):
            return None
        raise
    return Done(pod.name, round(time.monotonic() - began, 3), _workers(ended.out))


def _workers(text: str) -> list[int]:
    try:
        return [int(number) for number in json.loads(text)["workers"] if number is not None]
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return []


def _until_ready(access: Access, pod: Pod, deadline: float, what: str) -> None:
    """Raises CommandError at the deadline, and ClusterError where the pod is gone or can't be looked at."""
    while True:
        try:
            now = _now(access, pod)
        except (Unreachable, InvalidResponse) as error:  # of one look: an API server restarts, too
            state = str(error)
        else:
            if now.ready:
                return
            state = now.state
        if time.monotonic() >= deadline:
            raise CommandError(f"{pod.name} {what} (--timeout){f': {state}' if state else ''}", EXIT_LATE)
        time.sleep(LOOK)


def _is_gone(access: Access, pod: Pod) -> bool:
    """Whether a failure was only the pod's end: what runs in a pod that is deleted fails, too."""
    try:
        _now(access, pod)
    except NotFound:
        return True
    except ClusterError:
        return False
    return False


def _now(access: Access, pod: Pod) -> Pod:
    """The pod as it is now. Raises ClusterError; NotFound where it is gone or going."""
    found = decode(access.cluster.get(PODS, pod.namespace, pod.name))
    if found.uid != pod.uid or found.state in GOING:
        raise NotFound(404, "NotFound", pod.name)
    return found
