"""What the text of a gunicorn.conf.py says beside its values: variables that decide them, and what functions do."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

VARIABLE = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*")
PATH = re.compile(r"^(?:(?:GET|HEAD|POST) )?(/[\w./-]+)/?(?: HTTP/[\d.]*)?$")
CORES = ("cpu_count", "process_cpu_count", "sched_getaffinity", "nproc", "available_cpu_count")
Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


class Source:
    """The tree of one file; empty where there is none, or it can't be parsed."""

    def __init__(self, text: str = "") -> None:
        try:
            self.tree = ast.parse(text)
        except (SyntaxError, ValueError):
            self.tree = ast.Module([], [])
        self.functions = {node.name: node for node in self.tree.body if isinstance(node, ast.FunctionDef)}
        self._assigned: dict[str, list[ast.AST]] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.If):
                self._branches(node)
            for name, value in _assignments(node):
                self._assigned.setdefault(name, []).append(value)
        self._loaded = {n.id for n in ast.walk(self.tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}

    def _branches(self, node: ast.If) -> None:
        """A name that is assigned under a condition depends on the condition, too."""
        for inner in node.body + node.orelse:
            for name, _ in _assignments(inner):
                self._assigned.setdefault(name, []).append(node.test)

    def used(self, name: str) -> bool:
        return name in self._loaded

    def assigned(self, name: str) -> ast.AST | None:
        """What a name is assigned, where that is one thing."""
        found = self._assigned.get(name, [])
        return found[0] if len(found) == 1 else None

    def reads(self, name: str) -> tuple[str, ...]:
        """Variables of the environment that the value of a name depends on."""
        return self.reads_of(ast.Name(name))

    def reads_of(self, value: ast.AST) -> tuple[str, ...]:
        """The same for an expression."""
        found: dict[str, None] = {}
        for node in self._nodes(value):
            text = node.slice if isinstance(node, ast.Subscript) else None
            if isinstance(node, ast.Call) and node.args and dotted(node.func).split(".")[-1] not in ("dict", "split"):
                text = node.args[0]
            if isinstance(text, ast.Constant) and isinstance(text.value, str) and VARIABLE.fullmatch(text.value):
                found[text.value] = None
        return tuple(found)

    def cores(self, name: str) -> bool:
        """Whether the value of a name is computed from the number of cores."""
        return self.cores_of(ast.Name(name))

    def cores_of(self, value: ast.AST) -> bool:
        """The same for an expression."""
        return any(
            isinstance(node, ast.Call) and dotted(node.func).split(".")[-1] in CORES for node in self._nodes(value)
        )

    def _nodes(self, value: ast.AST) -> Iterator[ast.AST]:
        """All nodes that a value depends on, through other names and functions of the file."""
        left, seen = [value], {""}
        while left:
            for node in ast.walk(left.pop()):
                yield node
                name = node.id if isinstance(node, ast.Name) else ""
                if name not in seen:
                    seen.add(name)
                    left += self._assigned.get(name, [])
                    left += [self.functions[name]] if name in self.functions else []

    def skipped(self) -> list[str]:
        """Paths in classes that filter or write access logs: they are kept out of the log."""
        return [
            text
            for node in ast.walk(self.tree)
            if isinstance(node, ast.ClassDef)
            for method in node.body
            if isinstance(method, ast.FunctionDef) and method.name in ("filter", "access", "emit")
            for inner in ast.walk(method)
            if isinstance(inner, ast.Constant) and isinstance(text := inner.value, str)
            if (text := _path(text))
        ]

    def function(self, line: int) -> Function | None:
        """The function that begins in this line, its decorators included."""
        for node in ast.walk(self.tree):
            if isinstance(node, Function):
                decorators = getattr(node, "decorator_list", [])
                if line in (node.lineno, *(one.lineno for one in decorators)):
                    return node
        return None

    def body(self, function: Function) -> list[ast.AST]:
        """All nodes of a function, and of the file's functions that it calls."""
        left, seen, found = [function], {id(function)}, []
        while left:
            root = left.pop()
            inside = root.body if isinstance(root.body, list) else [root.body]
            for node in (node for statement in inside for node in ast.walk(statement)):
                found.append(node)
                called = self.functions.get(_called(node))
                if called is not None and id(called) not in seen:
                    seen.add(id(called))
                    left.append(called)
        return found


def _path(text: str) -> str:
    """The path in "GET /health HTTP/1.1" or "/health", empty where there is none."""
    found = PATH.search(text)
    return found[1] if found else ""


def dotted(node: ast.AST) -> str:
    """A name with its dots; calls and subscripts in it are left out."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}".removeprefix(".")
    if isinstance(node, ast.Name):
        return node.id
    return dotted(node.func) if isinstance(node, ast.Call) else ""


def _called(node: ast.AST) -> str:
    return node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""


def _assignments(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    if isinstance(node, ast.Assign):
        for target in node.targets:
            names = target.elts if isinstance(target, ast.Tuple | ast.List) else [target]
            yield from ((name.id, node.value) for name in names if isinstance(name, ast.Name))
    elif isinstance(node, ast.AnnAssign | ast.AugAssign | ast.NamedExpr):
        value = node.value or ast.Constant(None)
        yield from ((name.id, value) for name in [node.target] if isinstance(name, ast.Name))
