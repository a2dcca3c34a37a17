"""What `fastapi run` and `fastapi dev` become: uvicorn, with a file in the place of the application."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from corepod.migrate import uvicorn
from corepod.migrate.flags import BARE, NO, table
from corepod.migrate.rules import Case, Rule, dropped
from corepod.migrate.server import Server

if TYPE_CHECKING:
    from pathlib import Path

    from corepod.migrate.given import Given
    from corepod.migrate.model import Context, Program

FLAGS = {
    **table(
        """
host --host
port --port
workers --workers
root_path --root-path
attribute --app
entrypoint -e --entrypoint
forwarded_allow_ips --forwarded-allow-ips
reload_dir --reload-dir
"""
    ),
    **table("reload --reload\nproxy_headers --proxy-headers", BARE),
    **table("reload --no-reload\nproxy_headers --no-proxy-headers", NO),
}


def _attribute(case: Case, given: Given) -> None:
    case.drop(given, "is in app")


RULES: dict[str, Rule] = {
    **{name: rule for name, rule in uvicorn.SERVER.rules.items() if name in {flag.name for flag in FLAGS.values()}},
    "attribute": _attribute,
    "entrypoint": dropped("is app"),
}
SERVER = Server("fastapi", FLAGS, RULES, uvicorn.SERVER.unset, ("reload_dir",))


def program(words: list[str], context: Context) -> Program:
    """The words behind fastapi. It listens on all addresses where `run` is given none."""
    command, rest = (words[0], words[1:]) if words else ("run", [])
    if command == "run" and not any(word.startswith("--host") for word in rest):
        rest = ["--host", "0.0.0.0", *rest]
    told = SERVER.program(rest, context)
    path = str(told.settings.get("app", ""))
    attribute = next((item.value for item in told.items if item.setting == "--app"), "app")
    entry = next((item.value for item in told.items if item.setting in ("-e", "--entrypoint")), "")
    if path or entry:
        told.items = [item for item in told.items if item.setting != "application"]
        folder, module = ("", "") if entry else _module(path, context)
        told.use("application", path or entry, "app", entry or f"{module}:{attribute}")
        if folder:
            told.use("application's folder", folder, "chdir", folder)
        told.name = str(told.settings["app"]).partition(":")[0].split(".")[0]
    if command == "dev":
        told.map("dev", "", "corepod dev", "watches the code, and breakpoint() works")
    return told


def _module(path: str, context: Context) -> tuple[str, str]:
    """The folder to run in and the module, as fastapi finds them: packages begin below the folder."""
    parts = [part for part in PurePosixPath(path).with_suffix("").parts if part != "."]
    at = len(parts) - 1
    while at > 0 and (not (context.folder / path).is_file() or _is_package(context.folder.joinpath(*parts[:at]))):
        at -= 1
    return "/".join(parts[:at]), ".".join(parts[at:])


def _is_package(folder: Path) -> bool:
    return (folder / "__init__.py").is_file()
