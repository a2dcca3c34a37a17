"""Which unit's journal has the log of a process."""

from __future__ import annotations

import pytest
from corepod.local.journal import named


@pytest.mark.parametrize(
    ("cgroup", "arguments"),
    [
        ("0::/system.slice/shop.service\n", ["--unit", "shop.service"]),
        ("0::/system.slice/system-shop.slice/shop@1.service\n", ["--unit", "shop@1.service"]),
        ("12:pids:/system.slice/shop.service\n0::/other\n", ["--unit", "shop.service"]),
        (
            "0::/user.slice/user-1000.slice/user@1000.service/app.slice/shop.service\n",
            ["--user-unit", "shop.service"],
        ),
        ("0::/system.slice/shop.service/workers\n", ["--unit", "shop.service"]),
        ("0::/system.slice/run-42.scope\n", ["--unit", "run-42.scope"]),
    ],
)
def test_the_unit(cgroup: str, arguments: list[str]) -> None:
    assert named(cgroup) == arguments


@pytest.mark.parametrize("cgroup", ["", "0::/\n", "0::/docker/0123456789\n", "0::/a.service.d/b\n"])
def test_no_unit(cgroup: str) -> None:
    with pytest.raises(ValueError, match="no unit"):
        named(cgroup)
