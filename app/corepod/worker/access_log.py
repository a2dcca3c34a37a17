"""The access log: one line for each request, in the format of the setting."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any

from corepod.worker.access_atoms import Atoms
from corepod.worker.logs import access, without_record

if TYPE_CHECKING:
    from collections.abc import Iterable

    from corepod.worker.settings import WorkerSettings


def access_log(settings: WorkerSettings) -> AccessLog | None:
    """What the settings ask for, None where requests aren't logged."""
    if not settings.access_log:
        return None
    form, skip = settings.access_log_format, settings.access_log_skip
    return SelectiveAccessLog(form, skip) if skip else AccessLog(form)


class AccessLog:
    """Writes lines through a logger, so that the application's configuration of it counts."""

    def __init__(self, form: str, logger: logging.Logger = access) -> None:
        """`form` is the setting access_log_format; every atom in it is known to be one (see `config.checks`)."""
        self._form, self._logger = form, logger

    def write(self, scope: Any, status: int, headers: Iterable[tuple[bytes, bytes]], size: int, seconds: float) -> None:
        """Log a request: its ASGI scope; the status and the headers of its answer, 0 and none where it got none; the
        bytes of the answer's body that were sent; and the time from its arrival to its last byte."""
        logger = self._logger
        if not logger.isEnabledFor(logging.INFO):
            return
        atoms = Atoms(scope, status, headers, size, seconds)
        if (handler := without_record(logger)) is not None:
            try:
                handler.write(self._form, atoms)
            except Exception:
                handler.handleError(self._record(atoms))
        else:
            # Not logger.info(): it would look for the caller in the stack.
            logger.handle(self._record(atoms))

    def _record(self, atoms: Atoms) -> logging.LogRecord:
        return self._logger.makeRecord(self._logger.name, logging.INFO, __file__, 0, self._form, (atoms,), None)


class SelectiveAccessLog(AccessLog):
    """Without the requests of some paths. A class of its own, so that the others pay nothing for it."""

    def __init__(self, form: str, skip: list[str], logger: logging.Logger = access) -> None:
        """`skip` is the setting access_log_skip."""
        super().__init__(form, logger)
        texts = (".*".join(map(re.escape, path.split("*"))) for path in skip)
        self._skips = re.compile("|".join(texts), re.DOTALL).fullmatch

    def write(self, scope: Any, status: int, headers: Iterable[tuple[bytes, bytes]], size: int, seconds: float) -> None:
        if not self._skips(scope["path"]):
            super().write(scope, status, headers, size, seconds)
