"""The modes that cluster-proportional-autoscaler has: its own published results."""

from __future__ import annotations

import json

import pytest
from corepod.operator.sizing.proportional import Totals, ladder, linear

LINEAR = {"coresPerReplica": 2, "nodesPerReplica": 2.5, "min": 1, "max": 100, "preventSinglePointFailure": True}
LADDER = {"nodesToReplicas": [[1, 1], [2, 2], [3, 3], [4, 4], [10, 10], [20, 20]]}


def totals(nodes: int, cores: int, all_nodes: int | None = None, all_cores: int | None = None) -> Totals:
    return Totals(nodes, cores, nodes if all_nodes is None else all_nodes, cores if all_cores is None else all_cores)


@pytest.mark.parametrize(
    ("cores", "replicas"),
    [
        (0, 2),
        (1, 2),
        (2, 2),
        (3, 2),
        (4, 2),
        (6, 3),
        (10, 5),
        (11, 6),
        (19, 10),
        (20, 10),
        (21, 11),
        (30, 15),
        (40, 20),
    ],
)
def test_linear_by_cores_alone(cores: int, replicas: int) -> None:
    mode = linear(json.dumps({"coresPerReplica": 2, "min": 2, "max": 100}))
    assert mode.replicas(totals(1, cores)) == replicas


@pytest.mark.parametrize(
    ("cores", "nodes", "replicas"),
    [
        (0, 0, 1),
        (1, 2, 2),
        (2, 3, 2),
        (3, 4, 2),
        (4, 4, 2),
        (6, 4, 3),
        (6, 5, 3),
        (8, 5, 4),
        (8, 15, 6),
        (8, 16, 7),
        (19, 21, 10),
        (23, 20, 12),
        (26, 38, 16),
        (30, 49, 20),
        (40, 20, 20),
    ],
)
def test_linear_by_cores_and_nodes(cores: int, nodes: int, replicas: int) -> None:
    assert linear(json.dumps(LINEAR)).replicas(totals(nodes, cores)) == replicas


@pytest.mark.parametrize(
    ("cores", "nodes", "all_of", "replicas"),
    [(0, 0, 0, 1), (1, 1, 1, 1), (2, 2, 2, 2), (2, 2, 4, 2), (8, 8, 8, 4), (6, 6, 8, 4), (21, 21, 210, 100)],
)
def test_linear_with_cordoned_nodes(cores: int, nodes: int, all_of: int, replicas: int) -> None:
    given = LINEAR | {"nodesPerReplica": 2, "includeUnschedulableNodes": True}
    assert linear(json.dumps(given)).replicas(totals(nodes, cores, all_of, all_of)) == replicas


def test_linears_protection_against_a_single_failure_goes_above_its_max() -> None:
    mode = linear(json.dumps(LINEAR | {"max": 1}))
    assert mode.replicas(totals(5, 40)) == 2


@pytest.mark.parametrize(
    ("nodes", "replicas"),
    [(0, 1), (1, 1), (2, 2), (3, 3), (4, 4), (6, 4), (10, 10), (11, 10), (19, 10), (20, 20), (21, 20), (40, 20)],
)
def test_ladder(nodes: int, replicas: int) -> None:
    assert ladder(json.dumps(LADDER)).replicas(totals(nodes, 0)) == replicas


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize(("nodes", "replicas"), [(0, 0), (1, 0), (2, 0), (3, 3), (4, 3)])
def test_ladder_from_zero(first: int, nodes: int, replicas: int) -> None:
    assert ladder(json.dumps({"nodesToReplicas": [[3, 3], [first, 0]]})).replicas(totals(nodes, 0)) == replicas


def test_ladder_takes_the_greater_of_both_and_counts_cordoned_nodes_when_told() -> None:
    given = {"nodesToReplicas": [[0, 0], [1, 1], [2, 2], [3, 3]], "coresToReplicas": [[0, 0], [4, 1], [8, 2], [12, 3]]}
    assert ladder(json.dumps(given)).replicas(totals(1, 4, 3, 12)) == 1
    assert ladder(json.dumps(given | {"includeUnschedulableNodes": True})).replicas(totals(2, 8, 3, 12)) == 3
    assert ladder(json.dumps(given)).replicas(totals(1, 12)) == 3


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("", "isn't valid JSON"),
        ("[" * 100_000, "isn't valid JSON"),
        ('{ "coresPerReplica": {{ 1:1 } }', "isn't valid JSON"),
        ('{"coresPerReplica": 2, }', "isn't valid JSON"),
        ("[1]", "isn't a JSON object"),
        ('{"coresPerReplica": "whatisthis"}', "coresPerReplica 'whatisthis' isn't a number"),
        ('{"coresPerReplica": NaN}', "coresPerReplica nan isn't a number"),
        ('{"nodesPerReplica": -20}', "nodesPerReplica -20 isn't a number of at least 0"),
        ('{"nodesPerReplica": 1, "min": 100, "max": 50}', "max 50 is below min 100"),
        ('{"nodesPerReplica": 1, "min": -1}', "min -1 isn't a whole number"),
        ('{"min": 1, "max": 100}', "neither coresPerReplica nor nodesPerReplica is above 0"),
        ('{"coresPerReplica": 2, "preventSinglePointFailure": "invalid"}', "preventSinglePointFailure 'invalid'"),
        ('{"coresPerReplica": 2, "coresPerReplika": 3}', "coresPerReplika: unknown parameter"),
    ],
)
def test_linear_parameters_that_are_wrong(text: str, phrase: str) -> None:
    with pytest.raises(ValueError, match="^" + phrase.replace("(", r"\(")):
        linear(text)


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("{}", "neither coresToReplicas nor nodesToReplicas has a step"),
        ('{"coresToReplicas": {"1": 1}}', "coresToReplicas isn't a list of pairs"),
        ('{"coresToReplicas": [[1, 2, 3]]}', "coresToReplicas isn't a list of pairs"),
        ('{"nodesToReplicas": [[1, -2]]}', "nodesToReplicas -2 isn't a whole number"),
        ('{"nodesToReplicas": [[1, 1]], "min": 1}', "min: unknown parameter"),
    ],
)
def test_ladder_parameters_that_are_wrong(text: str, phrase: str) -> None:
    with pytest.raises(ValueError, match="^" + phrase):
        ladder(text)
