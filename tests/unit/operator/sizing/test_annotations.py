"""What a workload's annotations say about its size."""

from __future__ import annotations

import pytest
from corepod.operator.sizing.annotations import MEANINGS, Rules, rules
from corepod.operator.sizing.autoscaled import AutoscaledNodes
from hypothesis import given, settings
from hypothesis import strategies as st


def read(**notes: str) -> dict[str, str]:
    return {f"corepod.dev/{name.replace('_', '-')}": text for name, text in notes.items()}


def test_without_annotations_everything_has_its_default() -> None:
    assert rules({}).rules == Rules()
    assert rules({"app.kubernetes.io/min": "many"}).rules == Rules(), "others' annotations are theirs"


@pytest.mark.parametrize(
    ("notes", "wanted"),
    [
        (read(min="2", max="20"), Rules(least=2, most=20)),
        (read(min="0"), Rules(least=1)),
        (read(min=" 3 "), Rules(least=3)),
        (read(reserve_cores_per_node="1.5"), Rules(reserve=1500)),
        (read(headroom="3"), Rules(headroom=3)),
        (read(headroom="0"), Rules(headroom=0)),
        (read(full="true"), Rules(headroom=0)),
        (read(full="true", headroom="0"), Rules(headroom=0)),
        (read(full="false"), Rules()),
        (read(paused="true"), Rules(paused=True)),
        (read(weight="5"), Rules(weight=5)),
        (read(mode="hpa-bounds"), Rules(mode="hpa-bounds")),
        (read(autoscaled_nodes="auto"), Rules()),
        (read(autoscaled_nodes="never"), Rules(autoscaled=AutoscaledNodes(known=False))),
        (read(autoscaled_nodes="pool=burst"), Rules(autoscaled=AutoscaledNodes(False, (("pool", "burst"),)))),
        (
            read(autoscaled_nodes="auto, a.example/pool=, spot"),
            Rules(autoscaled=AutoscaledNodes(True, (("a.example/pool", ""), ("spot", None)))),
        ),
        (read(sized="true", replicas_by="chart", worker_restarts="1-9"), Rules()),
    ],
)
def test_annotations(notes: dict[str, str], wanted: Rules) -> None:
    reading = rules(notes)
    assert reading.rules == wanted
    assert not reading.faults
    assert not reading.unknown


@pytest.mark.parametrize(
    ("notes", "fault"),
    [
        (read(min="-1"), "corepod.dev/min: '-1' isn't a whole number from 0 to 2147483647"),
        (read(min="1.0"), "corepod.dev/min: '1.0' isn't a whole number from 0 to 2147483647"),
        (read(min="²"), "corepod.dev/min: '²' isn't a whole number from 0 to 2147483647"),
        (read(max="9999999999"), "corepod.dev/max: '9999999999' isn't a whole number from 0 to 2147483647"),
        (read(max=""), "corepod.dev/max: '' isn't a whole number from 0 to 2147483647"),
        (read(max="0"), "corepod.dev/max: 0 would stop the application; to do that, scale it to 0 by hand"),
        (read(min="5", max="4"), "corepod.dev/min: 5 is above corepod.dev/max, 4"),
        (read(reserve_cores_per_node="x"), "corepod.dev/reserve-cores-per-node: 'x' isn't a quantity"),
        (read(reserve_cores_per_node="-1"), "corepod.dev/reserve-cores-per-node: '-1' is below 0"),
        (read(full="yes"), "corepod.dev/full: 'yes' is neither true nor false"),
        (read(full="true", headroom="2"), "corepod.dev/headroom: 2, but corepod.dev/full means"),
        (read(autoscaled_nodes=""), "corepod.dev/autoscaled-nodes: '' is neither auto nor a label of nodes"),
        (read(autoscaled_nodes="true"), "corepod.dev/autoscaled-nodes: 'true' is neither auto nor a label of nodes"),
        (read(autoscaled_nodes="a=b=c"), "corepod.dev/autoscaled-nodes: 'a=b=c' is neither auto nor a label"),
        (read(autoscaled_nodes="never,a=b"), "corepod.dev/autoscaled-nodes: 'never' is neither auto nor a label"),
        (read(weight="0"), "corepod.dev/weight: '0' isn't a whole number from 1 to 1000000"),
        (read(mode="exact"), "corepod.dev/mode: 'exact' isn't one of fit, linear, ladder, hpa-bounds"),
        (read(mode="linear"), "corepod.dev/mode: linear needs parameters in the annotation corepod.dev/linear"),
        (read(linear="{"), "corepod.dev/linear: isn't valid JSON"),
    ],
)
def test_a_fault_names_its_annotation(notes: dict[str, str], fault: str) -> None:
    (found,) = rules(notes).faults
    assert found.startswith(fault)


def test_all_faults_are_told_together() -> None:
    reading = rules(read(min="a", max="b", weight="c", mode="fit"))
    assert [fault.split(":")[0] for fault in reading.faults] == [
        "corepod.dev/min",
        "corepod.dev/max",
        "corepod.dev/weight",
    ]


def test_a_name_that_nothing_reads_is_told_with_the_one_that_was_meant() -> None:
    assert rules(read(headrom="1")).unknown == (
        "corepod.dev/headrom: unknown annotation; did you mean corepod.dev/headroom?",
    )
    assert rules(read(zebra="1")).unknown == ("corepod.dev/zebra: unknown annotation",)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(MEANINGS)), st.text(max_size=20)))
def test_any_text_is_read_or_is_a_fault(notes: dict[str, str]) -> None:
    reading = rules({f"corepod.dev/{name}": text for name, text in notes.items()})
    assert reading.faults or reading.rules.least <= (reading.rules.most or 2**31)
