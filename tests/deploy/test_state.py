"""The state that all pods share: Valkey of the release or an existing server, and the workers that find it."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Any

import pytest
from corepod.config.spec import BY_NAME

from tests.deploy.render import CHART, ROOT, Object, chart, environment, find, pod_specs, refused, worker
from tests.deploy.test_security import violations

if TYPE_CHECKING:
    from pathlib import Path

ON: Object = {"state": {"valkey": {"enabled": True}}}
LASTING: Object = {"state": {"valkey": {"enabled": True, "persistence": {"enabled": True}}}}
EXISTING: Object = {"state": {"existing": {"secret": "redis", "key": "URL", "caSecret": "redis-ca", "caKey": "ca"}}}
NAME = "corepod-valkey"


def with_valkey(**values: Any) -> Object:
    return {"state": {"valkey": {"enabled": True, **values}}}


def main(objects: list[Object]) -> Object:
    """The worker's container, beside another Deployment."""
    return worker([o for o in objects if o["metadata"]["name"] != NAME])


def valkey(values: Object) -> Object:
    spec: Object = find(chart(values), "Deployment", NAME)["spec"]["template"]["spec"]
    return spec


def configuration(values: Object) -> dict[str, str]:
    """Valkey's directives, as the container's shell writes them."""
    [script] = valkey(values)["containers"][0]["args"]
    lines = script.split("\n")[1:]
    return dict(line.split(" ", 1) for line in lines[: lines.index("END")] if not line.startswith("#"))


def test_by_default_there_is_none_and_the_worker_is_told_nothing() -> None:
    assert not [o for o in chart() if o["metadata"]["labels"].get("app.kubernetes.io/component") == "valkey"]
    assert not [name for name in environment(worker(chart())) if "SHARED" in name or "STATE" in name]


def test_workers_find_valkey_with_its_password_and_no_manifest_has_the_url() -> None:
    objects = chart(ON)
    variables = environment(main(objects))
    names = list(variables)
    assert variables["COREPOD_SHARED"] == f"redis://:$(COREPOD_STATE_PASSWORD)@{NAME}:6379/0"
    # Kubernetes replaces $(NAME) by what stands before it in the list.
    assert names.index("COREPOD_STATE_PASSWORD") < names.index("COREPOD_SHARED")
    reference = variables["COREPOD_STATE_PASSWORD"]["secretKeyRef"]
    secret = find(objects, "Secret", NAME)
    assert (reference["name"], reference["key"] in secret["data"]) == (NAME, True)
    server = environment(find(objects, "Deployment", NAME)["spec"]["template"]["spec"]["containers"][0])
    assert server["REDISCLI_AUTH"]["secretKeyRef"] == reference
    service = find(objects, "Service", NAME)["spec"]
    labels = find(objects, "Deployment", NAME)["spec"]["template"]["metadata"]["labels"]
    assert service["selector"].items() <= labels.items()
    assert service["ports"][0]["port"] == 6379


def test_each_password_is_another_one() -> None:
    one, two = (chart(ON, release=name) for name in ("corepod", "corepod-two"))
    passwords = {find(one, "Secret")["data"]["password"], find(two, "Secret")["data"]["password"]}
    assert len(passwords) == 2
    assert all(len(password) > 40 for password in passwords)


def test_a_password_of_one_s_own_is_used_and_no_other_is_made() -> None:
    objects = chart(with_valkey(secret={"name": "mine", "key": "p"}))
    assert not [o for o in objects if o["kind"] == "Secret"]
    reference = {"secretKeyRef": {"name": "mine", "key": "p"}}
    assert environment(main(objects))["COREPOD_STATE_PASSWORD"] == reference
    server = find(objects, "Deployment", NAME)["spec"]["template"]["spec"]["containers"][0]
    assert environment(server)["REDISCLI_AUTH"] == reference


def test_an_existing_server() -> None:
    objects = chart(EXISTING)
    assert environment(worker(objects))["COREPOD_SHARED"] == {"secretKeyRef": {"name": "redis", "key": "URL"}}
    assert not [o for o in objects if o["metadata"]["name"].endswith("-valkey")]
    spec = find(objects, "Deployment")["spec"]["template"]["spec"]
    [volume] = [v for v in spec["volumes"] if v["name"] == "state-ca"]
    assert volume["secret"] == {"secretName": "redis-ca", "items": [{"key": "ca", "path": "ca.crt"}]}
    [mount] = [m for m in worker(objects)["volumeMounts"] if m["name"] == "state-ca"]
    assert (mount["mountPath"], mount["readOnly"]) == ("/etc/corepod/state", True)
    plain = chart({"state": {"existing": {"secret": "redis"}}})
    assert [v["name"] for v in find(plain, "Deployment")["spec"]["template"]["spec"]["volumes"]] == ["tmp"]


def test_two_releases_on_one_server_do_not_meet() -> None:
    prefixes = {
        environment(worker(chart(EXISTING, "--namespace", namespace, release=release)))["COREPOD_SHARED_PREFIX"]
        for namespace in ("shop", "staging")
        for release in ("corepod", "corepod-two")
    }
    assert len(prefixes) == 4
    mine = chart({**EXISTING, "settings": {"shared_prefix": "mine:"}})
    assert environment(worker(mine))["COREPOD_SHARED_PREFIX"] == "mine:"


def test_readiness_is_asked_for() -> None:
    assert "COREPOD_SHARED_REQUIRED" not in environment(main(chart(ON)))
    values = {"state": {**ON["state"], "required": True}}
    assert environment(main(chart(values)))["COREPOD_SHARED_REQUIRED"] == "true"
    assert BY_NAME["shared_required"].variable == "COREPOD_SHARED_REQUIRED"


@pytest.mark.parametrize("values", [ON, LASTING], ids=["memory", "volume"])
def test_valkey_s_pod_is_restricted_and_can_write_its_data_alone(values: Object) -> None:
    spec = valkey(values)
    assert violations(spec) == []
    assert (spec["securityContext"]["runAsUser"], spec["securityContext"]["fsGroup"]) == (999, 999)
    assert spec["automountServiceAccountToken"] is False
    [container] = spec["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert [m["mountPath"] for m in container["volumeMounts"]] == ["/data"]
    assert "cpu" not in container["resources"]["limits"]


def test_its_data_stays_below_its_limit_and_is_never_evicted() -> None:
    assert configuration(ON)["maxmemory-policy"] == "noeviction"
    assert int(configuration(ON)["maxmemory"]) == 96 << 20
    assert int(configuration(LASTING)["maxmemory"]) == 64 << 20
    assert int(configuration(with_valkey(memory="1.5G"))["maxmemory"]) == 1_125_000_000
    assert int(configuration(with_valkey(memory=1 << 30))["maxmemory"]) == 768 << 20


def test_persistence() -> None:
    assert configuration(ON)["appendonly"] == "no"
    assert valkey(ON)["volumes"] == [{"name": "data", "emptyDir": {"sizeLimit": "64Mi"}}]
    values = with_valkey(persistence={"enabled": True, "size": "2Gi", "storageClass": "fast"})
    assert configuration(values)["appendonly"] == "yes"
    assert valkey(values)["volumes"] == [{"name": "data", "persistentVolumeClaim": {"claimName": NAME}}]
    claim = find(chart(values), "PersistentVolumeClaim")
    assert claim["spec"]["storageClassName"] == "fast"
    assert claim["spec"]["resources"]["requests"]["storage"] == "2Gi"
    assert claim["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    assert "storageClassName" not in find(chart(LASTING), "PersistentVolumeClaim")["spec"]


def test_a_new_version_of_the_application_leaves_the_state_alone() -> None:
    def template(tag: str) -> Object:
        objects = chart({**ON, "image": {"tag": tag}})
        found: Object = find(objects, "Deployment", NAME)["spec"]["template"]
        return found

    assert template("1") == template("2")
    strategy = find(chart(ON), "Deployment", NAME)["spec"]["strategy"]
    assert strategy == {"type": "Recreate"}


def test_only_this_release_s_workers_may_connect() -> None:
    policy = find(chart(ON), "NetworkPolicy", NAME)["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert "egress" not in policy
    [rule] = policy["ingress"]
    [peer] = rule["from"]
    labels = find(chart(ON), "Deployment", "corepod")["spec"]["template"]["metadata"]["labels"]
    chosen = peer["podSelector"]["matchLabels"]
    assert chosen.items() <= labels.items()
    # Neither the test, nor Valkey itself, nor another release.
    assert chosen["app.kubernetes.io/component"] == "worker"
    assert chosen["app.kubernetes.io/instance"] == "corepod"
    jobs = {"podSelector": {"matchLabels": {"app": "jobs"}}}
    assert jobs in find(chart(with_valkey(**{"from": [jobs]})), "NetworkPolicy", NAME)["spec"]["ingress"][0]["from"]


def test_workers_whose_connections_are_limited_reach_it() -> None:
    def egress(values: Object) -> list[Object]:
        policy = {"networkPolicy": {"enabled": True, "egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}]}}
        objects = chart({**values, **policy, "operator": {"enabled": False}})
        rules: list[Object] = find(objects, "NetworkPolicy", "corepod")["spec"]["egress"]
        return rules

    assert len(egress({})) == 1
    [_, rule] = egress(ON)
    labels = find(chart(ON), "Deployment", NAME)["spec"]["template"]["metadata"]["labels"]
    assert rule["to"][0]["podSelector"]["matchLabels"].items() <= labels.items()
    assert rule["ports"] == [{"port": "valkey"}]


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"state": {**ON["state"], **EXISTING["state"]}}, "state.existing.secret are both set"),
        ({"state": {"required": True}}, "state.required is set, but there is no server"),
        ({"state": {"existing": {"caSecret": "ca"}}}, "state.existing.caSecret is set, but"),
        (with_valkey(memory="16Mi"), "Valkey needs at least 32Mi"),
        ({"settings": {"shared": "redis://:x@y"}}, "settings.shared can't be set here: it is decided by state.valkey"),
        ({**ON, "extraEnv": [{"name": "COREPOD_SHARED", "value": "x"}]}, "extraEnv has COREPOD_SHARED"),
        (with_valkey(cpu=2), "/state/valkey/cpu"),
        (with_valkey(password="secret"), "password"),
    ],
)
def test_what_cannot_work_is_refused(values: Object, word: str) -> None:
    assert word in refused(values)


def test_a_url_that_comes_by_another_way_is_left_alone() -> None:
    variables = environment(worker(chart({"extraEnv": [{"name": "COREPOD_SHARED", "value": "redis://r"}]})))
    assert variables["COREPOD_SHARED"] == "redis://r"
    assert "COREPOD_SHARED_PREFIX" not in variables


def test_every_pod_is_counted_here() -> None:
    """Negative control of the first test: with Valkey there is one pod more."""
    assert len(pod_specs(chart(ON))) == len(pod_specs(chart())) + 1


@pytest.mark.parametrize("page", [ROOT / "docs" / "deploy.md", CHART / "README.md"], ids=lambda page: page.name)
def test_the_commands_of_the_pages_make_what_they_say(page: Path) -> None:
    """tests/e2e/test_state.py runs those of docs/deploy.md on a cluster."""
    section = page.read_text().partition("## State that all pods share\n")[2].partition("\n## ")[0]
    commands = [shlex.split(line) for line in re.findall(r"^    (helm .*)$", section, re.MULTILINE)]
    assert commands
    for command in commands:
        assert "deploy/helm/corepod" in command
        variables = environment(main(chart(None, *command[command.index("--set") :])))
        assert "COREPOD_SHARED" in variables
