"""A program that starts its server itself: uvicorn.run(), and the like, found in its source. Nothing is executed."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from corepod.migrate import hypercorn, uvicorn
from corepod.migrate.given import Given
from corepod.migrate.gunicorn.source import Source, dotted
from corepod.migrate.model import Program
from corepod.migrate.rules import Case
from corepod.migrate.server import Server, application

if TYPE_CHECKING:
    from pathlib import Path

    from corepod.migrate.model import Context

CALLS = {"uvicorn.run": uvicorn.SERVER, "uvicorn.Config": uvicorn.SERVER, "hypercorn.run": hypercorn.SERVER}
# Development servers of frameworks: run(host, port, debug).
OBJECTS = ("app", "application", "api", "server", "socketio")
RUN = "corepod run MODULE:ATTRIBUTE takes the place of the call; or write corepod.run(app, ...) in its place"


@dataclass
class Call:
    """The call that starts a server; `server` has the rules for its arguments."""

    server: Server
    name: str
    node: ast.Call
    arguments: dict[str, ast.expr] = field(default_factory=dict)


def program(path: Path, context: Context) -> Program | None:
    """None where the file starts no server that is known."""
    try:
        source = Source(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return None
    call = _find(source)
    if call is None:
        return None
    told = Program("", call.server.name)
    case = Case(told, context, source=source)
    if app := _application(call, path, source):
        application(case, Given(call.name, app, app))
    for name, node in call.arguments.items():
        given = _given(name, node, source, context)
        if name not in call.server.rules:
            told.ask(name, given.text, f"no argument of {call.name} that is known here")
        elif given.value is not None or given.missing:
            case.given[name] = given
    call.server.convert(case)
    told.map(call.name, "", "corepod run", RUN, check=True)
    return told


def _find(source: Source) -> Call | None:
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.Call):
            continue
        name = dotted(node.func)
        arguments = {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg}
        if server := CALLS.get(name):
            return Call(server, name, node, {k: v for k, v in arguments.items() if k != "app"})
        if name.endswith(".run") and name.removesuffix(".run") in OBJECTS:
            arguments |= dict(zip(("host", "port"), node.args, strict=False)) if name != "socketio.run" else {}
            known = {k: v for k, v in arguments.items() if k in ("host", "port")}
            return Call(uvicorn.SERVER, name, node, known)
    return None


def _application(call: Call, path: Path, source: Source) -> str:
    """MODULE:ATTRIBUTE; an object is the attribute of this file, as far as it is a name at its top level."""
    given = [*call.node.args[:1], *(keyword.value for keyword in call.node.keywords if keyword.arg == "app")]
    if call.name not in CALLS and call.name != "socketio.run":
        given = [ast.Name(call.name.removesuffix(".run"))]
    if not given:
        return ""
    if isinstance(given[0], ast.Constant):
        return str(given[0].value)
    if isinstance(given[0], ast.Name):
        return f"{path.stem}:{given[0].id}"
    if isinstance(given[0], ast.Call) and isinstance(given[0].func, ast.Name) and given[0].func.id in source.functions:
        return f"{path.stem}:{given[0].func.id}()"
    return ""


def _given(name: str, node: ast.expr, source: Source, context: Context) -> Given:
    """The value of a constant, of a name that has one, or of a variable with its default."""
    text = ast.unparse(node)
    reads = source.reads_of(node)
    value, known = _value(node, source, context)
    if not known:
        return Given(name, None, text, reads, reads or (text,), source.cores_of(node))
    return Given(name, value, text, reads, (), source.cores_of(node))


def _value(node: ast.expr, source: Source, context: Context) -> tuple[Any, bool]:
    try:
        return ast.literal_eval(node), True
    except ValueError:
        pass
    if isinstance(node, ast.Name):
        assigned = source.assigned(node.id)
        return _value(assigned, source, context) if isinstance(assigned, ast.expr) else (None, False)
    if isinstance(node, ast.Call):
        name = dotted(node.func)
        if name in ("int", "str", "float", "bool") and len(node.args) == 1:
            return _value(node.args[0], source, context)
        if name in ("os.getenv", "os.environ.get", "getenv", "environ.get") and node.args:
            variable, known = _value(node.args[0], source, context)
            if known and variable in context.environ:
                return context.environ[variable], True
            return _value(node.args[1], source, context) if len(node.args) > 1 else (None, False)
    if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.Or):
        for one in node.values:
            value, known = _value(one, source, context)
            if known and value:
                return value, True
    return None, False
