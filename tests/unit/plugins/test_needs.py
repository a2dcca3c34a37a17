"""What a machine hasn't is told at the end, and is a failure in CI."""

from __future__ import annotations

import shutil

import pytest

from tests.plugins import needs


@pytest.fixture(autouse=True)
def laptop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("HELM", "no-such-program")


def test_what_is_there_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELM", "sh")
    assert needs.program("helm") == shutil.which("sh")
    needs.packages("pytest", "json")


def test_without_it_a_test_is_skipped() -> None:
    with pytest.raises(pytest.skip.Exception, match=r"missing: helm; install it from https://helm\.sh"):
        needs.program("helm")
    with pytest.raises(pytest.skip.Exception, match="missing: nothing_like_it; make test-compat"):
        needs.packages("json", "nothing_like_it")


def test_in_ci_it_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="helm isn't installed, and in CI no test may be left out"):
        needs.program("helm")
    with pytest.raises(pytest.fail.Exception, match="nothing_like_it isn't installed"):
        needs.packages("nothing_like_it")


def test_the_last_lines() -> None:
    packages = [f"Skipped: {needs.MISSING}{name}; {needs.COMPAT}" for name in ("numpy", "django", "numpy")]
    helm = f"Skipped: {needs.MISSING}helm; {needs.REMEDY['helm']}"
    assert needs.lines([*packages, "Skipped: needs two cores", helm]) == [
        "1 test skipped: helm isn't installed; install it from https://helm.sh, or name it in the variable HELM",
        "3 tests skipped: django, numpy aren't installed; make test-compat installs what users bring",
    ]
    assert needs.lines(["Skipped: needs two cores"]) == []
