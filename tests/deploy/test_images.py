"""Which images the pods run, and what they are pulled with."""

from __future__ import annotations

import json

import pytest

from tests.deploy.render import Object, chart, containers, find, pod_specs, refused, worker
from tests.deploy.test_resources import EVERYTHING

DIGEST = "sha256:" + "0a" * 32


def images(values: Object) -> dict[str, str]:
    """The image of each container by the container's name."""
    specs = pod_specs(chart({**EVERYTHING, **values}))
    return {c["name"]: c["image"] for spec in specs for c in containers(spec)}


@pytest.mark.parametrize(
    ("flags", "tag"),
    [
        (("--set", "image.tag=1"), "1"),
        (("--set", "image.tag=20261128"), "20261128"),
        (("--set", "image.tag=1.10"), "1.10"),
        (("--set", "image.tag=007"), "007"),
        (("--set-string", "image.tag=1.10"), "1.10"),
        (("--set-json", "image.tag=20261128"), "20261128"),
        (("--set", "image.tag="), "0.1.0"),
        (("--set", "image.tag=null"), "0.1.0"),
    ],
)
def test_tags_of_digits_from_the_command_line(flags: tuple[str, str], tag: str) -> None:
    objects = chart({}, *flags)
    assert worker(objects)["image"] == f"corepod:{tag}"
    assert find(objects, "Deployment")["metadata"]["labels"]["app.kubernetes.io/version"] == tag


@pytest.mark.parametrize("tag", [3, 20261128])
@pytest.mark.parametrize("path", ["image", "operator.image", "front.image", "state.valkey.image", "loadtest.image"])
def test_tags_of_digits_in_a_file(path: str, tag: int) -> None:
    objects = chart(EVERYTHING, "--set-json", f"{path}.tag={tag}")
    assert any(c["image"].endswith(f":{tag}") for spec in pod_specs(objects) for c in containers(spec))


@pytest.mark.parametrize("path", ["image", "operator.image", "front.image", "state.valkey.image", "loadtest.image"])
def test_a_number_that_has_lost_its_zero_is_refused(path: str) -> None:
    """YAML and JSON read 1.10 as 1.1, and nothing tells what was written."""
    assert f"{path}.tag is the number 1.1, and a number has lost the zeros" in refused(
        {}, "--set-json", f"{path}.tag=1.10"
    )


@pytest.mark.parametrize("tag", ["a b", "-1", "a" * 129, "v1:2"])
def test_what_is_no_tag_is_refused(tag: str) -> None:
    assert "/image/tag" in refused({"image": {"tag": tag}})


def test_one_registry_for_all_images() -> None:
    values: Object = {"global": {"imageRegistry": "mirror.example:5000/proxy"}}
    assert set(images(values).values()) == {
        f"mirror.example:5000/proxy/{image}"
        for image in (
            "corepod:0.1.0",
            "corepod-operator:0.1.0",
            "corepod-loadtest:0.1.0",
            "haproxy:3.0",
            "valkey/valkey:8",
        )
    }


@pytest.mark.parametrize(
    ("repository", "expected"),
    [
        ("quay.io/team/shop", "mirror/team/shop"),
        ("localhost/shop", "mirror/shop"),
        ("registry:5000/shop", "mirror/shop"),
        ("team/shop", "mirror/team/shop"),
    ],
)
def test_it_takes_the_place_of_the_registry_that_a_repository_names(repository: str, expected: str) -> None:
    values: Object = {"global": {"imageRegistry": "mirror"}, "image": {"repository": repository, "digest": DIGEST}}
    assert images(values)["worker"] == f"{expected}@{DIGEST}"


def test_pull_secrets_are_names_or_objects_of_every_pod() -> None:
    values: Object = {
        "image": {"pullSecrets": ["one", {"name": "two"}]},
        "global": {"imagePullSecrets": [{"name": "one"}, "three"]},
    }
    specs = pod_specs(chart({**EVERYTHING, **values}))
    assert len(specs) == 7
    for spec in specs:
        assert spec["imagePullSecrets"] == [{"name": "one"}, {"name": "three"}, {"name": "two"}]
    assert all("imagePullSecrets" not in spec for spec in pod_specs(chart(EVERYTHING)))
    for secret in (1, {"secret": "x"}, ""):
        assert "/image/pullSecrets/0" in refused({}, "--set-json", f"image.pullSecrets={json.dumps([secret])}")
