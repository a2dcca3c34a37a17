"""Which settings of gunicorn a configuration uses: what the counts of tests/corpus/counts.toml are compared with."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOOKS = {
    "on_starting", "on_reload", "when_ready", "pre_fork", "post_fork", "post_worker_init", "worker_int", "worker_abort",
    "pre_exec", "pre_request", "post_request", "child_exit", "worker_exit", "nworkers_changed", "on_exit",
}  # fmt: skip
# Flags by the setting they set, where it isn't the flag's own name. Those without a value are marked.
_NAMES = {
    "b": "bind", "w": "workers", "t": "timeout", "k": "worker_class", "c": "config", "m": "umask", "D": "daemon!",
    "p": "pidfile", "pid": "pidfile", "name": "proc_name", "n": "proc_name", "access_logfile": "accesslog",
    "error_logfile": "errorlog", "log_file": "errorlog", "log_level": "loglevel", "access_logformat":
    "access_log_format", "preload": "preload_app!", "keep_alive": "keepalive", "log_config": "logconfig",
    "reload": "reload!", "daemon": "daemon!", "capture_output": "capture_output!", "u": "user", "g": "group",
}  # fmt: skip


def of_words(words: list[str]) -> dict[str, str]:
    """The settings on a command line, with their values; what stands before gunicorn isn't read."""
    start = next(i for i, word in enumerate(words) if word.split("/")[-1] == "gunicorn")
    found, rest = {}, list(words[start + 1 :])
    while rest:
        word = rest.pop(0)
        if not word.startswith("-"):
            continue
        flag, equals, value = word.lstrip("-").partition("=")
        name = _NAMES.get(flag.replace("-", "_"), flag.replace("-", "_"))
        found[name.rstrip("!")] = "" if name.endswith("!") else value if equals else rest.pop(0)
    return found


def of_file(path: Path) -> dict[str, str]:
    """The names that a gunicorn.conf.py sets, also those under an `if`, with the source of their values."""
    found: dict[str, str] = {}
    for node in _outside_functions(ast.parse(path.read_text()).body):
        if isinstance(node, ast.Assign):
            found.update(
                (target.id, ast.unparse(node.value)) for target in node.targets if isinstance(target, ast.Name)
            )
        elif isinstance(node, ast.FunctionDef) and node.name in HOOKS:
            found["hooks"] = found.get("hooks", "") + f" {node.name}"
    return found


def hooks(path: Path) -> Iterator[tuple[str, bool]]:
    """Each hook of a gunicorn.conf.py, and whether all it does is to log."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef) and node.name in HOOKS:
            yield node.name, all(_says(statement) for statement in node.body)


def reads_environment(path: Path) -> bool:
    return re.search(r"environ|getenv", path.read_text()) is not None


def _says(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Pass):
        return True
    if not isinstance(statement, ast.Expr):
        return False
    if isinstance(statement.value, ast.Constant):
        return True
    called = ast.unparse(statement.value.func) if isinstance(statement.value, ast.Call) else ""
    return re.fullmatch(r"print|(\w+\.)*(log|logger|getLogger\(.*\))\.\w+", called) is not None


def _outside_functions(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    for node in body:
        yield node
        if isinstance(node, ast.If):
            yield from _outside_functions([*node.body, *node.orelse])
