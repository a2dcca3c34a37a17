"""Small values with named fields: what `dataclasses` is for, without the memory that importing it costs PID 1."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, dataclass_transform
else:

    def dataclass_transform() -> Any:
        """Type checkers know from it what `Record.__init__` takes."""
        return lambda cls: cls


@dataclass_transform()
class Record:
    """A value whose fields are those that its class annotates; records with the same fields are equal."""

    def __init__(self, *values: Any, **named: Any) -> None:
        fields = type(self).__annotations__
        given = {**dict(zip(fields, values, strict=False)), **named}
        if given.keys() != fields.keys() or len(values) + len(named) != len(fields):
            raise TypeError(f"{type(self).__name__} takes {', '.join(fields) or 'no fields'}")
        self.__dict__.update(given)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.__dict__ == other.__dict__

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.__dict__.items())})"
