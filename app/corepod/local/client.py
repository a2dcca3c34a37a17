"""A client of a pool on this machine: HTTP over its control socket."""

from __future__ import annotations

import http.client
import json
import os
import socket
from typing import TYPE_CHECKING, Any

from corepod import __version__
from corepod.contract import runtime
from corepod.contract.escaping import everything, line, lines

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE = 5.0  # seconds

_versions: dict[str, str] = {}  # of the pools that have answered, by address


def other_versions() -> str:
    """For people: which of the pools that were asked run another version than this program; empty where none does.
    Their answers may not be what is expected here, nor what is asked for here known to them."""
    others = [(runtime.pool_of(address), version) for address, version in _versions.items() if version != __version__]
    pools = ", ".join(f"{name} runs corepod {version}" for name, version in others)
    return f"{pools}, and this is corepod {__version__}: stop and start such a pool to upgrade it" if pools else ""


class Unreachable(Exception):
    """Nobody answers at the address, or not as a pool does. `late`: what was sent may be read yet."""

    late = False


class Gone(Unreachable):
    """Nobody listens at the address; a socket's file there was left behind by a pool that was killed."""


class Foreign(Unreachable):
    """What listens there belongs to another user."""


class Refused(Exception):
    """The pool didn't do what was asked; the text is its reason."""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, address: str) -> None:
        super().__init__("localhost", timeout=PATIENCE)
        self._address = address

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(PATIENCE)
        self.sock.connect(runtime.raw(self._address))
        if self._address.startswith("@") and not runtime.may_control(runtime.peer(self.sock)):
            self.close()
            raise PermissionError(f"another user listens at {self._address}")  # anybody can take an abstract name


class Client:
    """Asks the pool at this address. All texts that it returns are safe to show on a terminal."""

    def __init__(self, address: str) -> None:
        self.address = address

    @property
    def name(self) -> str:
        """The pool's name, by which its socket is found."""
        return runtime.pool_of(self.address)

    def listens(self) -> bool:
        """Whether somebody is at the address: a socket may be left behind, and a pool that is may be slow to answer."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.setblocking(False)
            try:
                sock.connect(runtime.raw(self.address))
            except BlockingIOError:
                return True  # more wait there than it takes
            except OSError:
                return False
        return True

    def get(self, path: str) -> Any:
        """The document at `path`. Raises Unreachable or Refused."""
        return self._ask("GET", path)

    def post(self, path: str) -> Any:
        """What the pool says of a command. Raises Unreachable or Refused."""
        return self._ask("POST", path)

    def status(self) -> dict[str, Any] | None:
        """The pool's status document, None while it doesn't answer."""
        try:
            answer: dict[str, Any] = self.get("/status")
            return answer
        except (Unreachable, Refused):
            return None

    def pid(self) -> int:
        """The process that listens at the address, 0 where it can't be seen from here. Raises Unreachable."""
        connection = _UnixConnection(self.address)
        try:
            connection.connect()
            assert connection.sock is not None
            return runtime.peer_pid(connection.sock)
        except OSError as error:
            raise _unreachable(self.address, error) from error
        finally:
            connection.close()

    def _ask(self, method: str, path: str) -> Any:
        connection = _UnixConnection(self.address)
        try:
            connection.request(method, path)
            response = connection.getresponse()
            body = response.read()
            server = line(response.getheader("Server", ""))
            document: Any = everything(json.loads(body), _clean(path)) if response.status in (200, 409) else None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise _unreachable(self.address, error) from error
        finally:
            connection.close()
        if server.startswith(runtime.SERVER):
            _versions[self.address] = server.removeprefix(runtime.SERVER)
        if response.status == 409:
            raise Refused(document["error"])
        if document is None:
            text, other = body.decode("utf-8", "replace").strip(), other_versions()
            raise Unreachable(f"{self.address}: {response.status}: {text}{other and f' ({other})'}")
        return document


def _clean(path: str) -> Callable[[str], str]:
    """Entries of the log have line breaks of their own; any other text is shown on one line."""
    return lines if path.startswith(("/events", "/log")) else line


def _unreachable(address: str, error: Exception) -> Unreachable:
    kind = Unreachable
    if isinstance(error, PermissionError):
        kind = Foreign
    elif isinstance(error, ConnectionRefusedError | FileNotFoundError):
        kind = Gone
    why = f"{error or type(error).__name__}"
    if isinstance(error, TimeoutError | BlockingIOError):
        why = f"timed out: its supervisor listens, and hasn't answered within {PATIENCE:g} s; it is frozen or very busy"
    unreachable = kind(f"{address}: {why}")
    unreachable.late = isinstance(error, TimeoutError)
    return unreachable


def running() -> list[Client]:
    """The pools whose sockets are found, by name; some may be left behind by pools that were killed, or another's.

    Two have the same name where one is a service of the system and the other one of the user's, which comes first.
    """
    found: dict[str, Client] = {}
    for place in runtime.places(os.environ, os.geteuid()):
        for address in _sockets(place):
            found.setdefault(address, Client(address))
    return sorted(found.values(), key=lambda client: client.name)


def _sockets(place: str) -> list[str]:
    if place.startswith("@"):
        return _abstract(place)
    # systemd gives each service a folder of its own below the system's.
    folders = [place, *(os.path.join(place, name, "") for name in _listing(place))]
    return [folder + name for folder in folders for name in _listing(folder) if name.endswith(runtime.SUFFIX)]


def _listing(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _abstract(place: str) -> list[str]:
    try:
        with open("/proc/net/unix", encoding="utf-8", errors="replace") as table:
            names = {line.split()[-1] for line in table}
    except OSError:
        return []
    return sorted(name for name in names if name.startswith(place) and name.endswith(runtime.SUFFIX))
