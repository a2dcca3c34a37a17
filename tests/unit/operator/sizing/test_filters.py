"""Which nodes the scheduler would give a pod to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from corepod.operator.api import decode
from corepod.operator.sizing.filters import group_alike, why_not_schedulable
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.operator.world import deployment, node, spec

if TYPE_CHECKING:
    from corepod.operator.model.facts import Demand

    from tests.unit.operator.world import Json

REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
GPU = {"key": "gpu", "value": "yes", "effect": "NoSchedule"}
EVICT = {"key": "gpu", "value": "yes", "effect": "NoExecute"}


def demand(**more: Any) -> Demand:
    return decode.workload(deployment(pod=spec(**more)), "Deployment").demand


def affinity(*terms: list[Json], field: str = "matchExpressions") -> Json:
    required = {REQUIRED: {"nodeSelectorTerms": [{field: term} for term in terms]}}
    return {"affinity": {"nodeAffinity": required}}


def match(key: str, operator: str, *values: str) -> Json:
    return {"key": key, "operator": operator, "values": list(values)}


def tolerates(**toleration: str) -> Json:
    return {"tolerations": [toleration]}


@pytest.mark.parametrize(
    ("asks", "has", "why"),
    [
        pytest.param({}, {}, "", id="anything-goes"),
        pytest.param({"nodeSelector": {"disk": "ssd"}}, {"labels": {"disk": "ssd"}}, "", id="selector"),
        pytest.param({"nodeSelector": {"disk": "ssd"}}, {"labels": {"disk": "hdd"}}, "not disk=ssd", id="selector-not"),
        pytest.param({"nodeSelector": {"kubernetes.io/arch": "arm64"}}, {}, "not kubernetes.io/arch=arm64", id="arch"),
        pytest.param({"os": {"name": "windows"}}, {}, "not kubernetes.io/os=windows", id="os"),
        pytest.param(affinity([match("zone", "In", "x", "y")]), {"labels": {"zone": "y"}}, "", id="in"),
        pytest.param(affinity([match("zone", "In", "x")]), {"labels": {"zone": "y"}}, "node affinity", id="in-not"),
        pytest.param(affinity([match("zone", "In", "x")]), {}, "node affinity", id="in-without-label"),
        pytest.param(
            affinity([match("zone", "NotIn", "x")]), {"labels": {"zone": "x"}}, "node affinity", id="notin-not"
        ),
        pytest.param(affinity([match("zone", "NotIn", "x")]), {}, "", id="notin-without-label"),
        pytest.param(affinity([match("zone", "Exists")]), {"labels": {"zone": ""}}, "", id="exists"),
        pytest.param(affinity([match("zone", "Exists")]), {}, "node affinity", id="exists-not"),
        pytest.param(affinity([match("zone", "DoesNotExist")]), {}, "", id="does-not-exist"),
        pytest.param(
            affinity([match("zone", "DoesNotExist")]), {"labels": {"zone": ""}}, "node affinity", id="exists-yet"
        ),
        pytest.param(affinity([match("gen", "Gt", "3")]), {"labels": {"gen": "4"}}, "", id="gt"),
        pytest.param(affinity([match("gen", "Gt", "3")]), {"labels": {"gen": "3"}}, "node affinity", id="gt-equal"),
        pytest.param(
            affinity([match("gen", "Gt", "3")]), {"labels": {"gen": "new"}}, "node affinity", id="gt-no-number"
        ),
        pytest.param(affinity([match("gen", "Gt", "3")]), {}, "node affinity", id="gt-without-label"),
        pytest.param(affinity([match("gen", "Lt", "3")]), {"labels": {"gen": "2"}}, "", id="lt"),
        pytest.param(
            affinity([match("gen", "Near", "3")]), {"labels": {"gen": "3"}}, "node affinity", id="unknown-operator"
        ),
        pytest.param(
            affinity([match("a", "Exists"), match("b", "Exists")]),
            {"labels": {"a": ""}},
            "node affinity",
            id="all-of-a-term",
        ),
        pytest.param(
            affinity([match("a", "Exists")], [match("b", "Exists")]), {"labels": {"b": ""}}, "", id="one-term"
        ),
        pytest.param(affinity([]), {}, "node affinity", id="empty-term-takes-nothing"),
        pytest.param(affinity(), {}, "node affinity", id="no-terms-take-nothing"),
        pytest.param(affinity([match("metadata.name", "In", "n")], field="matchFields"), {}, "", id="field"),
        pytest.param(
            affinity([match("metadata.name", "NotIn", "n")], field="matchFields"), {}, "node affinity", id="field-not"
        ),
        pytest.param({}, {"cordoned": True}, "cordoned", id="cordoned"),
        pytest.param(
            tolerates(key="node.kubernetes.io/unschedulable", operator="Exists"),
            {"cordoned": True},
            "",
            id="cordon-tolerated",
        ),
        pytest.param({}, {"ready": False}, "not ready", id="not-ready"),
        pytest.param({}, {"taints": [GPU]}, "taint gpu=yes:NoSchedule", id="taint"),
        pytest.param(
            {}, {"taints": [{"key": "gpu", "effect": "NoExecute"}]}, "taint gpu:NoExecute", id="taint-no-execute"
        ),
        pytest.param({}, {"taints": [GPU | {"effect": "PreferNoSchedule"}]}, "", id="taint-that-only-prefers"),
        pytest.param(tolerates(key="gpu", value="yes"), {"taints": [GPU]}, "", id="tolerated-equal-by-default"),
        pytest.param(tolerates(key="gpu", operator="Equal", value="no"), {"taints": [GPU]}, "taint", id="other-value"),
        pytest.param(
            tolerates(key="gpu", operator="Exists"), {"taints": [GPU, EVICT]}, "", id="tolerated-every-effect"
        ),
        pytest.param(
            tolerates(key="gpu", operator="Exists", effect="NoSchedule"),
            {"taints": [GPU, EVICT]},
            "taint gpu=yes:NoExecute",
            id="tolerated-one-effect",
        ),
        pytest.param(tolerates(operator="Exists"), {"taints": [GPU, EVICT]}, "", id="tolerated-everything"),
        pytest.param(tolerates(operator="Equal"), {"taints": [GPU]}, "taint", id="no-key-needs-exists"),
        pytest.param(
            tolerates(key="gpu", operator="Gt", value="1"), {"taints": [GPU]}, "taint", id="unknown-toleration"
        ),
    ],
)
def test_a_node_takes_a_pod(asks: Json, has: Json, why: str) -> None:
    found = why_not_schedulable(demand(**asks), decode.node(node("n", **has)))
    assert found.startswith(why)
    assert bool(found) == bool(why)


KEYS = ("a", "b")
VALUES = st.sampled_from(["", "1", "2"])
LABELS = st.dictionaries(st.sampled_from(KEYS), VALUES)
MATCHES = st.builds(match, st.sampled_from(KEYS), st.sampled_from(["In", "NotIn", "Exists", "Gt", "Lt"]), VALUES)


@settings(deadline=None)
@given(
    st.lists(st.tuples(LABELS, st.booleans(), st.booleans(), st.booleans()), max_size=8),
    st.lists(st.tuples(LABELS, st.lists(st.lists(MATCHES, max_size=2), max_size=2)), max_size=3),
)
def test_nodes_of_a_group_are_alike_to_all(has: list[Any], asks: list[Any]) -> None:
    nodes = [
        decode.node(node(f"n{index}", labels=labels, ready=ready, cordoned=cordoned, taints=[GPU] if taint else []))
        for index, (labels, ready, cordoned, taint) in enumerate(has)
    ]
    demands = [demand(nodeSelector=selector, **affinity(*terms)) for selector, terms in asks]
    groups = group_alike(nodes, demands)
    assert sorted(node.name for group in groups for node in group) == sorted(node.name for node in nodes)
    for group in groups:
        for each in demands:
            assert len({why_not_schedulable(each, node) for node in group}) == 1
