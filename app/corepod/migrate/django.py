"""Django's server for development, as it is found in production, too: `manage.py runserver`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from corepod.migrate import addresses
from corepod.migrate.django_project import SETTINGS_MODULE, setting, settings_module
from corepod.migrate.flags import BARE, parse, table
from corepod.migrate.given import Given, expanded
from corepod.migrate.gunicorn.workers import ONE
from corepod.migrate.model import Program
from corepod.migrate.rules import Case, Rule, apply, dropped, same

if TYPE_CHECKING:
    from corepod.migrate.model import Context

COMMANDS = ("runserver", "runserver_plus")
DEFAULT = "127.0.0.1:8000"
WAS = (
    "runserver is for development. It served static files: WhiteNoise or the proxy in front does that now, after "
    "manage.py collectstatic. Set DEBUG = False and ALLOWED_HOSTS"
)
FLAGS = {
    **table("settings --settings\npythonpath --pythonpath\nverbosity -v --verbosity"),
    **table(
        "noreload --noreload\nnothreading --nothreading\nipv6 -6 --ipv6\nnostatic --nostatic\ninsecure --insecure\n"
        "noasgi --noasgi\nskip_checks --skip-checks\nforce_color --force-color\nno_color --no-color\n"
        "traceback --traceback",
        BARE,
    ),
}


def _one_thread(case: Case, given: Given) -> None:
    case.use(given, "wsgi_threads", 1)


RULES: dict[str, Rule] = {
    "settings": dropped("decides the application; DJANGO_SETTINGS_MODULE is set to it"),
    "pythonpath": same("pythonpath"),
    "verbosity": dropped("log_level is for corepod's lines"),
    "noreload": dropped("code is loaded anew by corepod reload; corepod dev watches files"),
    "nothreading": _one_thread,
    "ipv6": dropped("bind has the address"),
    "nostatic": dropped("corepod serves no static files"),
    "insecure": dropped("corepod serves no static files: WhiteNoise or the proxy in front does"),
    "noasgi": dropped("decides the application"),
    "skip_checks": dropped("manage.py check does them"),
    "force_color": dropped("lines are coloured on a terminal only"),
    "no_color": dropped("lines are coloured on a terminal only"),
    "traceback": dropped("corepod logs the traceback of an application that can't be imported"),
}


def program(words: list[str], context: Context, manage: str = "manage.py") -> Program | None:
    """None where it is another command of manage.py."""
    command = next((word for word in words if word in COMMANDS), "")
    if not command:
        return None
    told = Program("", "runserver")
    parsed = parse([word for word in words if word != command], FLAGS)
    case = Case(told, context)
    for name, (flag, values) in parsed.given.items():
        case.given[name] = expanded(flag, values[-1], context.environ)
    for word in parsed.unknown:
        told.ask(word, "", f"no flag of {command} that is known here")
    _application(case, f"{manage} {command}", manage)
    _bind(case, expanded("address", (parsed.words or [""])[0], context.environ))
    apply(case, RULES)
    told.use("(one process)", "", "workers", 1, ONE)
    told.use("(log of requests)", "", "access_log", True, "runserver logs each request")
    return told


def _application(case: Case, shown: str, manage: str) -> None:
    """The one that runserver itself serves: WSGI_APPLICATION, or ASGI_APPLICATION where daphne is installed."""
    path = case.context.folder / manage
    if not path.is_file() and PurePath(manage).is_absolute():
        path = case.context.folder / PurePath(manage).name  # of the machine that it is meant for
    module = str(case.value("settings", "")) or case.context.environ.get(SETTINGS_MODULE) or settings_module(path)
    if not module:
        what = f"{path} isn't here to say which settings it has: name the application (app). {WAS}"
        case.program.ask(shown, "", what)
        return
    installed = setting(path.parent, module, "INSTALLED_APPS") or []
    asgi = "noasgi" not in case.given and bool({"daphne", "channels"} & set(installed))
    name = "ASGI_APPLICATION" if asgi else "WSGI_APPLICATION"
    dotted = setting(path.parent, module, name) or _by_file(path.parent, module, name[:4].lower())
    if not isinstance(dotted, str) or "." not in dotted:
        case.program.ask(shown, module, f"{name} isn't in {module}: name the application (app). {WAS}")
        return
    app = ":".join(dotted.rsplit(".", 1))
    case.program.use(shown, module, "app", app, f"{name} of {module}. {WAS}", check=True)
    case.program.name = dotted.split(".")[0]
    if "settings" in case.given:
        case.program.variables[SETTINGS_MODULE] = module
    if (folder := str(PurePath(manage).parent)) != ".":
        case.program.settings["pythonpath"] = [folder]


def _by_file(root: Path, module: str, kind: str) -> str:
    package = module.split(".")[0]
    return f"{package}.{kind}.application" if (root / package / f"{kind}.py").is_file() else ""


def _bind(case: Case, given: Given) -> None:
    """[HOST:]PORT; 0 is all addresses."""
    text = str(given.value)
    loopback = "[::1]" if "ipv6" in case.given else "127.0.0.1"
    host, _, port = text.rpartition(":")
    value = f"{'0.0.0.0' if host == '0' else host or loopback}:{port}" if text or given.reads else DEFAULT
    addresses.bind(case, replace(given, value=value, text=given.text or "not given"))
