"""What tests need and not every machine has. Without it they are skipped, the last lines of the run say how many and
why, and in CI (`CI=true` in the environment) they fail: nobody would notice there that they never run."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections import Counter
from typing import TYPE_CHECKING, NoReturn

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

REMEDY = {
    "actionlint": "make .venv/bin/actionlint installs it with Go; name it in the variable ACTIONLINT",
    "helm": "install it from https://helm.sh, or name it in the variable HELM",
    "oci-registry": "make .venv/bin/oci-registry installs it with Go; name it in the variable OCI_REGISTRY",
    "nginx": "install it from your distribution (apt-get install nginx), or name it in the variable NGINX",
    "redis-server": "install it from your distribution (apt-get install redis-server), or name it in REDIS_SERVER",
    "haproxy": "install it from your distribution (apt-get install haproxy), or name it in the variable HAPROXY",
    "kubectl": "install it from https://kubernetes.io/docs/tasks/tools, or name it in the variable KUBECTL",
}
COMPAT = "make test-compat installs what users bring"
MISSING = "missing: "
# Packages that can't be installed yet on a Python this new; pyproject.toml says the same.
TOO_NEW = {"ddtrace": (3, 15)}


def program(name: str) -> str:
    """Path of a program in REMEDY: that in the variable of its name, or that on the PATH."""
    path = shutil.which(os.environ.get(name.upper().replace("-", "_"), name))
    if path is None:
        _missing(name, REMEDY[name])
    return path


def packages(*names: str) -> None:
    """The test goes on only where these can be imported."""
    for name in names:
        if importlib.util.find_spec(name) is None:
            if sys.version_info >= TOO_NEW.get(name, (4,)):
                pytest.skip(f"{name} has no release for this Python")
            _missing(name, COMPAT)


def _missing(name: str, remedy: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(f"{name} isn't installed, and in CI no test may be left out; {remedy}", pytrace=False)
    pytest.skip(f"{MISSING}{name}; {remedy}")


def lines(reasons: Iterable[str]) -> list[str]:
    """One line for each remedy: how many tests were skipped, and for want of what."""
    counts: Counter[str] = Counter()
    wanted: dict[str, set[str]] = {}
    for reason in reasons:
        _, found, rest = reason.partition(MISSING)
        if found:
            name, _, remedy = rest.partition("; ")
            counts[remedy] += 1
            wanted.setdefault(remedy, set()).add(name)
    return [_line(count, sorted(wanted[remedy]), remedy) for remedy, count in sorted(counts.items())]


def _line(count: int, names: list[str], remedy: str) -> str:
    tests = "1 test" if count == 1 else f"{count} tests"
    absent = f"{names[0]} isn't installed" if len(names) == 1 else f"{', '.join(names)} aren't installed"
    return f"{tests} skipped: {absent}; {remedy}"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "compat(*packages): tests with packages that users bring; make test-compat")


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("compat"):
        packages(*mark.args)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Generator[None, None, None]:
    yield
    # Below everything else that is said of the tests.
    skipped = terminalreporter.stats.get("skipped", [])
    found = lines(report.longrepr[2] for report in skipped if isinstance(report.longrepr, tuple))
    if found:
        terminalreporter.section("not tested on this machine", yellow=True)
    for line in found:
        terminalreporter.line(line, yellow=True)
