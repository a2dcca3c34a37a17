"""An application that a file of Paste describes: a module that loads it, which is what corepod imports."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from corepod.migrate.given import Given
    from corepod.migrate.rules import Case

MODULE = "paste_app"
NOTE = (
    f"{MODULE}.py loads it, as gunicorn did: put it beside the file. Settings in [server:main] never had an effect on "
    "gunicorn --paste"
)


def application(case: Case, given: Given) -> None:
    """Rule of `paste`: FILE, or FILE#NAME."""
    file, _, name = str(given.value).partition("#")
    arguments = [f"'config:' + str(here / {file!r})"]
    arguments += [f"name={name!r}"] if name else []
    pairs = dict(word.partition("=")[::2] for word in _global(case))
    arguments += [f"global_conf={pairs!r}"] if pairs else []
    lines = ["from pathlib import Path", "", "from paste.deploy import loadapp", ""]
    if _has_loggers(case.context.folder / file):
        lines[:1] = ["from logging.config import fileConfig", "from pathlib import Path"]
        lines += ["here = Path(__file__).parent", f"fileConfig(here / {file!r}, disable_existing_loggers=False)"]
    else:
        lines += ["here = Path(__file__).parent"]
    case.program.files[f"{MODULE}.py"] = "\n".join([*lines, f"application = loadapp({', '.join(arguments)})", ""])
    case.use(given, "app", f"{MODULE}:application", NOTE, check=True)
    case.program.name = case.program.name or Path(file).stem


def variables(case: Case, given: Given) -> None:
    """Rule of `raw_paste_global_conf`."""
    case.program.map(given.setting, given.text, f"global_conf in {MODULE}.py")


def _global(case: Case) -> list[str]:
    return [str(word) for word in case.value("raw_paste_global_conf", []) or []]


def _has_loggers(path: Path) -> bool:
    try:
        return "\n[loggers]" in "\n" + path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False
