"""One finished set of settings from flags, variables, file, a platform's variables and defaults, in this order of
precedence. All faults are reported together. In the file an environment takes precedence over the application, and the
application over what holds for all of them."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from corepod.config import document
from corepod.config.checks import faults_between, warnings_about
from corepod.config.document import FILE as FILE
from corepod.config.document import hint as hint
from corepod.config.kinds import parse
from corepod.config.spec import SETTINGS
from corepod.contract.listening import ALL
from corepod.cpu import cores

if TYPE_CHECKING:
    from collections.abc import Mapping

    from corepod.config.document import Document, Table
    from corepod.config.spec import Setting

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
    "corepod.toml [apps.shop]", "WEB_CONCURRENCY", "default").

    `application` is the name of its table in the file, empty where it has none; `variables` are those that the file
    gives it.
    """

    values: dict[str, Any] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    application: str = ""
    variables: dict[str, str] = field(default_factory=dict)

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
    """`flags` by the settings' names, and `env`; `file` is the one asked for (None: corepod.toml where it exists).

    The application may be the name of one in the file. `faults` are those found before. Raises SettingsError with all
    faults; `needs_app` makes a missing application one.
    """
    found = list(faults or [])
    effective = Effective(warnings=[*_misspelt(environ), *_of_other_servers(environ)])
    content = document.read(file, found)
    environment = _choose(content, flags, environ, effective, found)
    named = effective.application
    layers = content.layers(named, environment)
    for table in reversed(layers):
        effective.variables.update(table.variables)
    for setting in SETTINGS:
        value = setting.pod if pod and setting.pod is not None else setting.default
        default = (named, content.apps[named].table.place) if named and setting.name == "name" else (value, "default")
        # Where it names a table of the file, flag and variable have said all they have to say.
        told = ({}, {}) if named and setting.name == "app" else (flags, environ)
        try:
            value, source = _given(setting, *told, layers, environ) or default
        except ValueError as error:
            found.append(str(error))
            value, source = default
        effective.values[setting.name], effective.sources[setting.name] = value, source
    if needs_app and (fault := _no_application(content, effective)):
        found.append(fault)
    if not found:
        found += faults_between(effective.values, effective.sources)
    if found:
        raise SettingsError(found)
    effective.warnings += warnings_about(effective.values, effective.sources, environ.get("PATH"))
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
    return f"{ALL}:{port}"


def _given(
    setting: Setting,
    flags: Mapping[str, Any],
    environ: Mapping[str, str],
    layers: list[Table],
    platform: Mapping[str, str],
) -> tuple[Any, str] | None:
    """The value that somebody has given and where, from the place that takes precedence.

    Raises ValueError naming the place.
    """
    for place, raw in (
        (setting.flag if setting.name != "app" else "argument", flags.get(setting.name)),
        (setting.variable, environ.get(setting.variable) or None),
    ):
        if raw is not None:
            return _parsed(setting, raw, place), place
    for table in layers:
        if setting.name in table.values:
            return table.values[setting.name], table.place
    if raw := platform.get(setting.platform):
        return _parsed(setting, raw, setting.platform), setting.platform
    return None


def _parsed(setting: Setting, raw: Any, place: str) -> Any:
    try:
        return parse(setting, _address(raw) if place == "PORT" else raw)
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from None


def _choose(
    content: Document,
    flags: Mapping[str, Any],
    environ: Mapping[str, str],
    effective: Effective,
    faults: list[str],
) -> str:
    """Find the application of the file that is meant, and return the environment; both may be empty."""
    asked = flags.get("app") or environ.get("COREPOD_APP") or ""
    if not asked and len(content.apps) == 1:
        (asked,) = content.apps
    if asked in content.apps:
        effective.application = asked
    elif asked and content.apps and ":" not in asked and (close := hint(asked, content.apps)):
        effective.warnings.append(f"{content.path} has no application {asked!r}, so it is taken for a module{close}")
    environment: str = flags.get("env") or environ.get("COREPOD_ENV") or ""
    if not environment or environment in content.environments:
        return environment
    place = "--env" if flags.get("env") else "COREPOD_ENV"
    if "=" in environment:
        faults.append(f"{place}: names an environment of the settings file; variables go into --env-file FILE")
        return ""
    known = ", ".join(content.environments)
    there = f"it has {known}" if known else "it has none; [env.NAME] or [apps.APP.env.NAME] makes one"
    faults.append(f"{place}: there is no environment {environment!r} in {content.path}; {there}")
    return ""


def _no_application(content: Document, effective: Effective) -> str:
    """What is missing, empty where it is known which application is to run."""
    if content.apps and not effective.application and effective.sources["app"] not in ("argument", "COREPOD_APP"):
        names = ", ".join(content.apps)
        return f"{content.path} has several applications ({names}): name the one that is meant"
    if effective.values["app"]:
        return ""
    if effective.application:
        place = content.apps[effective.application].table.place
        return f"{place}: app is missing: the application, as MODULE:ATTRIBUTE"
    return "no application is given: corepod run MODULE:ATTRIBUTE (or COREPOD_APP, or app in corepod.toml)"


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


def _of_other_servers(environ: Mapping[str, str]) -> list[str]:
    """The settings of gunicorn and uvicorn in variables: somebody relies on them."""
    names = [name for name in sorted(environ) if name == "GUNICORN_CMD_ARGS" or _is_uvicorns(name, environ[name])]
    if not names:
        return []
    verb = "is" if len(names) == 1 else "are"
    return [f"{', '.join(names)} {verb} not read; corepod migrate turns such variables into settings"]


def _is_uvicorns(name: str, value: str) -> bool:
    links = name.endswith(FOREIGN) and (name != "UVICORN_PORT" or value.startswith("tcp:"))
    return name.startswith("UVICORN_") and not links
