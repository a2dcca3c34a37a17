"""`corepod.run`: the start of a pool by the program that has its application."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import re
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corepod.config import document, foreign
from corepod.config.resolve import SettingsError, hint, resolve
from corepod.config.spec import BY_NAME
from corepod.local import launch
from corepod.local.development import INSTALLED

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType
    from typing import NoReturn

    from corepod.config.keywords import Keywords as Keywords
    from corepod.config.resolve import Effective

FLAG = re.compile(r"^--([a-z0-9-]+)(?=: )")
STANDARD = os.path.dirname(os.__file__)
STOPS = (signal.SIGTERM, signal.SIGINT)
FACTORY = 'let a function return the application, and name that: corepod.run("module:function", factory=True)'


def run(app: object, settings: Mapping[str, Any]) -> NoReturn:
    """Start a pool in the place of this program; `corepod.run` documents it."""
    _check_place()
    flags = {"config": None, "env": None, **_flags(settings)}
    name, folder = _reference(app)
    try:
        file = document.asked_for(flags, os.environ)
        effective = resolve({**flags, "app": name}, os.environ, file, pod=False, needs_app=True)
        _add_path(effective, folder or _folder_of(effective.values["app"]))
        _warn_of_threads(effective)
        # Asked to stop before the supervisor is there, it has to stop then.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
        try:
            code = launch.start(effective, file, pod=False)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
    except SettingsError as error:
        faults = [FLAG.sub(lambda flag: flag[1].replace("-", "_"), fault, count=1) for fault in error.faults]
        raise ValueError("\n".join(faults)) from None
    sys.exit(code)


def _check_place() -> None:
    """Raises RuntimeError where no pool can take this program's place."""
    if not sys.platform.startswith("linux"):
        raise RuntimeError(
            f"corepod runs on Linux, and this is {sys.platform}; use a Linux container or virtual machine"
        )
    if "corepod.worker.load" in sys.modules:
        raise RuntimeError(
            "a worker that imports this module comes to corepod.run(), which has to start the pool and not run in its "
            'workers: call it below if __name__ == "__main__":'
        )
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("corepod.run() puts a pool in the place of the program: call it in the main thread")
    if _in_event_loop():
        raise RuntimeError(
            "corepod.run() can't be called while an event loop runs: call it from plain code, not with asyncio.run(); "
            "each worker of the pool has an event loop of its own"
        )


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _flags(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings as the command line's parser would return them. Raises TypeError for an unknown one."""
    known = {*BY_NAME, "config", "env"} - {"app"}
    for name in settings:
        if name not in known:
            answer = foreign.answer(name)
            what = f"; {answer}" if answer else hint(name, known)
            raise TypeError(f"corepod.run() has no setting {name!r}{what}")
    return {name: _plain(value) for name, value in settings.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return [_plain(part) for part in value] if isinstance(value, list | tuple) else value


def _warn_of_threads(effective: Effective) -> None:
    others = [thread for thread in threading.enumerate() if thread is not threading.main_thread() and not thread.daemon]
    if others:
        names = ", ".join(thread.name for thread in others)
        effective.warnings.append(
            f"threads of this program ({names}) end here, for corepod.run() puts the pool in its place; start them in "
            "the application's lifespan"
        )


# The application and where a worker finds it


def _reference(app: object) -> tuple[str, str]:
    """MODULE:ATTRIBUTE of an application, and the folder of its module where that is the program's own.

    Raises TypeError for what is no application, ValueError where the application has no name by which a worker could
    import it.
    """
    if isinstance(app, str):
        module, colon, attribute = app.partition(":")
        if module.strip() != "__main__":
            return app, ""
        name, folder = _main()
        return f"{name}{colon}{attribute}", folder
    if not callable(app):
        raise TypeError(f'corepod.run() takes "module:attribute" or an application, not {type(app).__name__}')
    for place in _places(app):
        for attribute, value in list(vars(place).items()):
            if value is app and attribute.isidentifier():
                name, folder = _main() if place.__name__ == "__main__" else (place.__name__, "")
                return f"{name}:{attribute}", folder
    raise ValueError(
        "each worker imports the application itself, and this one is no variable of the program or of a module that "
        f"defines it (was it made inside a function?): {FACTORY}"
    )


def _places(app: object) -> list[ModuleType]:
    """Where the application may be a variable: the program, its own module, then any other."""
    names = ["__main__", getattr(app, "__module__", None), type(app).__module__]
    first = [sys.modules[name] for name in names if name in sys.modules]
    return [*first, *(module for module in list(sys.modules.values()) if hasattr(module, "__dict__"))]


def _main() -> tuple[str, str]:
    """The name by which the program can be imported, and the folder in which it is found.

    Raises ValueError where it has none.
    """
    main = sys.modules["__main__"]
    if main.__spec__ is not None and main.__spec__.name != "__main__":  # python -m NAME
        return main.__spec__.name, _folder_of(main.__spec__.name)
    file = getattr(main, "__file__", None)
    if file is None:
        raise ValueError(f"the application is in no file (an interactive session, or python -c): {FACTORY}")
    path = Path(os.path.abspath(file))
    if not path.stem.isidentifier() or path.suffix != ".py" or path.stem == "__main__":
        raise ValueError(
            f"workers import the application's module, and {path.name} can't be imported by its name: give the file "
            "another name, such as main.py, or move the application to a module of its own"
        )
    return path.stem, str(path.parent)


def _folder_of(reference: str) -> str:
    """The folder in which this program finds the module, empty where it finds none."""
    top = reference.partition(":")[0].partition(".")[0].strip()
    try:
        spec = importlib.util.find_spec(top) if top and top != "__main__" else None
    except (ImportError, ValueError):
        return ""
    if spec is None or not spec.has_location or spec.origin is None:
        return ""
    found = os.path.dirname(os.path.abspath(spec.origin))
    folder = os.path.dirname(found) if spec.submodule_search_locations else found
    return "" if folder == STANDARD or INSTALLED & set(Path(folder).parts) else folder


def _add_path(effective: Effective, folder: str) -> None:
    """Let workers find modules in this folder: they know the current one, and not that of the program."""
    if folder and folder != os.getcwd():
        effective.values["pythonpath"] = [folder, *effective.values["pythonpath"]]
