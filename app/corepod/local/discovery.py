"""Finds the application in a folder by reading its source. Nothing is imported: that could open ports, or take long."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING

from corepod.migrate.django_project import parsed, settings_module

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MODULES = ("asgi", "main", "app", "application", "server", "api", "wsgi", "__init__")
NAMES = ("app", "application")
FACTORIES = ("create_app", "make_app", "get_app", "build_app")
FRAMEWORKS = {
    *("FastAPI", "Starlette", "Flask", "Quart", "Litestar", "Django", "Falcon", "Bottle", "Sanic", "Connexion"),
    *("AsyncApp", "FlaskApp", "Blacksheep", "Application", "App", "ASGIApp", "WSGIApp", "SocketIO", "Dash"),
}
SKIPPED = ("tests", "test", "docs", "node_modules", "build", "dist")


@dataclass(frozen=True)
class Found:
    """`app` as corepod takes it, `chdir` the folder to run it in (empty for this one), `file` where it was found."""

    app: str
    file: str
    chdir: str = ""


def find(folder: Path) -> list[Found]:
    """What looks like an application, the likeliest first."""
    found: list[tuple[int, Found]] = []
    for root, chdir in ((folder, ""), (folder / "src", "src")):
        if django := _django(root, chdir):
            found.append((0, django))
        for module, path in _modules(root):
            if (tree := parsed(path)) is not None:
                found += [
                    (rank, Found(f"{module}:{name}", str(path.relative_to(folder)), chdir))
                    for rank, name in _applications(tree)
                ]
    ranked = sorted(found, key=lambda one: one[0])
    return list(dict.fromkeys(one for _, one in ranked))


def _modules(root: Path) -> Iterator[tuple[str, Path]]:
    """Modules that may hold it, in the folder itself and in the packages in it."""
    if not root.is_dir():
        return
    for name in MODULES[:-1]:
        if (path := root / f"{name}.py").is_file():
            yield name, path
    for package in sorted(root.iterdir()):
        if not package.is_dir() or not package.name.isidentifier() or package.name in SKIPPED:
            continue
        for name in MODULES:
            if (path := package / f"{name}.py").is_file():
                yield (package.name if name == "__init__" else f"{package.name}.{name}"), path


def _applications(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Rank and name of what is defined at the top of a module."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            if node.name in NAMES and len(node.args.args) in (2, 3):
                yield 1, node.name
            elif node.name in FACTORIES and isinstance(node, ast.FunctionDef) and not _needs_arguments(node):
                yield 3, f"{node.name}()"
        for name, value in _assigned(node):
            if name in NAMES:
                yield 1, name
            elif _framework(value):
                yield 2, name


def _assigned(node: ast.stmt) -> list[tuple[str, ast.expr | None]]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
    return [(target.id, value) for target in targets if isinstance(target, ast.Name) and value is not None]


def _framework(value: ast.expr | None) -> bool:
    """Whether this calls a class of a known framework."""
    called = value.func if isinstance(value, ast.Call) else None
    name = called.id if isinstance(called, ast.Name) else called.attr if isinstance(called, ast.Attribute) else ""
    return name in FRAMEWORKS


def _needs_arguments(function: ast.FunctionDef) -> bool:
    arguments = function.args
    required = len(arguments.posonlyargs) + len(arguments.args) - len(arguments.defaults)
    return required > 0 or None in arguments.kw_defaults


def _django(root: Path, chdir: str) -> Found | None:
    """manage.py names the settings; beside these are asgi.py and wsgi.py."""
    package = settings_module(root / "manage.py").split(".")[0]
    for name in ("asgi", "wsgi"):
        if package and (path := root / package / f"{name}.py").is_file():
            return Found(f"{package}.{name}:application", str(path.relative_to(root.parent if chdir else root)), chdir)
    return None
