"""Which nodes count as an autoscaler's for one workload: what its annotation `autoscaled-nodes` says."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from corepod.operator.model.names import AUTOSCALED

if TYPE_CHECKING:
    from corepod.operator.model.facts import Node

AUTO, NEVER = "auto", "never"
NO_LABELS = (NEVER, "true", "false")  # what is meant as something else, although it could be a label
LABEL = re.compile(r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?")


class AutoscaledNodes(NamedTuple):
    """`known`: those that a node shows by itself. `labels`: those with one of these labels (value None for any)."""

    known: bool = True
    labels: tuple[tuple[str, str | None], ...] = ()

    def mark(self, node: Node) -> str:
        """What makes this node an autoscaler's, empty if it is none. A label of the node can exempt it."""
        if node.labels.get(AUTOSCALED) != "false":
            for label, value in self.labels:
                if label in node.labels and value in (None, node.labels[label]):
                    return f"{label}={node.labels[label]}"
        return node.autoscaler if self.known else ""


def autoscaled_nodes(text: str) -> AutoscaledNodes:
    """Parse `auto`, `never`, or a list of `auto`, LABEL and LABEL=VALUE. Raises ValueError with a phrase."""
    parts = [part.strip() for part in text.split(",")]
    if parts == [NEVER]:
        return AutoscaledNodes(known=False)
    labels = tuple(_label(part) for part in parts if part != AUTO)
    return AutoscaledNodes(AUTO in parts, labels)


def _label(text: str) -> tuple[str, str | None]:
    label, equals, value = text.partition("=")
    if text in NO_LABELS or not LABEL.fullmatch(label) or not VALUE.fullmatch(value):
        raise ValueError(
            f"{text!r} is neither {AUTO} nor a label of nodes; write {AUTO}, {NEVER}, LABEL or LABEL=VALUE"
        )
    return label, value if equals else None
