"""Any values of the chart, drawn from its schema: what passes the schema and the templates' own checks has to be
accepted by the API server, too.

Parts in the format of Kubernetes objects are passed on as they are written, and the schema doesn't repeat Kubernetes.
For these there are samples here; where there is none, the part stays empty.
"""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from tests.deploy.render import CHART, Object

SCHEMA: Object = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
# Printable, and from several scripts. Control characters are YAML's business, not the chart's.
LETTERS = st.characters(min_codepoint=32, max_codepoint=0x2FFF, exclude_categories=("Cc", "Cs", "Cn", "Zl", "Zp"))
LARGEST = 100_000  # of whole numbers without a limit of their own: nobody means a number that needs 64 bits

# Each example is a process: what is found isn't made smaller, which would take minutes. It has a few values anyway.
EXAMPLES = settings(
    phases=[Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)
Path = tuple[str, ...]
LIMITS = {"cpu": "100m", "memory": "64Mi"}
SAMPLES: dict[str, list[Any]] = {
    "affinity": [{"nodeAffinity": {}}],
    "autoscaling.behavior": [{"scaleDown": {"stabilizationWindowSeconds": 60}}],
    "autoscaling.metrics": [
        [
            {
                "type": "Pods",
                "pods": {"metric": {"name": "rps"}, "target": {"type": "AverageValue", "averageValue": "100"}},
            }
        ]
    ],
    "containerSecurityContext.appArmorProfile": [{"type": "RuntimeDefault"}, {"type": "Unconfined"}],
    "containerSecurityContext.capabilities.add": [[], ["NET_BIND_SERVICE"]],
    "containerSecurityContext.capabilities.drop": [[], ["ALL"], ["NET_RAW"]],
    "containerSecurityContext.seccompProfile": [{"type": "RuntimeDefault"}, {"type": "Unconfined"}],
    "envFrom": [[{"configMapRef": {"name": "shop"}}, {"secretRef": {"name": "shop", "optional": True}}]],
    "extraContainers": [
        [{"name": name, "image": "proxy:1", "resources": {"limits": LIMITS}} for name in names]
        for names in (["proxy"], ["worker"], ["proxy", "proxy"], ["proxy", "log"])
    ],
    "extraEnv": [
        [{"name": "A", "value": "1"}],
        [{"name": "A", "value": 1}],
        [{"name": "A", "value": True}],
        [{"name": "A"}, {"name": "A"}],
        [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "shop", "key": "a"}}}, {"name": "B", "value": "$(A)"}],
        [{"name": "POD_NAME", "value": "x"}],
    ],
    "extraObjects": [
        [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": '{{ include "corepod.fullname" . }}-more'}}],
        ["apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: more\ndata:\n  a: {{ .Values.cpu.preset | quote }}\n"],
    ],
    "extraVolumes": [
        [{"name": name, "emptyDir": {}} for name in names] for names in (["data"], ["tmp"], ["data", "data"])
    ],
    "extraVolumeMounts": [
        [{"name": "data", "mountPath": "/data"}],
        [{"name": "tmp", "mountPath": "/var/cache", "subPath": "cache"}],
        [{"name": "tmp", "mountPath": "/tmp"}],
    ],
    "httpRoute.rules": [
        [{}],
        [{"matches": [{"path": {"type": "Exact", "value": "/a"}}], "timeouts": {"request": "10s"}}],
        [{"filters": [{"type": "RequestRedirect", "requestRedirect": {"scheme": "https"}}]}],
        [{"backendRefs": [{"name": "other", "port": 80}]}],
    ],
    "initContainers": [[{"name": "migrate", "image": "shop:1", "resources": {"limits": LIMITS}}]],
    "networkPolicy.adminFrom": [[{"namespaceSelector": {}}]],
    "networkPolicy.egress": [[{"ports": [{"port": 443}]}]],
    "networkPolicy.httpFrom": [[{"ipBlock": {"cidr": "10.0.0.0/8"}}]],
    "operator.affinity": [{"podAntiAffinity": {}}],
    "operator.env": [
        [{"name": "A", "value": "1"}],
        [{"name": "A"}, {"name": "A"}],
        [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "shop", "key": "a"}}}, {"name": "B", "value": "$(A)"}],
        [{"name": "POD_NAMESPACE", "value": "x"}],
    ],
    "podSecurityContext.sysctls": [[{"name": "net.ipv4.ip_unprivileged_port_start", "value": "80"}]],
    "lifecycle.postStart.httpGet": [{"port": 8000}, {"port": "http", "path": "/"}],
    "lifecycle.preStop.httpGet": [{"port": 8000}],
    "state.valkey.from": [[{"podSelector": {"matchLabels": {"app": "other"}}}]],
}
TOLERATIONS = [[{"key": "pool", "operator": "Exists"}], [{"key": "pool", "value": "web", "effect": "NoSchedule"}]]
# By the last part of the name. The cluster has a range of node ports and one of addresses of Services.
BY_LAST = {
    "clusterIP": st.sampled_from(["", "None"]),
    "nodePort": st.none() | st.integers(30_000, 32_767),
    "repository": st.sampled_from(["corepod", "registry.example:5000/shop"]),
    "tag": st.sampled_from(["1.4_rc", "v" * 80 + ".-", "latest"]),
    "tolerations": st.sampled_from(TOLERATIONS),
}


def values(largest: int = 8) -> st.SearchStrategy[Object]:
    """Values of which up to so many are others than the defaults, and some more parts are switched on."""
    some = st.lists(st.sampled_from(sorted(_LEAVES)), max_size=largest, unique=True).flatmap(_drawn)
    switched = st.lists(
        st.sampled_from(sorted(path for path in _LEAVES if path[-1] == "enabled")), max_size=3, unique=True
    )
    return st.tuples(switched, some).map(lambda both: _nested([*((path, True) for path in both[0]), *both[1]]))


def _drawn(paths: list[Path]) -> st.SearchStrategy[list[tuple[Path, Any]]]:
    return st.tuples(*(_value(_LEAVES[path], path) for path in paths)).map(
        lambda found: list(zip(paths, found, strict=True))
    )


def _nested(leaves: list[tuple[Path, Any]]) -> Object:
    tree: Object = {}
    for path, value in leaves:
        place = tree
        for name in path[:-1]:
            place = place.setdefault(name, {})
        place[path[-1]] = value
    return tree


def _leaves(schema: Object, path: Path) -> dict[Path, Object]:
    """Path and schema of each value that isn't a group of others."""
    schema = _resolved(schema)
    below = schema.get("properties", {})
    if not below or schema.get("type") != "object":
        return {path: schema}
    return {leaf: found for name in below for leaf, found in _leaves(below[name], (*path, name)).items()}


def _resolved(schema: Object) -> Object:
    name = schema.get("$ref")
    return SCHEMA["definitions"][name.rpartition("/")[2]] if name else schema


def _value(schema: Object, path: Path = ()) -> st.SearchStrategy[Any]:
    schema = _resolved(schema)
    name = ".".join(path)
    if name in SAMPLES:
        return st.sampled_from(SAMPLES[name])
    if path and path[-1] in BY_LAST:
        return BY_LAST[path[-1]]
    if "const" in schema:
        return st.just(schema["const"])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "anyOf" in schema:
        return st.one_of([_value(one, path) for one in schema["anyOf"]])
    kinds = schema.get("type", "null")
    return st.one_of([_of_type(kind, schema, path) for kind in ([kinds] if isinstance(kinds, str) else kinds)])


def _of_type(kind: str, schema: Object, path: Path) -> st.SearchStrategy[Any]:
    match kind:
        case "boolean":
            return st.booleans()
        case "integer":
            least = schema.get("minimum", -5)
            return st.integers(least, min(schema.get("maximum", least + LARGEST), least + LARGEST))
        case "number":
            least = schema.get("minimum", schema.get("exclusiveMinimum", 0) + 0.001)
            most = schema.get("exclusiveMaximum", 1000.001) - 0.001
            return st.integers(int(1000 * least), int(1000 * most)).map(lambda thousandths: thousandths / 1000)
        case "string":
            return _string(schema)
        case "array":
            return _array(schema, path)
        case "object":
            return _object(schema, path)
    return st.none()


def _string(schema: Object) -> st.SearchStrategy[str]:
    # Short, with the limit now and then.
    limit = schema.get("maxLength", 300)
    if "pattern" not in schema:
        return st.text(LETTERS, min_size=schema.get("minLength", 0), max_size=min(limit, 12))
    pattern = schema["pattern"].replace("\\S", "[!-~]")
    whole = pattern if pattern.endswith("$") else pattern + "[!-~]*"
    found = st.from_regex(whole, fullmatch=True, alphabet=LETTERS)
    return found.filter(lambda text: len(text) <= limit)


def _array(schema: Object, path: Path) -> st.SearchStrategy[list[Any]]:
    items = _resolved(schema.get("items", {}))
    if items.get("type") == "object" and not items.get("properties"):
        return st.just([])
    return st.lists(
        _value(items),
        min_size=schema.get("minItems", 0),
        max_size=min(schema.get("maxItems", 3), 3),
        unique_by=json.dumps if schema.get("uniqueItems") else None,
    )


def _object(schema: Object, path: Path) -> st.SearchStrategy[Object]:
    if "properties" in schema:
        required = set(schema.get("required", ()))
        each = {name: _value(below, (*path, name)) for name, below in schema["properties"].items()}
        return st.fixed_dictionaries(
            {name: found for name, found in each.items() if name in required},
            optional={name: found for name, found in each.items() if name not in required},
        )
    further = schema.get("additionalProperties")
    if not isinstance(further, dict):
        return st.just({})
    names = {"type": "string", **_resolved(schema.get("propertyNames", {}))}
    return st.dictionaries(_value(names, (*path, "name")), _value(further), max_size=3)


_LEAVES = _leaves(SCHEMA, ())
