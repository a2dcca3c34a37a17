"""From "module:attribute" to an ASGI application."""

from __future__ import annotations

import difflib
import importlib
import inspect
import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from corepod.worker.settings import WorkerSettings

DEFAULT_ATTRIBUTES = ("app", "application")
# Modules of the standard library that this server doesn't need, but gunicorn and uvicorn do: there a user's file of the
# same name doesn't take their place, and frameworks rely on that.
STANDARD_FIRST = {
    *("argparse", "calendar", "concurrent", "configparser", "csv", "email", "gettext", "glob", "hmac", "html"),
    *("importlib", "multiprocessing", "quopri", "secrets", "shlex", "uuid", "zipfile"),
}
ARGUMENTS = {"asgi": 3, "wsgi": 2}
EXTRAS = {"corepod.demo": "demo"}  # what an application of our own needs beside corepod


class AppNotFoundError(Exception):
    """There is no such module or attribute, or it isn't an application. A second try would not help."""


def import_application(settings: WorkerSettings) -> Any:
    """Import the application, and adapt it to ASGI where it is a WSGI application.

    Raises AppNotFoundError, or any exception that the application raises while it is imported.
    """
    reference, factory = settings.app, settings.factory
    _look_up_here_first()
    module_name, _, attribute = reference.partition(":")
    app = _attribute(_module(module_name), module_name, attribute)
    if factory:
        if not callable(app):
            raise AppNotFoundError(
                f"{reference} is {_describe(app)}, not a function that makes an application (--factory)"
            )
        app = app()
    return _adapt(app, reference, settings)


def _look_up_here_first() -> None:
    # Where the folder really is: a release that a symbolic link names must not be mixed with the next one. And not
    # before the server is imported, which needs the standard library's modules, not a user's of the same name.
    folder = os.getcwd()
    if folder in sys.path:
        return
    try:
        beside = {entry.removesuffix(".py") for entry in os.listdir(folder)}
    except OSError:
        beside = set()  # a user who may pass through it, but not list it
    for name in STANDARD_FIRST & beside:
        importlib.import_module(name)
    sys.path.insert(0, folder)


def _module(name: str) -> Any:
    if name.endswith(".py") or not all(part.isidentifier() for part in name.split(".")):
        hint = "a Python module is named with dots, without .py: package.module:attribute"
        raise AppNotFoundError(f"{name!r} is not a module's name; {hint}")
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


def _attribute(module: Any, module_name: str, path: str) -> Any:
    if not path:
        for name in DEFAULT_ATTRIBUTES:
            if hasattr(module, name):
                return getattr(module, name)
        raise AppNotFoundError(
            f"module {module_name!r} has neither app nor application; name it: {module_name}:ATTRIBUTE"
        )
    found = module
    for part in path.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            close = difflib.get_close_matches(part, dir(found), n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise AppNotFoundError(f"module {module_name!r} has no attribute {path!r}{hint}") from None
    return found


def _adapt(app: Any, reference: str, settings: WorkerSettings) -> Any:
    interface = detect_interface(app) if settings.interface == "auto" else settings.interface
    if settings.interface != "auto" and not _may_be(app, interface):
        other = "asgi" if interface == "wsgi" else "wsgi"
        raise AppNotFoundError(
            f"{reference} is {_describe(app)}, which can't be called as an {interface.upper()} application "
            f"(--interface {interface}); use --interface {other}, or auto"
        )
    if interface == "asgi" and callable(app):
        return app
    if interface == "wsgi" and callable(app):
        from corepod.worker.application.wsgi import as_asgi  # ASGI applications don't pay for it

        return as_asgi(app, settings.wsgi_threads)
    hint = "; is it a factory (--factory), or is its interface hidden (--interface)?" if callable(app) else ""
    raise AppNotFoundError(f"{reference} is {_describe(app)}, neither an ASGI nor a WSGI application{hint}")


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
    try:
        inspect.signature(app).bind(*[None] * ARGUMENTS[interface])
    except ValueError:
        return True  # it has no signature
    except TypeError:
        return False
    return True


def _describe(thing: Any) -> str:
    if inspect.isclass(thing):
        return f"the class {thing.__name__}"
    name = type(thing).__name__
    return "None" if thing is None else f"{'an' if name[0] in 'aeiou' else 'a'} {name}"
