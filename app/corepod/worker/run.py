"""Runs a worker in an event loop of its own, to the end of its process."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

from corepod.worker import children
from corepod.worker.ending import ProcessEnd, exit_code
from corepod.worker.worker import WorkerProcess

if TYPE_CHECKING:
    from threading import Thread
    from typing import NoReturn

    from corepod.worker.process import Inheritance
    from corepod.worker.settings import WorkerSettings


def become_worker(inheritance: Inheritance, *, warm: bool, live: bool) -> NoReturn:
    """Serve until told to stop, then end this process: the callers' frames are the template's, and must not run on."""
    settings = inheritance.settings
    end, serving = ProcessEnd(settings.stop_timeout), Serving(inheritance, warm=warm, live=live)
    try:
        # None: as the interpreter was told, by PYTHONASYNCIODEBUG or -X dev.
        with asyncio.Runner(debug=settings.debug or None, loop_factory=loop_factory(settings)) as runner:
            try:
                end.code = serving.run(runner.get_loop())
            finally:
                children.let_stops_pass(runner.get_loop())
                end.begin(serving.stop_by, serving.all_hang)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    end.finish()


class Serving:
    """The worker's task. Other tasks may ask the process to exit, which asyncio takes for the end of the loop."""

    def __init__(self, inheritance: Inheritance, *, warm: bool, live: bool) -> None:
        self._inheritance, self._warm, self._live = inheritance, warm, live
        self._worker: WorkerProcess | None = None

    @property
    def stop_by(self) -> float | None:
        """When the supervisor kills this process, None where it hasn't asked it to stop."""
        return self._worker.stop_by if self._worker is not None else None

    def all_hang(self, threads: list[Thread]) -> bool:
        """Whether these threads will never end, as far as is known."""
        return self._worker is not None and self._worker.all_hang(threads)

    def run(self, loop: asyncio.AbstractEventLoop) -> int:
        """The exit code. Raises what ends the worker's own task."""
        task = loop.create_task(self._main())
        while True:
            try:
                code = loop.run_until_complete(task)
            except (SystemExit, KeyboardInterrupt) as error:
                if self._worker is None or task.done():
                    code = exit_code(error)
                else:
                    self._worker.interrupted(error)  # in another task; every request in flight goes on
                    continue
            except asyncio.CancelledError:
                code = 0  # its start was given up
            asked = self._worker.exit_code if self._worker is not None else None
            return code if asked is None else asked

    async def _main(self) -> int:
        self._worker = WorkerProcess(self._inheritance)
        return await self._worker.run(warm=self._warm, live=self._live)


def loop_factory(settings: WorkerSettings) -> Any:
    """Makes the event loop that the user wants; None for asyncio's own."""
    if settings.loop == "uvloop":
        import uvloop

        return uvloop.new_event_loop
    return None
