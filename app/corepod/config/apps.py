"""All applications of corepod.toml at once: `corepod start` and `corepod check` without a name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from corepod.config import document
from corepod.config.resolve import Effective, SettingsError, resolve
from corepod.contract.listening import EVERYWHERE

if TYPE_CHECKING:
    from collections.abc import Mapping


def resolve_all(
    flags: Mapping[str, Any],
    environ: Mapping[str, str],
    file: str | None,
    *,
    faults: list[str] | None = None,
) -> list[Effective]:
    """The one application that is named, by its name in the file or as MODULE:ATTRIBUTE; without a name all of the
    file, in its order.

    Arguments are those of `resolve`. Raises SettingsError with all faults, also those between applications.
    """
    content = document.read(file, [])
    if flags.get("app") or environ.get("COREPOD_APP") or len(content.apps) < 2:
        return [resolve(flags, environ, file, pod=False, faults=faults, needs_app=True)]
    found: list[str] = list(faults or [])
    effectives = []
    for name in content.apps:
        try:
            one = {**flags, "app": name}
            effectives.append(resolve(one, environ, file, pod=False, faults=faults, needs_app=True))
        except SettingsError as error:
            found += error.faults
    found += clashes(effectives)
    if found:
        raise SettingsError(list(dict.fromkeys(found)))
    return effectives


def clashes(effectives: list[Effective]) -> list[str]:
    """A phrase for each name and address that two of the applications want for themselves."""
    found = []
    for at, one in enumerate(effectives):
        for other in effectives[:at]:
            pair = f"the applications {other.application} and {one.application}"
            if one.values["name"] == other.values["name"]:
                found.append(f"{pair} have the same name, {one.values['name']} (name)")
            for what, address in _addresses(one):
                found += [
                    f"{one.sources[what]}: {what}: {pair} can't both listen on {address}; give each an address of its "
                    f"own{' (this is the default)' if not one.explicit(what) else ''}"
                    for _, taken in _addresses(other)
                    if _same(address, taken)
                ]
    return found


def _addresses(effective: Effective) -> list[tuple[str, str]]:
    """The settings and addresses that a pool insists on. The default address of the admin port may move."""
    addresses = [("bind", address) for address in effective.values["bind"]]
    admin = effective.values["admin"]
    control = effective.values["control"]
    if effective.explicit("admin") and admin != "none":
        addresses.append(("admin", admin))
    if control not in ("", "none"):
        addresses.append(("control", f"unix:{control}"))
    return addresses


def _same(one: str, other: str) -> bool:
    if one == other:
        return not one.endswith(":0") or one.startswith("unix:")
    if one.startswith("unix:") or other.startswith("unix:"):
        return False
    (host, _, port), (host2, _, port2) = one.rpartition(":"), other.rpartition(":")
    return port == port2 and port != "0" and bool({host, host2} & EVERYWHERE.keys())
