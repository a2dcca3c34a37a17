"""What a suite says of a server: one result a case."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Result:
    """One case. `complaint` is empty where it has passed, else it says what was expected and what came."""

    case: str
    complaint: str = ""

    @property
    def passed(self) -> bool:
        return not self.complaint

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)
