"""A peer: all nodes and pods as the typed objects of kubernetes' client, as its informers keep them."""

from __future__ import annotations

import time

from kubernetes import client, config

config.load_kube_config()
core = client.CoreV1Api()
kept = [core.list_node(), core.list_pod_for_all_namespaces()]
print("ready", flush=True)
while True:
    time.sleep(60.0)
