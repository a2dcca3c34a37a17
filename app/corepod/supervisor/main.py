"""What comes before the loop: descriptors, signals, settings and the log."""

from __future__ import annotations

import os
import select
import sys

from corepod.contract import title
from corepod.contract.env import ONE_CORE_ENV, WORKER_ENV
from corepod.contract.exits import EXIT_SETTINGS
from corepod.supervisor.io.log import StreamLog
from corepod.supervisor.io.loop import Loop, catchable
from corepod.supervisor.launch import sockets
from corepod.supervisor.launch.sockets import StartError
from corepod.supervisor.settings import Settings, from_environment
from corepod.supervisor.supervisor import FLUSH_TIMEOUT, Supervisor

MESSAGE_MOST = 4096  # bytes of a termination message that Kubernetes shows

if not sys.platform.startswith("linux"):
    sys.exit("corepod needs Linux")


def main() -> int:
    """Entry point of the process. Bad input ends it with one line and a code of `corepod.contract.exits`."""
    _own_descriptors()
    loop = Loop()
    loop.catch(catchable())
    settings = from_environment()
    log = StreamLog(loop, form=settings.log_format, level=settings.log_level, prefix=settings.prefixed)
    sys.excepthook = log.fault
    if settings.log_file and (why := _open_log_file(settings, loop, log)):
        log.error(why)
        log.close(FLUSH_TIMEOUT)
        return EXIT_SETTINGS
    _set_defaults(WORKER_ENV)
    _set_name("corepod")
    title.show(title.describe("supervisor", settings.name, settings.app))
    code = _supervise(settings, loop, log)
    if code and settings.termination_log:
        _write_termination_message(settings.termination_log, log.errors)
    if code and settings.log_file and settings.starter is None:
        _repeat(log.errors)
    return code


def _supervise(settings: Settings, loop: Loop, log: StreamLog) -> int:
    try:
        supervisor = Supervisor(settings, loop, log)
    except StartError as error:
        sockets.remove_made()
        log.error(str(error))
        log.close(FLUSH_TIMEOUT)
        return error.code
    if settings.pin != "never" and (names := _set_defaults(ONE_CORE_ENV)):
        log.info(
            f"native libraries are told to use one thread in each worker: {'=1, '.join(names)}=1 "
            "(set them yourself, or use --pin never, to change that)"
        )
    if settings.lifeline is not None:
        _watch_lifeline(supervisor, settings.lifeline)
    return supervisor.run()


def _open_log_file(settings: Settings, loop: Loop, log: StreamLog) -> str:
    """Returns why it can't be opened, empty where it is. In the background it is standard output and error, too."""
    try:
        log.to_file(
            settings.log_file,
            loop,
            max_size=settings.log_max_size,
            files=settings.log_files,
            streams=settings.starter is not None,
        )
    except OSError as error:
        return f"the log file {settings.log_file} can't be written ({error.strerror}); choose another with --log-file"
    return ""


def _repeat(errors: list[str]) -> None:
    """Why the pool has ended, for people who see standard error and not the log file."""
    try:
        os.write(2, "".join(f"corepod: {error}\n" for error in errors).encode("utf-8", "backslashreplace"))
    except OSError:
        pass


def _own_descriptors() -> None:
    """Standard input, output and error are there, and nothing else that was inherited goes on to the workers."""
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            # Closed: the next descriptor opened would get its number, and workers would write their output into it.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    try:
        inherited = [int(name) for name in os.listdir("/proc/self/fd")]
    except OSError:
        return
    for fd in inherited:
        if fd > 2:
            try:
                os.set_inheritable(fd, False)
            except OSError:
                continue  # that of the listing itself


def _set_defaults(variables: dict[str, str]) -> list[str]:
    """Set what the user hasn't set, and return its names."""
    names = [name for name in variables if name not in os.environ]
    os.environ.update({name: variables[name] for name in names})
    return names


def _watch_lifeline(supervisor: Supervisor, fd: int) -> None:
    # The command line holds the other end: when it is gone, however it went, nobody is left to stop the pool.
    def ended(mask: int) -> None:
        supervisor.loop.remove(fd)
        if not supervisor.pool.stopping:
            supervisor.stop(supervisor.loop.now(), "the terminal's side is gone")

    supervisor.loop.add(fd, select.EPOLLIN | select.EPOLLHUP, ended)


def _write_termination_message(path: str, errors: list[str]) -> None:
    """Write why the pool has ended where Kubernetes looks for it, if there is such a place: a line an error."""
    lines = [message.splitlines() or [""] for message in errors]
    text = "".join(": ".join(dict.fromkeys((line[0], line[-1].strip()))) + "\n" for line in lines)
    try:
        file = os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_NONBLOCK)
        os.write(file, text.encode("utf-8", "backslashreplace")[-MESSAGE_MOST:])
        os.close(file)
    except OSError:
        pass  # outside of Kubernetes, or it isn't ours to write


def _set_name(name: str) -> None:
    try:
        with open("/proc/self/comm", "w") as comm:
            comm.write(name)
    except OSError:
        pass  # only a convenience for ps
