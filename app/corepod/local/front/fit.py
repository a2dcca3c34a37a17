"""Whether pools fit each other and the front that is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from corepod.contract.listening import EVERYWHERE
from corepod.local.front.targets import Unusable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from corepod.local.front.build import Asked
    from corepod.local.front.targets import Target

LOCAL = ("127.", "localhost:", "[::1]:")  # what a host of this machine begins with


def together(asked: Asked, targets: Sequence[Target]) -> list[str]:
    """Warnings, each a sentence, of the pools and of what they are together. Raises Unusable where it can't work."""
    for values in ([target.server.address for target in targets], [target.server.name for target in targets]):
        if twice := _twice(values):
            raise Unusable(f"{', '.join(twice)} is there twice: name each pool once, and give each a name of its own")
    _own_addresses(asked, targets)
    return [*(warning for target in targets for warning in target.warnings), *_apps(targets), *_cookies(asked, targets)]


def _twice(values: Sequence[str]) -> list[str]:
    return sorted({value for value in values if values.count(value) > 1})


def _own_addresses(asked: Asked, targets: Sequence[Target]) -> None:
    """HAProxy would listen twice at one address, and the kernel give each of the two every other connection."""
    own = [*asked.bind, *([asked.stats] if asked.stats else [])]
    for number, address in enumerate(own):
        if any(_meet(address, other) for other in own[:number]):
            raise Unusable(f"the front can't have {address} twice: give --bind and --stats addresses of their own")
        for target in targets:
            if address == target.server.address or (
                target.server.address.startswith(LOCAL) and _meet(address, target.server.address)
            ):
                raise Unusable(
                    f"the front can't listen on {address}, where the pool {target.server.name} does: it would send "
                    "requests to itself; give it another address with --bind or --stats"
                )


def _meet(address: str, other: str) -> bool:
    """Whether a connection could be for both."""
    (host, _, port), (other_host, _, other_port) = address.rpartition(":"), other.rpartition(":")
    return address == other or (
        "unix@" not in address + other and port == other_port and bool({host, other_host} & EVERYWHERE.keys())
    )


def _apps(targets: Sequence[Target]) -> list[str]:
    apps = sorted({target.app for target in targets if target.app})
    differ = f"the pools serve different applications ({', '.join(apps)}): each request may reach any of them"
    return [differ] if len(apps) > 1 else []


def _cookies(asked: Asked, targets: Sequence[Target]) -> list[str]:
    """Of pools that keep clients at a slot. Raises Unusable where the front would take their cookie away."""
    sticky = [target for target in targets if target.cookie]
    for target in sticky:
        if target.cookie == asked.cookie:
            raise Unusable(
                f"{target.server.name} has a cookie of the same name, {asked.cookie}, for its slots (sticky_cookie): "
                "give --sticky another one"
            )
    if sticky and len(targets) > 1 and not asked.cookie:
        names = ", ".join(target.server.name for target in sticky)
        return [f"sticky of {names} keeps a client at a slot, but the front sends it to any pool: add --sticky COOKIE"]
    return []
