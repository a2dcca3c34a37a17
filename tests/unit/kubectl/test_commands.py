"""The parts of the commands that read and choose, and the flags in both places."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from corepod.kubectl.completion import candidates
from corepod.kubectl.execute import NotStarted, exit_code
from corepod.kubectl.main import COMMANDS, parser
from corepod.kubectl.pods import Pod, Stop, suggestion
from corepod.kubectl.reload import selector, under_way
from corepod.kubectl.restarts import Death, newest, of_annotation, of_container, of_events
from corepod.operator.api.errors import InvalidResponse

POD = Pod("u", "shop", "web-1", "a", "worker", 9000, "", True, 0, "", 0, None)


def event(message: str, kind: str = "died") -> str:
    return json.dumps({"pool": "web", "number": 1, "time": 5.0, "kind": kind, "message": message, "slot": 0})


@pytest.mark.parametrize(
    ("message", "reason", "lost", "requests"),
    [
        (
            "died: signal SIGKILL after 3.2 s and 17 requests; restarting (death 1 of 5 in 60 s)",
            "signal SIGKILL",
            0,
            "",
        ),
        (
            "died: signal SIGSEGV (core dumped) after 3.2 s and 17 requests; lost 2 in flight: GET /a (1.0 s), "
            "POST /b (0.2 s); restarting in 2.0 s",
            "signal SIGSEGV (core dumped)",
            2,
            "GET /a (1.0 s), POST /b (0.2 s)",
        ),
        (
            "died: exit code 1 after 0.5 s and 3 requests; lost 1 in flight: unnamed; lost up to 2 message(s) from its "
            "slot's inbox; restarting",
            "exit code 1",
            1,
            "unnamed",
        ),
        ("ended before it was ready: exit code 3", "ended before it was ready: exit code 3", None, ""),
        ("ValueError: x\nTraceback", "ValueError: x", None, ""),
    ],
)
def test_what_an_event_says_of_a_death(message: str, reason: str, lost: int | None, requests: str) -> None:
    [death] = of_events(POD, f"a warning\n{event(message)}\n{event('x', 'ready')}\n")
    assert death == Death(5.0, "shop", "web-1", "a", 0, reason, lost, requests)


@pytest.mark.parametrize(
    "line",
    [
        "[" * 100_000,
        event("x").replace("5.0", "1e300"),
        event("x").replace("5.0", "NaN"),
        event("x").replace("5.0", '"soon"'),
        "[1]",
    ],
)
def test_events_that_no_supervisor_writes_hide_no_others(line: str) -> None:
    [death] = of_events(POD, f"{line}\n{event('exit code 1')}\n")
    assert death.reason == "exit code 1"


def test_a_pod_that_tells_too_much() -> None:
    found = list(of_events(POD, f"{event('x' * 100_000)}\n" * 5000))
    assert len(found) <= 1000
    assert len(found[0].reason) < 1000


def test_what_others_know_of_a_death() -> None:
    pod = POD._replace(
        last_death="signal SIGKILL, oom (1970-01-01T00:00:07Z)", last_stop=Stop("1970-01-01T00:00:09Z", 5, "Error")
    )
    [told] = of_annotation(pod)
    [stopped] = of_container(pod)
    assert (told.time, told.reason, told.lost) == (7.0, "signal SIGKILL, oom", None)
    assert (stopped.time, stopped.reason) == (9.0, "the container ended: Error, exit code 5")
    assert not [*of_annotation(POD), *of_container(POD), *of_annotation(POD._replace(last_death="by hand (soon)"))]
    assert newest([told, stopped], 0) == [stopped, told]
    assert newest([told, stopped], 1) == [stopped]


def test_the_exit_code_of_a_command() -> None:
    causes = {"details": {"causes": [{"reason": "ExitCode", "message": "7"}]}}
    assert exit_code(b'{"status":"Success"}') == 0
    assert exit_code(json.dumps({"status": "Failure", "reason": "NonZeroExitCode", **causes}).encode()) == 7
    with pytest.raises(NotStarted, match="no such file"):
        exit_code(b'{"status":"Failure","message":"no such file"}')
    for broken in (b"", b"[]", b"<html>"):
        with pytest.raises(InvalidResponse):
            exit_code(broken)


def test_a_rollout_is_noticed() -> None:
    def deployment(generation: int, observed: int, replicas: int, updated: int) -> dict[str, Any]:
        status = {"observedGeneration": observed, "replicas": replicas, "updatedReplicas": updated}
        return {"metadata": {"generation": generation}, "status": status}

    assert not under_way(deployment(2, 2, 3, 3))
    assert under_way(deployment(3, 2, 3, 3))
    assert under_way(deployment(2, 2, 4, 1))


def test_a_selector_as_a_parameter() -> None:
    expressions = [
        {"key": "tier", "operator": "In", "values": ["a", "b"]},
        {"key": "old", "operator": "DoesNotExist"},
        {"key": "new", "operator": "Exists"},
        {"key": "x", "operator": "NotIn", "values": ["c"]},
    ]
    found = selector({"matchLabels": {"b": "2", "a": "1"}, "matchExpressions": expressions})
    assert found == "a=1,b=2,tier in (a,b),!old,new,x notin (c)"


def test_a_name_that_was_meant() -> None:
    assert suggestion("shp", ["shop", "blog"]) == "; did you mean shop?"
    assert suggestion("x", ["shop", "blog"]) == "; there are blog, shop"
    assert suggestion("x", []) == ""


@pytest.mark.parametrize("words", [["-n", "shop", "top"], ["top", "-n", "shop"], ["-n", "blog", "top", "-n", "shop"]])
def test_flags_before_and_behind_the_command(words: list[str]) -> None:
    options = parser(words).parse_args(words)
    assert (options.namespace, options.all_namespaces, options.interval) == ("shop", False, 2.0)


def test_completion_of_words_that_need_no_cluster() -> None:
    assert set(candidates([""])) == set(COMMANDS)
    assert {"--json", "--interval", "-n"} <= set(candidates(["top", "-"]))
    assert list(candidates(["top", "-n", ""])) == []


def test_neither_command_line_imports_what_only_commands_need() -> None:
    """A pool's start doesn't pay for the plugin, and its help works without the extra."""
    for module in ("corepod.cli", "corepod.kubectl.main"):
        code = f"import sys, {module}; print(sorted({{'kubernetes', 'rich', 'websocket'}} & set(sys.modules)))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
        assert done.stdout.strip() == "[]"
