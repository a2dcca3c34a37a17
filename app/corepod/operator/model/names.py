"""Labels and annotations of the API objects that the operator reads and writes, all under one domain."""

from __future__ import annotations

DOMAIN = "corepod.dev/"
SIZED = f"{DOMAIN}sized"  # label of a workload that the operator is to size ("true")
RESTARTS = f"{DOMAIN}worker-restarts"  # label of a pod: how often its workers have died, in steps
# Annotations of a pod.
RESTARTS_TOTAL = f"{DOMAIN}worker-restarts-total"
LAST_RESTART = f"{DOMAIN}last-worker-restart"
# Which of the supervisor's counts the total includes already: the supervisor's start, and its count at that time.
RESTARTS_SEEN = f"{DOMAIN}worker-restarts-seen"
# Label of a node: overrides whether an autoscaler adds and removes it ("true", "false").
AUTOSCALED = f"{DOMAIN}autoscaled"
