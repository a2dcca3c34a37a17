"""The template: it holds the application or its libraries, runs no event loop and no thread, and forks workers on
request."""

from __future__ import annotations

import errno
import gc
import os
import sys
from typing import TYPE_CHECKING

from corepod.contract.exits import EXIT_INTERNAL, EXIT_OK
from corepod.contract.messages import Fork, Hello, Imported, Refused, Unforkable
from corepod.worker import children, forkable, title
from corepod.worker.control import Control
from corepod.worker.ending import ProcessEnd
from corepod.worker.load import BootError, load_application
from corepod.worker.process import Inheritance, lead_group, prepare_process, set_name
from corepod.worker.run import become_worker

if TYPE_CHECKING:
    from typing import Any, NoReturn


def serve(inheritance: Inheritance) -> int:
    """Fork a child for each request of the supervisor; returns when the supervisor is gone."""
    set_name("corepod-template")
    title.show("template")
    # A collection in a child would write to every page that it shares with the template.
    gc.collect()
    gc.freeze()
    while True:
        message, fds = inheritance.control.receive()
        if not isinstance(message, Fork):
            return EXIT_OK
        if (threads := forkable.threads()) > 1:
            inheritance.control.send(Unforkable(f"the template has {threads} threads now"))
        else:
            with children.forking_workers():
                refusal = _fork_worker(inheritance, fds, warm=message.warm, live=message.live)
            if refusal:
                # On the child's own socket: of several requests under way this one has failed.
                child = Control(os.dup(fds[0]))
                child.send(Refused(refusal))
                child.close()
        for fd in fds:
            os.close(fd)


def _fork_worker(inheritance: Inheritance, fds: list[int], *, warm: bool, live: bool) -> str:
    """Fork twice: the process in between exits at once, so that the supervisor becomes the worker's parent and reads
    its exit status itself. Returns the reason where the system refused to fork, else an empty text."""
    try:
        middle = os.fork()
    except OSError as error:
        return os.strerror(error.errno or 0)
    if middle == 0:
        code = EXIT_INTERNAL
        try:
            lead_group()  # the template's is ended with the template, which must not hit what it has forked
            me = os.getpid()
            if os.fork() == 0:
                _become_child(inheritance, fds, me, warm=warm, live=live)
            code = EXIT_OK
        except OSError:
            code = os.EX_TEMPFAIL
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(code)
    _, status = os.waitpid(middle, 0)
    return os.strerror(errno.EAGAIN) if os.waitstatus_to_exitcode(status) == os.EX_TEMPFAIL else ""


def _become_child(inheritance: Inheritance, fds: list[int], middle: int, *, warm: bool, live: bool) -> NoReturn:
    # Until its parent is the supervisor this process must not say hello (there its pid means nothing yet) nor ask for a
    # signal at its parent's death (it would come at once).
    while os.getppid() == middle:
        os.sched_yield()
    control_fd, stacks_fd, *outputs = fds
    inheritance.control.close()
    inheritance.control = Control(control_fd)
    children.keep_from_children(inheritance.control, *inheritance.listeners)
    for fd, number in zip(outputs, (1, 2), strict=False):
        os.dup2(fd, number, inheritable=True)
        os.close(fd)
    prepare_process(inheritance.control, stacks_fd)
    set_name("corepod-standby")
    title.show("standby")
    for fd in inheritance.files:
        forkable.reopen(fd)
    inheritance.control.send(Hello())
    if inheritance.app is None:
        inheritance.app = _import_application(inheritance)
    become_worker(inheritance, warm=warm, live=live)


def _import_application(inheritance: Inheritance) -> Any:
    try:
        app = load_application(inheritance.settings, forgiving=True)
    except BootError as error:
        inheritance.control.failed(error.kind, str(error), error.traceback)
        end = ProcessEnd(inheritance.settings.stop_timeout)
        end.code = error.code
        end.begin(None)
        end.finish()
    inheritance.control.send(Imported())
    return app
