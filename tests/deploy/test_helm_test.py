"""What `helm test` runs, run against a real pool: it passes where all is well and names what isn't."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.deploy.render import chart, find
from tests.process.harness import running
from tests.waiting import DEADLINE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.process.harness import Pool


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    log = tmp_path_factory.mktemp("pool") / "log"
    with running("corepod.demo:app", "--workers", "1", log=log, env={"COREPOD_DEMO_CRASH": "1"}) as pool:
        yield pool.ready()


@pytest.fixture(scope="module")
def container() -> Any:
    return find(chart(), "Pod")["spec"]["containers"][0]


def check(container: Any, admin: str, application: str, timeout: float) -> subprocess.CompletedProcess[str]:
    """Run the container's program here, with other addresses."""
    python, *flags = container["command"]
    assert python == "python3"
    return subprocess.run(
        [sys.executable, *flags, *container["args"]],
        env={"ADMIN": admin, "APPLICATION": application, "TIMEOUT": str(timeout)},
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )


def test_it_asks_the_release_s_own_services() -> None:
    values = {"service": {"port": 81}, "tests": {"path": "/healthz", "timeout": 9}}
    [pod] = [o for o in chart(values, release="shop") if o["kind"] == "Pod"]
    assert {v["name"]: v["value"] for v in pod["spec"]["containers"][0]["env"]} == {
        "ADMIN": "http://shop-corepod-admin:9000",
        "APPLICATION": "http://shop-corepod:81/healthz",
        "TIMEOUT": "9",
    }
    assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"
    tls = find(chart({"settings": {"tls_cert": "/tls/tls.crt"}}), "Pod")["spec"]["containers"][0]["env"]
    assert {"name": "APPLICATION", "value": "https://corepod:80/"} in tls


def test_it_passes_where_all_is_well(container: Any, pool: Pool) -> None:
    base = f"http://127.0.0.1:{pool.port}"
    result = check(container, f"http://127.0.0.1:{pool.admin_port}", base + "/", DEADLINE)
    assert result.returncode == 0, result.stderr
    assert "ready; " in result.stdout
    assert "cores: " in result.stdout


def test_an_application_without_this_path_is_still_one(container: Any, pool: Pool) -> None:
    base = f"http://127.0.0.1:{pool.port}"
    result = check(container, f"http://127.0.0.1:{pool.admin_port}", base + "/nowhere", DEADLINE)
    assert "answers 404" in result.stdout


def test_a_failing_application_is_named(container: Any, pool: Pool) -> None:
    url = f"http://127.0.0.1:{pool.port}/crash?mode=exception"
    result = check(container, f"http://127.0.0.1:{pool.admin_port}", url, 0)
    assert result.returncode == 1
    assert f"{url}: 500" in result.stderr


def test_nobody_there_is_named(container: Any, pool: Pool) -> None:
    result = check(container, "http://127.0.0.1:1", f"http://127.0.0.1:{pool.port}/", 0)
    assert result.returncode == 1
    assert "http://127.0.0.1:1/readyz: 0" in result.stderr
    assert "/metrics" in result.stderr
    assert "refused" in result.stderr


def test_a_pool_that_is_not_ready_is_named(container: Any, tmp_path: Path) -> None:
    with running("slow_lifespan:app", "--workers", "1", log=tmp_path / "log", env={"SLOW_START": "60"}) as slow:
        url = f"http://127.0.0.1:{slow.admin_port}"
        result = check(container, url, f"http://127.0.0.1:{slow.admin_port}/livez", 0)
        slow.signal(9)
    assert result.returncode == 1
    assert f"{url}/readyz: 503 slot 0 is starting" in result.stderr
