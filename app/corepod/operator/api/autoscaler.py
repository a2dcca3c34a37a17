"""What cluster-autoscaler says of itself: the node groups that it resizes, with their least and greatest sizes.

Read only by `--once`, with the caller's own permissions. The operator couldn't use it: the groups have the names that
the provider gives them (of an Auto Scaling group, of a managed instance group), and those are not on the nodes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from corepod.operator.api.cluster import Kind
from corepod.operator.api.errors import ClusterError

if TYPE_CHECKING:
    from corepod.operator.api.cluster import Cluster

CONFIG_MAPS = Kind("v1", "configmaps", "ConfigMap")
NAMESPACE, NAME = "kube-system", "cluster-autoscaler-status"
# YAML since cluster-autoscaler 1.30 (`name: …`, `minSize: 1`), text before that (`Name: …`, `minSize=1`).
GROUP = re.compile(r"^\s*(?:- )?name:\s*(\S+)$.*?minSize[:=]\s*(\d+).*?maxSize[:=]\s*(\d+)", re.I | re.M | re.S)


def node_groups(cluster: Cluster) -> list[str]:
    """The groups as `NAME (LEAST to MOST nodes)`; none if there is no autoscaler or its status may not be read."""
    try:
        found = cluster.get(CONFIG_MAPS, NAMESPACE, NAME)
    except ClusterError:
        return []
    status = str((found.get("data") or {}).get("status") or "")
    return [f"{name} ({least} to {most} nodes)" for name, least, most in GROUP.findall(status)]
