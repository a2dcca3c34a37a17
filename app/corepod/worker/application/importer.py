"""From the reference that the user has given to an ASGI application."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from typing import TYPE_CHECKING, Any

from corepod.worker.application.reference import AppNotFoundError, Reference, find_attribute, import_module, parse
from corepod.worker.application.wsgi import as_asgi

if TYPE_CHECKING:
    from corepod.worker.settings import WorkerSettings

__all__ = ["AppNotFoundError", "detect_interface", "import_application"]

DEFAULT_ATTRIBUTES = ("app", "application")
# Modules of the standard library that this server doesn't need, but gunicorn and uvicorn do: there a user's file of the
# same name doesn't take their place, and frameworks rely on that.
STANDARD_FIRST = {
    *("argparse", "calendar", "concurrent", "configparser", "csv", "email", "gettext", "glob", "hmac", "html"),
    *("importlib", "multiprocessing", "quopri", "secrets", "shlex", "uuid", "zipfile"),
}
ARGUMENTS = {"asgi": 3, "wsgi": 2}
MOST_CANDIDATES = 3  # named in an error
HINT = "; is it a factory (--factory), or is its interface hidden (--interface)?"


def import_application(settings: WorkerSettings) -> Any:
    """Import the application, and adapt it to ASGI where it is a WSGI application.

    Raises AppNotFoundError, or any exception that the application raises while it is imported.
    """
    reference = parse(settings.app)
    for folder in (os.getcwd(), *reversed(settings.pythonpath)):
        _look_up_first(os.path.realpath(folder))
    module = import_module(reference.module)
    if not reference.path:
        reference.path = _default_attribute(module, settings)
    app = find_attribute(module, reference)
    if settings.factory or reference.call:
        app = _call(app, reference)
    return _adapt(app, reference, settings)


def _look_up_first(folder: str) -> None:
    # Where the folder really is: a release that a symbolic link names must not be mixed with the next one. And not
    # before the server is imported, which needs the standard library's modules, not a user's of the same name.
    if folder in sys.path:
        return
    try:
        beside = {entry.removesuffix(".py") for entry in os.listdir(folder)}
    except OSError:
        beside = set()  # a user who may pass through it, but not list it
    for name in STANDARD_FIRST & beside:
        importlib.import_module(name)
    sys.path.insert(0, folder)


def _default_attribute(module: Any, settings: WorkerSettings) -> str:
    """The name of the application where the reference leaves it out.

    A package's submodule `app` is an attribute of the package, too, and is no application.
    """
    there = {name: getattr(module, name) for name in DEFAULT_ATTRIBUTES if hasattr(module, name)}
    for name, value in there.items():
        if _is_factory(value) if settings.factory else _interface(value, settings):
            return name
    what = "neither app nor application"
    if there:
        what = "no application: " + ", ".join(f"{name} is {_describe(value)}" for name, value in there.items())
        what += HINT if any(map(callable, there.values())) else ""
    found = _candidates(module)
    hint = f"; it has {', '.join(found)}" if found else ""
    raise AppNotFoundError(
        f"module {module.__name__!r} has {what}; name it: {module.__name__}:{found[0] if found else 'ATTRIBUTE'}{hint}"
    )


def _candidates(module: Any) -> list[str]:
    """What the user may have meant: objects that look like an application, and functions that are named like a
    factory and need no argument."""
    found = []
    for name, value in vars(module).items():
        if name.startswith("_") or inspect.ismodule(value) or inspect.isclass(value):
            continue
        # Any function of two arguments could be a WSGI application: those aren't proposed.
        of_three = inspect.isroutine(value) and not _fault_of_call(value, Reference("", args=[None] * 3))
        interface = detect_interface(value)
        if interface and (not inspect.isroutine(value) or (interface == "asgi" and of_three)):
            found.append(name)
        elif "app" in name.lower() and inspect.isfunction(value) and not _fault_of_call(value, Reference("")):
            found.append(f"{name}()")
    return found[:MOST_CANDIDATES]


def _is_factory(value: Any) -> bool:
    return callable(value) and not inspect.ismodule(value)


def _call(factory: Any, reference: Reference) -> Any:
    how = "called with ()" if reference.call else "--factory"
    if not callable(factory):
        raise AppNotFoundError(f"{reference} is {_describe(factory)}, not a function that makes an application ({how})")
    if fault := _fault_of_call(factory, reference):
        raise AppNotFoundError(f"{reference} can't be called with these arguments: {fault}")
    app = factory(*reference.args, **reference.kwargs)
    if inspect.iscoroutine(app):
        app.close()
        raise AppNotFoundError(
            f"{reference} is an async function: it returned a coroutine, and no event loop runs yet that could await "
            "it; let a plain function return the application, and put what has to be awaited into its lifespan"
        )
    return app


def _fault_of_call(factory: Any, reference: Reference) -> str:
    try:
        inspect.signature(factory).bind(*reference.args, **reference.kwargs)
    except TypeError as error:
        return str(error)
    except ValueError:
        pass  # a function in C that has no signature
    return ""


def _adapt(app: Any, reference: Reference, settings: WorkerSettings) -> Any:
    chosen = settings.interface
    if chosen != "auto" and not _may_be(app, chosen):
        other = "asgi" if chosen == "wsgi" else "wsgi"
        raise AppNotFoundError(
            f"{reference} is {_describe(app)}, which can't be called as an {chosen.upper()} application "
            f"(--interface {chosen}); use --interface {other}, or auto"
        )
    interface = _interface(app, settings)
    if interface == "asgi":
        return app
    if interface == "wsgi":
        return as_asgi(app, settings.wsgi_threads)
    made = "()" if settings.factory or reference.call else ""
    hint = HINT if callable(app) else ""
    raise AppNotFoundError(f"{reference}{made} is {_describe(app)}, neither an ASGI nor a WSGI application{hint}")


def _interface(app: Any, settings: WorkerSettings) -> str:
    """asgi, wsgi, or "" where it is neither or can't be what the user says that it is."""
    if settings.interface == "auto":
        return detect_interface(app)
    return settings.interface if callable(app) else ""


def detect_interface(app: Any) -> str:
    """asgi, wsgi or "" for neither: coroutine functions and three required arguments are ASGI, two are WSGI."""
    if inspect.isclass(app) or not callable(app):
        return ""
    call = app if inspect.isroutine(app) else type(app).__call__
    if inspect.iscoroutinefunction(app) or inspect.iscoroutinefunction(call):
        return "asgi"
    try:
        parameters = inspect.signature(app).parameters.values()
    except (TypeError, ValueError):
        return ""
    required = [
        p for p in parameters if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    return {2: "wsgi", 3: "asgi"}.get(len(required), "")


def _may_be(app: Any, interface: str) -> bool:
    """Whether it can be called so, as far as its signature tells. What isn't callable at all is reported elsewhere."""
    if not callable(app):
        return True
    if interface == "wsgi" and detect_interface(app) == "asgi":
        return False
    return not _fault_of_call(app, Reference("", args=[None] * ARGUMENTS[interface]))


def _describe(thing: Any) -> str:
    if inspect.isclass(thing):
        return f"the class {thing.__name__}"
    name = type(thing).__name__
    return "None" if thing is None else f"{'an' if name[0] in 'aeiou' else 'a'} {name}"
