"""What the user writes for an application: MODULE, MODULE:ATTRIBUTE, or MODULE:FACTORY(ARGUMENTS)."""

from __future__ import annotations

import ast
import difflib
import importlib
import sys
from dataclasses import dataclass, field
from typing import Any

EXTRAS = {"corepod.demo": "demo"}  # what an application of our own needs beside corepod


class AppNotFoundError(Exception):
    """There is no such module or attribute, or it isn't an application. A second try would not help."""


@dataclass
class Reference:
    """`path` is the dotted attribute, empty where it was left out. `call`: the attribute is a factory that is called
    with these arguments."""

    module: str
    path: str = ""
    call: bool = False
    args: list[Any] = field(default_factory=list)
    kwargs: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.module}:{self.path}" if self.path else self.module


def parse(text: str) -> Reference:
    """Raises AppNotFoundError where the text is no reference; whether the module and its attribute exist isn't known
    yet."""
    module, _, expression = (part.strip() for part in text.partition(":"))
    if module.endswith(".py") or not all(part.isidentifier() for part in module.split(".")):
        hint = "a Python module is named with dots, without .py: package.module:attribute"
        raise AppNotFoundError(f"{module!r} is not a module's name; {hint}")
    if not expression:
        return Reference(module)
    try:
        node = ast.parse(expression, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        why = error.msg if isinstance(error, SyntaxError) else str(error)
        raise AppNotFoundError(f"{text}: {expression!r} can't be read: {why}; {FORMS}") from None
    if not isinstance(node, ast.Call):
        return Reference(module, _path(node, expression))
    path = _path(node.func, expression)
    return Reference(module, path, True, _positional(node, path), _keywords(node, path))


FORMS = "write MODULE:ATTRIBUTE, or MODULE:FACTORY(ARGUMENTS)"


def _path(node: ast.expr, expression: str) -> str:
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        raise AppNotFoundError(
            f"{expression!r} is neither an attribute's name nor one call of a function by its name; {FORMS}"
        )
    return ".".join([node.id, *reversed(parts)])


def _positional(call: ast.Call, path: str) -> list[Any]:
    return [_literal(node, path) for node in call.args]


def _keywords(call: ast.Call, path: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for keyword in call.keywords:
        if keyword.arg is None or keyword.arg in found:
            what = f"{keyword.arg} is given twice" if keyword.arg else "** is not possible here"
            raise AppNotFoundError(f"the arguments of {path}(): {what}")
        found[keyword.arg] = _literal(keyword.value, path)
    return found


def _literal(node: ast.expr, path: str) -> Any:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, RecursionError, MemoryError):
        raise AppNotFoundError(
            f"the arguments of {path}() have to be literals (text in quotes, numbers, True, None, lists, dicts), "
            f"and {ast.unparse(node)} isn't one"
        ) from None


def import_module(name: str) -> Any:
    """The module. Raises AppNotFoundError where there is none, or what it raises itself."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        # The user's module may exist and import one that doesn't: then the traceback helps.
        if error.name is None or not (name == error.name or name.startswith(error.name + ".")):
            if name in EXTRAS:
                raise AppNotFoundError(
                    f"{name} needs further packages: pip install 'corepod[{EXTRAS[name]}]' ({error})"
                ) from None
            raise
        raise AppNotFoundError(
            f"there is no module {error.name!r}; looked in {sys.path[0] or 'the current folder'} "
            f"and the environment of {sys.executable}"
        ) from None


def find_attribute(module: Any, reference: Reference) -> Any:
    """What the path of `reference` leads to. Raises AppNotFoundError with the name that was probably meant."""
    found = module
    for part in reference.path.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            close = difflib.get_close_matches(part, dir(found), n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise AppNotFoundError(f"module {reference.module!r} has no attribute {reference.path!r}{hint}") from None
    return found
