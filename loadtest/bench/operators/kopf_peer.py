"""A peer: what an operator for the same purpose looks like with kopf, written as its documentation does.

It keeps two numbers of each node and pod, and sizes one Deployment to whole cores. Run by `kopf run`.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

import kopf
from kubernetes import client, config

TARGET = os.environ.get("PEER_TARGET", "web")
NODES: dict[str, int] = {}
PODS: dict[str, str] = {}
WRITTEN: list[int] = []


@kopf.on.startup()
def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
    settings.posting.enabled = False
    settings.networking.request_timeout = 60.0
    config.load_kube_config()


def cores(body: Any) -> int:
    text = str(body["status"]["allocatable"]["cpu"])
    return int(text[:-1]) // 1000 if text.endswith("m") else int(text)


@kopf.on.event("nodes")
async def on_node(event: Any, name: str, body: Any, **_: Any) -> None:
    if event["type"] == "DELETED":
        NODES.pop(name, None)
    else:
        NODES[name] = cores(body)
    await size()


@kopf.on.event("pods")
async def on_pod(event: Any, name: str, body: Any, **_: Any) -> None:
    if event["type"] == "DELETED":
        PODS.pop(name, None)
    else:
        PODS[name] = body["spec"].get("nodeName", "")


async def size() -> None:
    number = sum(NODES.values())
    if WRITTEN and WRITTEN[-1] == number:
        return
    # A list would be written from for each node of it: the last event of a burst decides.
    await asyncio.sleep(0.05)
    if number != sum(NODES.values()) or (WRITTEN and WRITTEN[-1] == number):
        return
    WRITTEN.append(number)
    body = {"spec": {"replicas": number}}
    await asyncio.to_thread(client.AppsV1Api().patch_namespaced_deployment_scale, TARGET, "default", body)
