"""What the files of a Django project say about it. They are read, and nothing of them is imported."""

from __future__ import annotations

import ast
from importlib.util import resolve_name
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS_MODULE = "DJANGO_SETTINGS_MODULE"
DEEPEST = 8  # modules of settings that import all of another


def parsed(path: Path) -> ast.Module | None:
    """None where there is no such file, or it isn't Python."""
    try:
        return ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return None


def settings_module(manage: Path) -> str:
    """The settings that manage.py names; empty where it names none."""
    tree = parsed(manage)
    for node in ast.walk(tree) if tree else ():
        words: list[Any] = []
        if isinstance(node, ast.Call) and len(node.args) == 2:
            words = [one.value for one in node.args if isinstance(one, ast.Constant)]
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript):
            words = [one.value for one in (node.targets[0].slice, node.value) if isinstance(one, ast.Constant)]
        if len(words) == 2 and words[0] == SETTINGS_MODULE and isinstance(words[1], str):
            return words[1]
    return ""


def setting(root: Path, module: str, name: str, deep: int = 0) -> Any:
    """The value of a constant in the settings, or in what these import with a star; None where there is none."""
    path = root / f"{module.replace('.', '/')}.py"
    package = module.rpartition(".")[0]
    if not path.is_file():
        path, package = path.with_suffix("") / "__init__.py", module
    tree = parsed(path)
    for node in reversed(tree.body if tree else ()):
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(one, ast.Name) and one.id == name for one in targets):
                return _constant(node.value)
        elif isinstance(node, ast.ImportFrom) and node.names[0].name == "*" and deep < DEEPEST:
            found = setting(root, _absolute(node, package), name, deep + 1)
            if found is not None:
                return found
    return None


def _absolute(node: ast.ImportFrom, package: str) -> str:
    try:
        return resolve_name("." * node.level + (node.module or ""), package)
    except ImportError:
        return node.module or ""


def _constant(value: ast.expr) -> Any:
    """Of a list, the constants in it."""
    if isinstance(value, ast.List | ast.Tuple):
        return [one.value for one in value.elts if isinstance(one, ast.Constant)]
    return value.value if isinstance(value, ast.Constant) else None
