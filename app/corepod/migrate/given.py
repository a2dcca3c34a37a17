"""A value that a configuration gives: what it is, how it is written there, and which variables decide it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

YES, NO = ("true", "1", "yes", "on", "y", "t"), ("false", "0", "no", "off", "n", "f", "")
DEFAULTED = re.compile(r"\$\{(\w+):?-([^}$]*)\}")
PLAIN = re.compile(r"\$(?:\{(\w+)(?:\:?\?[^}]*)?\}|(\w+))")
COMPUTED = re.compile(r"\$\(.*(?:nproc|cpu_count|NPROCESSORS).*\)")


@dataclass(frozen=True)
class Given:
    """`setting` is its name as people have written it ("timeout", "--timeout"), `text` the value as written.

    `reads` are variables that decide it, `missing` those of them that aren't set here and have no default, and `cores`
    says whether it is computed from the number of cores.
    """

    setting: str
    value: Any
    text: str
    reads: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    cores: bool = False

    @property
    def number(self) -> float:
        """Raises ValueError where it is none."""
        if isinstance(self.value, bool | int | float):
            return self.value
        text = str(self.value).strip()
        try:
            return int(text, 0)
        except ValueError:
            return float(text)

    @property
    def count(self) -> int:
        number = self.number
        if number != int(number):
            raise ValueError(f"{self.text!r} is not a whole number")
        return int(number)

    @property
    def truth(self) -> bool:
        if isinstance(self.value, str) and self.value.strip().lower() in (*YES, *NO):
            return self.value.strip().lower() in YES
        return bool(self.value)

    @property
    def words(self) -> list[str]:
        """The parts of a list, or of a text with commas."""
        parts = self.value if isinstance(self.value, list | tuple) else [self.value]
        return [word.strip() for part in parts for word in str(part).split(",") if word.strip()]


def expanded(setting: str, text: str, environ: Mapping[str, str]) -> Given:
    """A word of a command line, with the variables that a shell would put in."""
    reads: list[str] = []
    missing: list[str] = []

    def defaulted(match: re.Match[str]) -> str:
        reads.append(match[1])
        return environ.get(match[1]) or match[2]

    def plain(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        reads.append(name)
        if name not in environ:
            missing.append(name)
        return environ.get(name, "")

    cores = COMPUTED.search(text) is not None
    value = text if cores else PLAIN.sub(plain, DEFAULTED.sub(defaulted, text))
    return Given(setting, value, text, tuple(dict.fromkeys(reads)), tuple(missing), cores)
