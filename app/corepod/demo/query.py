"""Parameters of a query, checked: a bad one is answered with 400 and the values that are allowed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeVar

from starlette.exceptions import HTTPException

if TYPE_CHECKING:
    from starlette.requests import Request

N = TypeVar("N", int, float)


def number(request: Request, name: str, default: N, least: N, most: N) -> N:
    """The parameter as a number of the default's type, `default` where it isn't given.

    Raises HTTPException 400.
    """
    text = request.query_params.get(name)
    if text is None:
        return default
    kind = type(default)
    try:
        value = kind(text)
    except ValueError:
        value = kind(least) - 1
    if not (math.isfinite(value) and least <= value <= most):
        word = "a whole number" if kind is int else "a number"
        # 12 digits: whole numbers as they are, and no .0
        raise HTTPException(400, f"{name} has to be {word} from {least:.12g} to {most:.12g}, not {text[:40]!r}")
    return value


def choice(request: Request, name: str, choices: tuple[str, ...], default: str = "") -> str:
    """The parameter, one of these words.

    Raises HTTPException 400.
    """
    text = request.query_params.get(name, default)
    if text not in choices:
        raise HTTPException(400, f"{name} has to be one of {', '.join(choices)}, not {text[:40]!r}")
    return text
