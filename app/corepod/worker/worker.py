"""A worker in its event loop: warm up, wait for a slot, start the application, serve, drain, stop."""

from __future__ import annotations

import asyncio
import os
import time
import traceback
from typing import TYPE_CHECKING, Any

from corepod.contract.exits import EXIT_BOOT
from corepod.contract.messages import (
    Activate,
    Armed,
    Drain,
    Handovers,
    InboxAnswer,
    Lame,
    Message,
    Ready,
    Signalled,
    TurnRequest,
    Unpinned,
)
from corepod.worker import children, logs, stacks
from corepod.worker.accept import Acceptor
from corepod.worker.application import api, leadership, shared_state
from corepod.worker.application.development import Pages
from corepod.worker.application.guard import guard
from corepod.worker.application.instrumented import Instrumented
from corepod.worker.application.lifespan import Lifespan, LifespanFailedError
from corepod.worker.application.middleware import wrap
from corepod.worker.application.overload import Overload
from corepod.worker.application.readiness import poll_ready_path
from corepod.worker.application.unavailable import answer_unavailable
from corepod.worker.ending import exit_code
from corepod.worker.implementation import create_server
from corepod.worker.ipc import place
from corepod.worker.overtime import Overtime
from corepod.worker.process import Inheritance, occupy_slot
from corepod.worker.stalls import StallWatch
from corepod.worker.threads import LoopThreads, RequestThreads, ThreadWatch, pools
from corepod.worker.ticker import Ticker
from corepod.worker.turns import Turns
from corepod.worker.warmup import warm_up

if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import Thread

    from corepod.worker.sticky.sessions import StickySessions
    from corepod.worker.ticker import Watch

LAST_MOMENT = 0.5  # seconds before the supervisor's deadline at which the worker cuts connections itself
# Seconds in which a request may come whose connection the kernel holds back (TCP_DEFER_ACCEPT) as the pool stops: for
# its client it is established, and would be reset with the last copy of the listening socket.
LATE = 0.1
CLEAN_UP = 0.5  # seconds that closing connections may take when nothing is served any more


class WorkerProcess:
    """From an armed process to the end of a worker, told by the supervisor's messages. Made in a task of its loop."""

    def __init__(self, inheritance: Inheritance) -> None:
        self.stop_by: float | None = None  # CLOCK_MONOTONIC at which the supervisor kills it, None before it drains
        # Whether these threads, which keep the process from its end, will never end.
        self.all_hang: Callable[[list[Thread]], bool] = lambda threads: False
        self.exit_code: int | None = None  # what the application wants, None where it hasn't asked for the end
        self._inheritance = inheritance
        self._control, self._settings = inheritance.control, inheritance.settings
        self._loop = asyncio.get_running_loop()
        self._inbox: asyncio.Queue[Message | None] = asyncio.Queue()
        self._place = place.Place(self._loop, inheritance.control, inheritance.record)
        place.settle(self._place)
        children.keep_from_children_too(self._place)
        self._loop.add_reader(inheritance.control.fileno(), self._read)
        logs.configure_logging(inheritance.settings)
        logs.report_loop_errors(self._loop)
        settings, record = inheritance.settings, inheritance.record
        self._pages = Pages(inheritance.app) if settings.reload else None
        self._guarded = guard(self._pages or inheritance.app, self.leave)
        Overload(settings, record).limit_threads(inheritance.app)
        self._sticky: StickySessions | None = None
        answers = self._guarded
        if settings.sticky:
            from corepod.worker.application.sticky_cookie import StickyCookie  # others don't load this
            from corepod.worker.sticky.sessions import StickySessions

            self._sticky = StickySessions(settings, record, self._loop)
            children.keep_from_children_too(self._sticky)
            answers = StickyCookie(self._guarded, self._sticky)
        self._app = Instrumented(wrap(answer_unavailable(answers, settings), settings, record), record)
        self._threads = LoopThreads(self._in_flight)
        self._loop.set_default_executor(self._threads)
        self._server = create_server(self._app, settings, record, inheritance.tls)
        self._lifespan = Lifespan(inheritance.app, self._server.state)
        self._turns = Turns(self._loop, inheritance.control)
        self._tasks: list[asyncio.Task[Any]] = []
        self._starting: asyncio.Task[Any] | None = None
        self._placed = False  # it has a slot
        self._leaving = False  # this worker stops, and not the pool
        self._held_back = False  # the kernel holds back connections that have brought nothing yet

    async def run(self, *, warm: bool, live: bool) -> int:
        """The exit code. `warm`: begin with the warm-up request. `live`: run the lifespan without a slot."""
        if warm:
            await warm_up(self._server, self._app)
        started = live and await self._start()
        if live and not started:
            return EXIT_BOOT
        # Not when it starts accepting: this takes a tenth of the time from a crash to the next answer.
        children.handle_stops(self._loop, self._signalled)
        stacks.show_when_asked(self._loop)
        self._control.send(Armed())
        message = await self._inbox.get()
        if not isinstance(message, Activate):
            if started:  # a live standby that is too old, or no longer needed
                await self._shut_down()
            return 0
        self._occupy_slot(message)
        self._placed = True
        if not started and not await self._start():
            return EXIT_BOOT
        acceptor = self._start_accepting(message.slot, message.slots)
        drain = await self._until_drain()
        await self._drain(acceptor, drain)
        return 0

    def _in_flight(self) -> int:
        return self._app.in_flight

    def _read(self) -> None:
        message, fds = self._control.receive()
        if isinstance(message, InboxAnswer):
            self._place.answered(message, fds)
            return
        if isinstance(message, TurnRequest):
            self._turns.asked(message)
            return
        if isinstance(message, Handovers) and self._sticky is not None:
            self._sticky.told(message, fds)
            return
        if message is None:
            self._loop.remove_reader(self._control.fileno())
        if self._starting is not None and (message is None or isinstance(message, Drain)):
            self._starting.cancel()  # a start that takes long must not hold up the stop
        self._inbox.put_nowait(message)

    def _occupy_slot(self, message: Activate) -> None:
        me, why = occupy_slot(message)
        record = self._inheritance.record
        record.attach(message.record)
        if why:
            self._control.send(Unpinned(why))
        api.join_pool(me, self._control)
        leadership.join_pool(record)
        self._place.occupy(me)
        self._server.state["corepod"] = self._app.extension = me._asdict()
        found = pools(self._inheritance.app, self._threads, self._in_flight)
        watches: list[Watch] = [ThreadWatch(found, record.words)]
        limit = 0.0 if self._settings.debug else self._settings.wsgi_timeout
        if limit and isinstance(threads := found[0], RequestThreads):
            overtime = Overtime(threads, limit, record.words)
            self.all_hang = overtime.all_hang
            watches.append(overtime)
        Ticker(self._loop, record, watches).tick()

    async def _start(self) -> bool:
        if self._pages is not None and self._pages.fault is not None:
            return True
        self._starting = asyncio.current_task()
        try:
            if self._settings.lifespan != "off":
                await self._lifespan.startup()
        except LifespanFailedError as error:
            # Frameworks put the whole traceback into the message.
            first, _, rest = str(error).strip().partition("\n")
            summary = str(error).strip().splitlines()[-1] if rest else first
            return self._not_started(summary, str(error) if rest else "")
        except (Exception, SystemExit, KeyboardInterrupt) as error:
            text = "".join(traceback.format_exception(error))
            summary = "".join(traceback.format_exception_only(error)).strip()
            return self._not_started(summary, text)
        finally:
            self._starting = None
        logs.configure_application(self._settings)
        return True

    def _not_started(self, summary: str, text: str) -> bool:
        """Whether to go on, with a page in the application's place."""
        message = f"the application's lifespan failed: {summary}"
        if self._pages is not None:
            self._pages.fail(message, text)
            return True
        self._control.failed("exception", message, text)
        return False

    def _start_accepting(self, slot: int, slots: int) -> Acceptor:
        settings, server, sticky = self._settings, self._server, self._sticky
        # The gate leaves connections to other workers; where there is none it only costs time. A few connections in
        # each turn of the loop cost less than one does, and the first of a long queue isn't answered after the last.
        strategy = "several" if settings.accept == "gate" and slots == 1 else settings.accept
        acceptor = Acceptor(
            self._loop,
            self._inheritance.listeners,
            self._app,
            server.connect if sticky is None else sticky.connect,
            strategy,
            logs.log.warning,
        )
        server.connections.on_waiting = acceptor.brings_nothing
        if limit := settings.limit_connections:
            server.connections.on_count = lambda count: self._pause(acceptor, count >= limit)
        self._watch_for_stalls()
        acceptor.start()
        if sticky is not None:
            sticky.begin(slot, server, acceptor.expect)
        self._held_back = acceptor.defers
        if settings.ready_path:
            polling = poll_ready_path(self._guarded, settings, server.state, api.report_ready_path)
            self._tasks.append(self._loop.create_task(polling))
        if settings.shared_required:
            self._tasks.append(self._loop.create_task(shared_state.watch(api.report_shared_state)))
        if self._pages is not None and self._pages.fault is not None:
            api.report_broken(self._pages.fault.summary)
        self._control.send(Ready())
        self._place.begin()
        return acceptor

    def _pause(self, acceptor: Acceptor, full: bool) -> None:
        acceptor.pause(full)
        if self._sticky is not None:
            self._sticky.pause(full)

    def _watch_for_stalls(self) -> None:
        # With `debug` somebody may sit in a debugger.
        if not self._settings.stall_log or self._settings.debug:
            return
        try:
            StallWatch(self._loop, self._app, self._settings.stall_log, logs.log.warning).begin()
        except (OSError, AttributeError, ValueError) as error:
            logs.log.info("stall_log has no effect here: %s", error)

    def _signalled(self) -> None:
        """Somebody tells this process to stop. Whether that is meant for the whole pool the supervisor will know; a
        standby ends with the pool in any case."""
        if self._placed:
            self._control.send(Signalled())

    def stop(self) -> None:
        """Stop this worker, not the pool: it ends gracefully, and the supervisor starts the next one."""
        if self._starting is not None:
            self._starting.cancel()
        self._leaving = True
        self._inbox.put_nowait(Drain(self._settings.stop_timeout, 0.0))
        self._loop.call_later(self._settings.stop_timeout, self._overdue)

    def _overdue(self) -> None:
        # The supervisor, which would kill a worker that it had told to stop, doesn't know of this stop.
        logs.log.error("not stopped within stop_timeout: the process ends now")
        os._exit(1 if self.exit_code is None else self.exit_code)

    def interrupted(self, error: SystemExit | KeyboardInterrupt) -> None:
        """A task or callback of the application has ended the loop with this exception; it runs again."""
        if self._starting is not None and self._lifespan.failed_with(error):
            self.exit_code = exit_code(error)  # the start fails, and says why
            return
        logs.log.error("%s out of a task of the application", type(error).__name__, exc_info=error)
        self.leave(error)

    def leave(self, error: SystemExit | KeyboardInterrupt) -> None:
        """The application wants this process to end: it does, when it has finished what it serves."""
        if self.exit_code is None:
            self.exit_code = exit_code(error)
            logs.log.warning("the application asked this process to exit; it finishes what it serves first")
            api.report_leaving()
            self.stop()

    async def _until_drain(self) -> Drain:
        while (message := await self._inbox.get()) is not None:
            if isinstance(message, Drain):
                return message
            if isinstance(message, Lame):
                self._server.announce_close()
        return Drain(0.0, 0.0)  # the supervisor is gone

    async def _drain(self, acceptor: Acceptor, message: Drain) -> None:
        self.stop_by = time.monotonic() + message.within
        leadership.drain()
        self._place.end()
        server, deadline = self._server, self._loop.time() + message.within - LAST_MOMENT
        connections = server.connections
        if self._sticky is not None:
            self._sticky.end(last=not (message.linger or self._leaving))
        if not message.linger:
            acceptor.take_all()
        if message.linger or self._leaving:  # other workers go on accepting
            acceptor.stop()
        server.announce_close()
        server.close_websockets()
        if connections.open and message.linger:
            # Clients close by themselves what a response has asked them to; idle ones time out (keep_alive).
            await connections.wait_closed(min(message.linger, max(0.0, deadline - self._loop.time())))
        if self._held_back and not (message.linger or self._leaving):
            await asyncio.sleep(min(LATE, max(0.0, deadline - self._loop.time())))
        acceptor.stop()
        if self._sticky is not None and not (message.linger or self._leaving):
            self._sticky.take_rest(last=True)  # that of a worker which was killed while the pool stopped
        await connections.until_asked()
        await self._until_idle(deadline)
        if left := self._app.in_flight:
            logs.log.warning("%d request(s) still running at the end of stop_timeout are cut off", left)
        await self._place.heard(deadline)
        connections.close_idle()
        await connections.flush(deadline - self._loop.time())
        await connections.wait_closed(CLEAN_UP if self._loop.time() < deadline else 0.0)
        for task in self._tasks:
            task.cancel()
        await self._shut_down()
        await self._turns.end(self._settings.shared_timeout)

    async def _shut_down(self) -> None:
        if complaint := await self._lifespan.shutdown():
            logs.log.error("the application's shutdown failed: %s", complaint)

    async def _until_idle(self, deadline: float) -> None:
        idle = asyncio.Event()
        self._app.idle = idle.set
        while self._app.in_flight and (left := deadline - self._loop.time()) > 0:
            idle.clear()
            try:
                await asyncio.wait_for(idle.wait(), left)
            except TimeoutError:
                return
        # The last response may still be on its way through the stream's task.
        await asyncio.sleep(0)
