"""The values of the chart that a workload becomes, and the items of what is in its manifest."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from corepod.migrate.formats.documents import shown
from corepod.migrate.model import Fate

if TYPE_CHECKING:
    from corepod.migrate.formats.taking import Taking
    from corepod.migrate.model import Program

MODULE = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*(:[A-Za-z_][A-Za-z0-9_.]*([(].*[)])?)?")
# Settings that the chart decides by itself, or by other values (templates/_validate.tpl).
_OTHERS = ("app", "factory", "interface", "workers")
_OF_CHART = {
    "bind": "the chart's port 8000",
    "admin": "the chart's port 9000",
    "user": "podSecurityContext",
    "group": "podSecurityContext",
    "log_file": "kubectl logs",
    "log_max_size": "kubectl logs",
    "log_files": "kubectl logs",
    "reload": "no pod reloads code",
    "reload_dir": "no pod reloads code",
    "reload_include": "no pod reloads code",
    "reload_exclude": "no pod reloads code",
    "termination_log": "the chart",
    "tls_key_password": "a Secret: extraEnv with COREPOD_TLS_KEY_PASSWORD",
}


class Chart:
    """Values under construction, for one program."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.values: dict[str, Any] = {}

    def put(self, path: str, value: Any) -> None:
        """The value at `image.tag` and the like."""
        *above, last = path.split(".")
        table = self.values
        for name in above:
            table = table.setdefault(name, {})
        table[last] = value

    def take(
        self, taking: Taking, key: str, path: str, value: Any = None, why: str = "", *, check: bool = False
    ) -> None:
        """The setting becomes this value; by default it is the same."""
        put = taking.get(key) if value is None else value
        self.put(path, put)
        taking.note(Fate.CHECK if check else Fate.MAPPED, key, f"{path}: {shown(put)}", why)

    def finish(self) -> dict[str, Any]:
        """The values, with the settings of the program."""
        settings = self.program.settings
        app = str(settings.get("app", ""))
        self.put("app.module", app if MODULE.fullmatch(app) else "")
        if app and not MODULE.fullmatch(app):
            self.program.ask("app.module", app, "the chart takes MODULE:ATTRIBUTE only")
        for name in ("factory", "interface"):
            if name in settings:
                self.put(f"app.{name}", settings[name])
        given = {name: value for name, value in settings.items() if name not in (*_OTHERS, *_OF_CHART)}
        if given:
            self.values["settings"] = given
        for name in sorted(set(settings) & set(_OF_CHART)):
            self._decided(name)
        return self.values

    def _decided(self, name: str) -> None:
        """A setting that isn't in the values: its items say what decides it."""
        value = self.program.settings.pop(name)
        before = f"{name} = "
        items = self.program.items
        found = [at for at, item in enumerate(items) if item.ours.startswith(before)]
        for at in found:
            item = items[at]
            fate = Fate.NEEDS_YOU if name in ("user", "group", "tls_key_password") else Fate.DROPPED
            items[at] = type(item)(fate, item.setting, item.value, note=f"decided by {_OF_CHART[name]}")
        if not found:
            self.program.drop(name, shown(value), f"decided by {_OF_CHART[name]}")
