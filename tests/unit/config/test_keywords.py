"""The keywords of `corepod.run` are the settings, and type checkers know them."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args, get_type_hints

from corepod.config.keywords import Keywords
from corepod.config.spec import SETTINGS

from tools import keywords

if TYPE_CHECKING:
    from pathlib import Path

    import corepod


def test_they_are_up_to_date() -> None:
    assert keywords.FILE.read_text() == keywords.text(), "run make docs"


def test_every_setting_is_one() -> None:
    names = {setting.name for setting in SETTINGS if setting.name != "app"}
    assert Keywords.__annotations__.keys() == {*names, "config", "env"}


def test_choices_are_named() -> None:
    from collections.abc import Sequence
    from os import PathLike

    hints = get_type_hints(Keywords, localns={"Sequence": Sequence, "PathLike": PathLike})
    for setting in SETTINGS:
        if setting.kind == "choice":
            assert get_args(hints[setting.name]) == setting.choices


if TYPE_CHECKING:  # mypy reads this: what isn't a fault here is one of the line that ignores it

    def calls(folder: Path) -> None:
        choose = bool(folder)
        if choose:
            corepod.run(
                "main:app", workers="auto:2-", bind=["127.0.0.1:0"], chdir=folder, standby="live", config=folder
            )
        elif folder.exists():
            corepod.run(calls, worker=2)  # type: ignore[call-arg]
        else:
            corepod.run(calls, standby="warm")  # type: ignore[arg-type]
