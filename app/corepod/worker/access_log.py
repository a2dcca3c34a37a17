"""The access log: one line for each request, in the format of the setting."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from corepod.worker.access_atoms import Atoms
from corepod.worker.logs import access

if TYPE_CHECKING:
    from collections.abc import Iterable


class AccessLog:
    """Writes lines through a logger, so that the application's configuration of it counts."""

    def __init__(self, form: str, logger: logging.Logger = access) -> None:
        """`form` is the setting access_log_format; every atom in it is known to be one (see `config.checks`)."""
        self._form, self._logger = form, logger

    def write(self, scope: Any, status: int, headers: Iterable[tuple[bytes, bytes]], size: int, seconds: float) -> None:
        """Log a request: its ASGI scope; the status and the headers of its answer, 0 and none where it got none; the
        bytes of the answer's body that were sent; and the time from its arrival to its last byte."""
        logger = self._logger
        if logger.isEnabledFor(logging.INFO):
            # Not logger.info(): it looks for the caller in the stack, which costs more than the line.
            atoms = Atoms(scope, status, headers, size, seconds)
            logger.handle(logger.makeRecord(logger.name, logging.INFO, __file__, 0, self._form, (atoms,), None))
