"""Pods that can't be created are said; the number of pods stays what it is."""

from __future__ import annotations

from dataclasses import replace

from corepod.operator.api import decode
from corepod.operator.sizing.creation import PATIENCE, PodCreation

from tests.unit.operator.world import FULL, World, deployment, nodes

WHY = "pods is forbidden: exceeded quota: team"
FAILURE = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": WHY}


def test_a_deployment_says_it_at_once() -> None:
    world = World(*nodes(2)).deploy(deployment(**FULL))
    world.operate()
    assert world.decide()["web"].not_created == ""
    world.works["web"]["status"] = {"conditions": [FAILURE]}
    decision = world.decide()["web"]
    assert (decision.not_created, decision.number) == (WHY, 8)
    world.works["web"]["status"] = {}
    assert world.decide()["web"].not_created == ""


def test_a_statefulset_that_stays_behind_is_noticed_after_a_while() -> None:
    behind = replace(decode.workload(deployment(), "Deployment"), missing=3)
    creation = PodCreation()
    assert creation.why_not(behind, 10.0) == ""
    assert creation.due == 10.0 + PATIENCE
    assert creation.why_not(replace(behind, missing=1), 10.0 + PATIENCE - 1) == ""
    assert creation.why_not(behind, 10.0 + PATIENCE).startswith("3 pods have been missing for 30 s or longer")
    assert creation.due is None
    assert creation.why_not(replace(behind, missing=0), 50.0) == ""
    assert creation.why_not(behind, 51.0) == "", "the next time begins anew"
