"""Classes of workers that an application has of its own: what their source says about the worker they are made from."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from corepod.migrate import uvicorn
from corepod.migrate.given import Given
from corepod.migrate.gunicorn import workers
from corepod.migrate.rules import Case, apply

if TYPE_CHECKING:
    from collections.abc import Iterator

UNREAD = (
    "a subclass of uvicorn's worker whose source isn't here: provided that its CONFIG_KWARGS change nothing that "
    "corepod does in another way (lifespan off is lifespan = off)"
)
OVERRIDES = "it overrides {} of gunicorn's worker: see what for, and whether a setting or a middleware does it"


def worker_class(case: Case, given: Given) -> None:
    """Rule of `worker_class`."""
    own = workers.own_class(case)
    if own is None:
        if workers.kind(case) == workers.ASGI and not workers.known(given):
            case.program.map(given.setting, given.text, "", UNREAD, check=True)
        else:
            workers.worker_class(case, given)
        return
    methods = [node.name for node in own.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    if workers.kind(case) == workers.ASGI:
        case.drop(given, "ASGI applications are served by corepod itself; what the class sets is named beside it")
        _options(case, own)
    else:
        workers.worker_class(case, given)
    if methods and workers.kind(case) != workers.OWN:
        case.program.ask(f"{own.name} (worker_class)", ", ".join(methods), OVERRIDES.format(", ".join(methods)))


def _options(case: Case, own: ast.ClassDef) -> None:
    """CONFIG_KWARGS, with the names of uvicorn's settings."""
    inner = Case(case.program, case.context)
    for name, value in _pairs(own):
        setting = f"CONFIG_KWARGS[{name!r}]"
        try:
            found = ast.literal_eval(value)
        except ValueError:
            case.program.ask(setting, ast.unparse(value), "its value can't be read from the source")
            continue
        if name in uvicorn.RULES:
            inner.given[name] = Given(setting, found, ast.unparse(value))
        else:
            case.program.ask(setting, ast.unparse(value), "no setting of uvicorn that is known here")
    apply(inner, uvicorn.RULES)


def _pairs(own: ast.ClassDef) -> Iterator[tuple[str, ast.expr]]:
    for node in own.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if not any(isinstance(one, ast.Name) and one.id == "CONFIG_KWARGS" for one in targets):
            continue
        value = getattr(node, "value", None)
        if isinstance(value, ast.Dict):
            for key, given in zip(value.keys, value.values, strict=True):
                if isinstance(key, ast.Constant):
                    yield str(key.value), given
        if isinstance(value, ast.Call):
            yield from ((one.arg, one.value) for one in value.keywords if one.arg)
