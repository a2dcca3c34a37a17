"""A server that is told everything by flags: its rules, and how they are applied."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from corepod.contract.env import APP_PORT
from corepod.migrate import addresses
from corepod.migrate.flags import Flag, parse
from corepod.migrate.given import Given, expanded
from corepod.migrate.model import Context, Program
from corepod.migrate.rules import Case, Rule, apply, same, switch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


@dataclass(frozen=True)
class Server:
    """`lists` are settings that may be repeated; `unset` adds what the server does where nothing is given. `prefix` is
    that of variables which it reads in the place of flags."""

    name: str
    flags: Mapping[str, Flag]
    rules: Mapping[str, Rule]
    unset: Callable[[Case], None]
    lists: Sequence[str] = ()
    prefix: str = ""

    def program(self, words: list[str], context: Context) -> Program:
        """The command line behind the server's name."""
        told = Program("", self.name)
        parsed = parse(words, dict(self.flags))
        case = Case(told, context, self._from_variables(context.environ))
        for name, (flag, values) in parsed.given.items():
            case.given[name] = expanded(flag, ",".join(values) if name in self.lists else values[-1], context.environ)
        for word in parsed.unknown:
            told.ask(word, "", f"no flag of {self.name} that is known here")
        if parsed.words:
            application(case, expanded("application", parsed.words[0], context.environ))
        self.convert(case)
        return told

    def convert(self, case: Case) -> None:
        """Add what becomes of all that is given."""
        apply(case, self.rules)
        self.unset(case)

    def _from_variables(self, environ: Mapping[str, str]) -> dict[str, Given]:
        """FORWARDED_ALLOW_IPS of uvicorn, GRANIAN_PORT and so on."""
        names = {flag.name: f"{self.prefix}{flag.name.upper()}" for flag in self.flags.values()} if self.prefix else {}
        if "forwarded_allow_ips" in self.rules:
            names["forwarded_allow_ips"] = "FORWARDED_ALLOW_IPS"
        return {
            setting: Given(name, environ[name], environ[name]) for setting, name in names.items() if environ.get(name)
        }


def application(case: Case, given: Given) -> None:
    """The application itself; the program is called after its module."""
    app = str(given.value)
    try:
        case.program.use(given.setting, given.text, "app", app)
    except ValueError as error:
        case.ask(given, f"is no application: {error}")
    else:
        case.program.name = case.program.name or app.partition(":")[0].split(".")[0]


def host_and_port(case: Case, given: Given) -> None:
    """Rule of both: one address, which the port's item has where both are given."""
    if "uds" in case.given or "fd" in case.given:
        case.drop(given, "has no effect beside a Unix socket or a descriptor")
        return
    host, port = case.given.get("host"), case.given.get("port")
    if given is host and port:
        case.program.map(given.setting, given.text, "bind", "with the port")
        return
    name = str(host.value) if host else "127.0.0.1"
    shown = f"[{name.strip('[]')}]" if ":" in name else name or "127.0.0.1"
    shown = f"{shown}:{port.value if port else APP_PORT}"
    both = [one for one in (host, port) if one]
    reads = tuple(variable for one in both for variable in one.reads)
    missing = tuple(variable for one in both for variable in one.missing)
    addresses.bind(case, replace(given, value=shown, reads=reads, missing=missing))


def unix_socket(case: Case, given: Given) -> None:
    case.use(given, "bind", [f"unix:{given.value}"])


def loop(case: Case, given: Given) -> None:
    if given.value in ("uvloop", "asyncio"):
        case.use(given, "loop", str(given.value))
    else:
        case.drop(given, "asyncio is the default; loop = uvloop needs uvloop")


RELOAD = switch(same("reload", "for development; corepod dev does it, too", check=True), "off, as by default")
