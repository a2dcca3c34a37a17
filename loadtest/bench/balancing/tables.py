"""The tables of the simulation: ratios to the ideal queue and to random pods, and the goals."""

from __future__ import annotations

import math
from statistics import median
from typing import TYPE_CHECKING

from loadtest.bench.balancing.cells import METRICS, Case
from loadtest.bench.balancing.formulas import mean_stay
from loadtest.bench.balancing.policies import IDEAL, POLICIES, RANDOM
from loadtest.bench.balancing.workload import SECOND_MOMENTS
from loadtest.bench.report import Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from loadtest.bench.balancing.cells import Stays
    from loadtest.bench.balancing.measured import Compared

    Results = Mapping[Case, Sequence[Mapping[str, Stays]]]  # by case, one of each seed

JUDGED = 0.7  # the load of the goals
FRONTS = ("least", "least, 2", "queue, 2")  # the chart's front with one replica, and with its default of two
OVER_RANDOM, OVER_IDEAL = 0.5, 1.3  # p99 that is wanted
SHOWN = 100  # pods in the short table
EDGE = (  # each a line of a document
    "heavy: one request of 100 takes 50 times longer, so p99 of the service times lies between short and long ones.",
    "That of the stays is one or the other, and its ratio 1 or about 50.",
)
FORMULAS = 0.1  # share by which simulated means may differ from the formulas


def ratio(results: Results, case: Case, policy: str, base: str, metric: str) -> float:
    """The median of the seeds' own ratios."""
    return median(seed[policy].of(metric) / seed[base].of(metric) for seed in results[case])


def over_table(results: Results, metric: str, base: str) -> Table:
    name = "ideal" if base == IDEAL.name else base
    columns = ["service time, pods, load", *(policy.name for policy in POLICIES if policy.name != base)]
    table = Table(f"front-{metric}-{name}", f"{metric} over that of {_said(base)}, simulated", columns)
    for case in results:
        table.add(str(case), *(f"{ratio(results, case, policy, base, metric):.2f}" for policy in columns[1:]))
    return table


def _said(base: str) -> str:
    return "one ideal queue" if base == IDEAL.name else "random pods (kube-proxy)"


def short_table(results: Results) -> Table:
    """The one for readers in a hurry. Without the p99 of heavy tails: see EDGE."""
    cases = [case for case in results if (case.pods, case.load) == (SHOWN, JUDGED)]
    shown = [
        (case, metric) for case in cases for metric in ("mean", "p99") if (case.service, metric) != ("heavy", "p99")
    ]
    columns = ["pods are chosen", *(f"{case.service}: {metric}" for case, metric in shown)]
    table = Table("front-choice", f"over one ideal queue, {SHOWN} pods at {JUDGED:.0%} load, simulated", columns)
    for policy in POLICIES:
        table.add(policy.name, *(f"{ratio(results, case, policy.name, IDEAL.name, m):.2f}" for case, m in shown))
    return table


def judge(table: Table, results: Results) -> None:
    """The goals: of the worst number of pods at the load they were set for."""
    for service in dict.fromkeys(case.service for case in results):
        for front in FRONTS:
            for base, most in ((RANDOM.name, OVER_RANDOM), (IDEAL.name, OVER_IDEAL)):
                cases = [case for case in results if (case.service, case.load) == (service, JUDGED)]
                worst = max(ratio(results, case, front, base, "p99") for case in cases)
                table.goal(f"{service}, {front}: p99 at {JUDGED:.0%} over {_said(base)} at most {most}", worst, most)


def formula_deviation(results: Results) -> tuple[float, Case, str]:
    """The greatest share by which a mean differs from its closed formula, and where."""
    found = []
    for case, seeds in results.items():
        for policy in POLICIES:
            expected = mean_stay(policy.name, case.service, case.load, case.pods, SECOND_MOMENTS[case.service])
            if not math.isnan(expected):
                simulated = sum(seed[policy.name].mean for seed in seeds) / len(seeds)
                found.append((abs(simulated / expected - 1.0), case, policy.name))
    return max(found, key=lambda one: one[0])


def simulation_tables(results: Results) -> list[Table]:
    tables = [over_table(results, metric, base) for base in (IDEAL.name, RANDOM.name) for metric in METRICS]
    judged = next(table for table in tables if table.key == "front-p99-ideal")
    judge(judged, results)
    deviation, case, policy = formula_deviation(results)
    text = f"means against M/G/1 and M/M/c: difference at most {FORMULAS} (here {policy}, {case})"
    judged.goal(text, deviation, FORMULAS)
    judged.notes += EDGE
    return [*tables, short_table(results)]


def compared_table(compared: Sequence[Compared]) -> Table:
    """The simulation beside the cluster."""
    columns = [
        "service time, load, what serves",
        *(f"{m} {what}" for m in METRICS for what in ("measured", "simulated")),
    ]
    table = Table("front-measured", "four pods: ratios to kube-proxy of the same arrivals", columns)
    rows: dict[str, list[str]] = {}
    for one in compared:
        mark = "" if one.agrees else " ✗"
        row = rows.setdefault(f"{one.service}, {one.load:.0%}, {one.system}", [])
        row += [f"{one.measured:.2f}{mark}", f"{one.middle:.2f} ({one.low:.2f}-{one.high:.2f})"]
    for name, cells in rows.items():
        table.add(name, *cells)
    share = sum(one.agrees for one in compared) / len(compared)
    table.goal(
        "share of measured ratios in the band, or 0.1 beside it, at least 0.95",
        share,
        0.95,
        least=True,
    )
    table.notes = [f"Outside: {one}." for one in compared if not one.agrees]
    return table


def cookie_table(found: Mapping[str, Mapping[int, float]], most: float) -> Table:
    """`found`: by way and number of pods, the clients of the busiest pod over the mean of all pods."""
    pods = list(next(iter(found.values())))
    columns = ["pod of a client without a cookie", *(f"{count} pods" for count in pods)]
    table = Table(
        "front-cookie", "clients bound to the busiest pod over the mean, 1 000 clients behind one address", columns
    )
    # sessionAffinity looks at the address: nothing to simulate.
    table.add("by the client's address", *(f"{count:.2f}" for count in pods))
    for way, values in found.items():
        table.add(way, *(f"{value:.2f}" for value in values.values()))
    for count in (count for count in pods if count <= 20):
        table.goal(f"leastconn of 2 fronts, {count} pods, at most {most}", found["leastconn, 2 fronts"][count], most)
    return table
