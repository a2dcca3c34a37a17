"""Configurations of logging, as gunicorn and uvicorn are given them: what of them is about the server's own lines."""

from __future__ import annotations

import configparser
import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from corepod.migrate.given import Given
    from corepod.migrate.rules import Case

SERVERS = re.compile(r"(gunicorn|uvicorn|hypercorn|granian|_granian)(\.[\w.]+)?|root|")
ROOT = (
    "; handlers of root had the application's records, too: call logging.config.dictConfig, or fileConfig, in the "
    "application"
)
IN_THE_APPLICATION = (
    "logging of the application: call logging.config.dictConfig, or fileConfig, where the application is made. "
    "log_format, log_level, log_file and access_log_format are for corepod's lines"
)


def mapping(case: Case, given: Given) -> None:
    """A dictionary in the file itself."""
    if isinstance(given.value, dict):
        _told(case, given, _loggers(given.value), json.dumps(given.value, default=repr))
    else:
        case.ask(given, IN_THE_APPLICATION)


def file(case: Case, given: Given) -> None:
    """A file in the format of logging.config.fileConfig, JSON or YAML."""
    path = case.context.folder / str(given.value)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        case.ask(given, IN_THE_APPLICATION)
        return
    _told(case, given, _in_file(path, text), text)


def _told(case: Case, given: Given, loggers: list[str] | None, text: str) -> None:
    is_json = re.search(r"json", text, re.IGNORECASE) is not None
    root = ROOT if "root" in (loggers or ()) else ""
    if loggers is None or not all(SERVERS.fullmatch(name) for name in loggers):
        others = [name for name in loggers or [] if not SERVERS.fullmatch(name)]
        if is_json:
            case.program.settings.setdefault("log_format", "json")
        case.ask(given, f"it has {', '.join(others) or 'loggers'}: {IN_THE_APPLICATION}")
    elif is_json:
        note = f"one JSON object a line, with corepod's names of fields{root}"
        case.use(given, "log_format", "json", note, check=True)
    else:
        what = "the server's own lines, which corepod formats itself (log_format, access_log_format)"
        case.program.map(given.setting, _short(given), "", f"{what}{root}", check=True)


def _short(given: Given) -> str:
    return given.text if len(given.text) < 80 else f"{given.text[:77]}..."


def _loggers(config: dict[str, Any]) -> list[str]:
    """Their names; root only where it has handlers, as the application's records go to these."""
    found = config.get("loggers")
    listed = dict(found) if isinstance(found, dict) else {}
    listed["root"] = listed.pop("", listed.pop("root", config.get("root")))
    root = listed["root"]
    if not (isinstance(root, dict) and root.get("handlers")):
        del listed["root"]
    return [str(name) for name in listed]


def _in_file(path: Path, text: str) -> list[str] | None:
    """Names of the loggers; None where they can't be found."""
    if path.suffix == ".json":
        try:
            config = json.loads(text)
        except ValueError:
            return None
        return _loggers(config) if isinstance(config, dict) else None
    if path.suffix in (".yml", ".yaml"):
        return _in_yaml(text)
    parser = configparser.RawConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(text)
    except configparser.Error:
        return None
    sections = [section for section in parser.sections() if section.startswith("logger_")]
    silent = "logger_root" in sections and not parser.get("logger_root", "handlers", fallback="").strip()
    return [
        parser.get(section, "qualname", fallback=section.removeprefix("logger_"))
        for section in sections
        if not (silent and section == "logger_root")
    ]


def _in_yaml(text: str) -> list[str]:
    """The keys below `loggers:`, and `root:`, by their indentation: no parser of YAML is needed for that."""
    found: list[str] = []
    inside, indent = False, 0
    for line in text.splitlines():
        depth = len(line) - len(line.lstrip())
        key = line.strip().removesuffix(":").strip("\"'")
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if depth == 0:
            inside, indent = key == "loggers", 0
            found += ["root"] if key == "root" else []
        elif inside and depth == (indent := indent or depth) and line.rstrip().endswith(":"):
            found.append(key)
    return found
