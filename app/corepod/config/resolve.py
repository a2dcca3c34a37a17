"""One finished set of settings from flags, variables, file, a platform's variables and defaults, in this order of
precedence. All faults are reported together."""

from __future__ import annotations

import difflib
import tomllib
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corepod.config.checks import faults_between
from corepod.config.kinds import parse
from corepod.config.spec import BY_NAME, SETTINGS
from corepod.cpu import cores

if TYPE_CHECKING:
    from collections.abc import Mapping

FILE = "corepod.toml"
PREFIX = "COREPOD_"
# Kubernetes puts such variables into every pod beside a Service called corepod.
FOREIGN = ("_SERVICE_HOST", "_SERVICE_PORT", "_PORT", "_TCP", "_UDP", "_ADDR", "_PROTO")


class SettingsError(Exception):
    """What is wrong with the settings: one phrase for each fault."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


@dataclass
class Effective:
    """Every setting's value, and where it comes from ("--workers", "COREPOD_WORKERS", "corepod.toml",
    "WEB_CONCURRENCY", "default")."""

    values: dict[str, Any] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def explicit(self, name: str) -> bool:
        """Whether the user has set it."""
        return self.sources[name] != "default"


def resolve(
    flags: Mapping[str, Any],
    environ: Mapping[str, str],
    file: str | None,
    *,
    pod: bool,
    faults: list[str] | None = None,
    needs_app: bool = False,
) -> Effective:
    """`flags` by the settings' names; `file` is the one asked for (None: corepod.toml where it exists).

    `faults` are those found before. Raises SettingsError with all faults; `needs_app` makes a missing application one.
    """
    found = list(faults or [])
    effective = Effective(warnings=_misspelt(environ))
    path, content = _read(file, found)
    for name in content:
        if name not in BY_NAME:
            found.append(f"{path}: there is no setting {name!r}{hint(name, BY_NAME)}")
    for setting in SETTINGS:
        value = setting.pod if pod and setting.pod is not None else setting.default
        source = "default"
        places = (
            (flags.get(setting.name), setting.flag if setting.name != "app" else "argument"),
            (environ.get(setting.variable) or None, setting.variable),
            (content.get(setting.name), path),
            (environ.get(setting.platform) or None, setting.platform),
        )
        for raw, place in places:
            if raw is None:
                continue
            source = place
            try:
                value = parse(setting, _address(raw) if place == "PORT" else raw)
            except ValueError as error:
                what = f"{place}: {setting.name}" if place == path else place
                found.append(f"{what}: {error}")
            break
        effective.values[setting.name], effective.sources[setting.name] = value, source
    if needs_app and not effective.values["app"]:
        found.append("no application is given: corepod run MODULE:ATTRIBUTE (or COREPOD_APP, or app in corepod.toml)")
    if not found:
        found += faults_between(effective.values, effective.sources)
    if found:
        raise SettingsError(found)
    _fit_to_cores(effective)
    if effective.values["http"] == "auto" and find_spec("httptools") is None:
        effective.warnings.append(
            "httptools isn't installed, so h11 serves HTTP/1.1, at several times the CPU; install it "
            "(pip install httptools), or choose h11 with --http h11"
        )
    return effective


def _fit_to_cores(effective: Effective) -> None:
    """A platform's WEB_CONCURRENCY knows nothing of cores: more workers than these would end the start."""
    workers, pin = effective.values["workers"], effective.values["pin"]
    if effective.sources["workers"] != "WEB_CONCURRENCY" or isinstance(workers, str) or pin == "never":
        return
    usable = len(cores.usable().cores)
    if workers > usable:
        effective.values["workers"] = usable
        effective.warnings.append(
            f"WEB_CONCURRENCY asks for {workers} workers, and {usable} core(s) are usable here: starting {usable}; "
            "--pin never lets more workers share the cores"
        )


def _address(port: str) -> str:
    """What a platform that sets PORT expects: it sends requests from elsewhere."""
    if not (port.isascii() and port.isdecimal()):
        raise ValueError(f"{port!r} is not a port; the address can be given with --bind, too")
    return f"0.0.0.0:{port}"


def hint(name: str, known: Any) -> str:
    """A phrase that proposes the known name that was probably meant, empty where none is close."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _read(file: str | None, faults: list[str]) -> tuple[str, dict[str, Any]]:
    path = file or FILE
    try:
        return path, tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        if file is not None:
            faults.append(f"{path}: there is no such file (--config, COREPOD_CONFIG)")
    except (OSError, UnicodeDecodeError) as error:
        faults.append(f"{path}: can't be read: {error}")
    except tomllib.TOMLDecodeError as error:
        faults.append(f"{path}: is not TOML: {error}")
    return path, {}


def _misspelt(environ: Mapping[str, str]) -> list[str]:
    """Variables that look like a setting but aren't one. Only a warning: other programs may use the prefix, too."""
    variables = {setting.variable for setting in SETTINGS}
    warnings = []
    for name in sorted(environ):
        if name.startswith(PREFIX) and name not in variables and not name.endswith(FOREIGN):
            close = difflib.get_close_matches(name, variables, n=1, cutoff=0.85)
            if close:
                warnings.append(f"the variable {name} is not a setting and has no effect; did you mean {close[0]}?")
    return warnings
