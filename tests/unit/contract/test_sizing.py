"""What the setting `workers` says."""

from __future__ import annotations

import pytest
from corepod.contract.sizing import CORES, FIXED, LOAD, Sizing, sizing


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        (4, Sizing(FIXED, 4, 4)),
        ("4", Sizing(FIXED, 4, 4)),
        ("auto", Sizing(CORES, 1, None)),
        ("auto:2-8", Sizing(LOAD, 2, 8)),
        ("auto:2-2", Sizing(LOAD, 2, 2)),
        ("auto:2-", Sizing(LOAD, 2, None)),
    ],
)
def test_meaning(text: str | int, meaning: Sizing) -> None:
    assert sizing(text) == meaning


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5", "²", "auto:", "auto:2", "auto:-8", "auto:8-2", "auto:0-2", "x"])
def test_nonsense(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        sizing(text)
