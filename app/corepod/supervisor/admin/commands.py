"""What only the owner of the pool may ask for, on a control socket: what the other resources don't show, and commands.

Each is answered at once, with a JSON object; what comes of a command shows in the status and in the events.
"""

from __future__ import annotations

from corepod.contract.env import SECRETS
from corepod.supervisor.refusal import Refused, whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from corepod.supervisor.io.log import StreamLog
    from corepod.supervisor.settings import Settings
    from corepod.supervisor.steering import Steering

    Query = dict[str, str]


class Commands:
    """`read` are asked for with GET, `act` with POST; values are in the query of the request's target."""

    def __init__(
        self,
        steering: Steering,
        settings: Settings,
        log: StreamLog,
        stop: Callable[[bool], None],
        detail: Callable[[str], dict[str, Any]],
    ) -> None:
        """`stop(at_once)` ends the pool; `detail(slot)` is what the status doesn't say of one."""
        self._settings, self._log, self._stop = settings, log, stop
        self.read: dict[str, Callable[[Query], dict[str, Any]]] = {
            "/events": self._events,
            "/settings": self._show_settings,
            "/stacks": lambda query: steering.stacks(query.get("slot", "")),
            "/slot": lambda query: detail(query.get("slot", "")),
            "/log": self._last_lines,
        }
        self.act: dict[str, Callable[[Query], dict[str, Any]]] = {
            "/reload": lambda query: steering.reload(),
            "/restart": lambda query: steering.restart(query.get("slot", "")),
            "/scale": lambda query: steering.scale(query.get("to", "")),
            "/dump": lambda query: steering.dump(query.get("slot", "")),
            "/stop": self._ask_to_stop,
        }

    def answer(self, method: str, path: str, query: Query) -> tuple[int, dict[str, Any]]:
        """Status and document. `path` is one of `read` or `act`; a command that isn't done is a conflict (409)."""
        table, other = (self.act, self.read) if method == "POST" else (self.read, self.act)
        if path not in table:
            return 405, {"error": f"{path} is asked for with {'POST' if other is self.act else 'GET'}"}
        try:
            return 200, table[path](query)
        except Refused as refused:
            return 409, {"error": str(refused)}

    def __contains__(self, path: str) -> bool:
        return path in self.read or path in self.act

    def _events(self, query: Query) -> dict[str, Any]:
        events = self._log.events
        after = whole(query.get("after", "")) or 0
        return {"since": events.since, "last": events.last, "events": events.after(after)}

    def _last_lines(self, query: Query) -> dict[str, Any]:
        return {"lines": self._log.recent.lines(whole(query.get("slot", "")))}

    def _show_settings(self, query: Query) -> dict[str, Any]:
        """Every setting with its source. A factory's arguments may be secrets, too."""
        sources, values = self._settings.sources, self._settings.values
        shown = {name: "***" if name in SECRETS and values[name] else values[name] for name in sources}
        shown["app"] = self._settings.app.partition("(")[0]
        return {name: {"value": shown[name], "from": source} for name, source in sources.items()}

    def _ask_to_stop(self, query: Query) -> dict[str, Any]:
        self._stop(query.get("now", "") == "1")
        return {"within": self._settings.stop_timeout}
