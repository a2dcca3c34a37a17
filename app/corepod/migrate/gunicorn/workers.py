"""Workers, threads and the time that a request may take: what gunicorn's kinds of workers are to corepod."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from corepod.migrate.given import Given
from corepod.migrate.rules import usable

if TYPE_CHECKING:
    from corepod.migrate.rules import Case

SYNC, THREADS, ASGI, GREEN, OWN = "sync", "gthread", "ASGI", "green threads", "own"
KINDS = {
    "sync": SYNC,
    "gunicorn.workers.sync.SyncWorker": SYNC,
    "gthread": THREADS,
    "gunicorn.workers.gthread.ThreadWorker": THREADS,
    "asgi": ASGI,
    "gunicorn.workers.gasgi.ASGIWorker": ASGI,
}
UVICORN = re.compile(r"(uvicorn|uvicorn_worker)(\.workers)?\.Uvicorn(H11)?Worker")
MOST_GREEN = 64
ONE = (
    "one worker stays one: its memory may hold a registry of jobs, sessions or SQLite; auto is one for each core, once "
    "nothing depends on that"
)
PLATFORM = (
    "the platform sets WEB_CONCURRENCY, and corepod starts no more workers than there are cores for it. Without it "
    "corepod starts one for each usable core, and not one alone: write workers = 1 if the application needs that"
)
TWICE = (
    "2 x cores + 1 exists because a worker of gunicorn waits while its request waits; a worker of corepod has threads "
    "or a loop, and a core of its own"
)


def kind(case: Case) -> str:
    name = str(case.value("worker_class", "sync"))
    if name in KINDS:
        found = KINDS[name]
    elif "Uvicorn" in (derived := " ".join([name, *map(ast.unparse, own.bases if (own := own_class(case)) else ())])):
        return ASGI
    elif re.search(r"gevent|eventlet|meinheld", derived, re.IGNORECASE):
        return GREEN
    else:
        return OWN
    return THREADS if found == SYNC and _threads(case) > 1 else found


def own_class(case: Case) -> ast.ClassDef | None:
    """The source of a worker's class that is the application's own."""
    module, _, own = str(case.value("worker_class", "")).rpartition(".")
    path = case.context.folder / f"{module.replace('.', '/')}.py"
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return None
    return next((node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == own), None)


def known(given: Given) -> bool:
    """Whether it is a worker of gunicorn's or uvicorn's, and not one that is derived from them."""
    return str(given.value) in KINDS or UVICORN.fullmatch(str(given.value)) is not None


def wsgi(case: Case) -> bool:
    return kind(case) not in (ASGI, OWN)


def _threads(case: Case) -> int:
    try:
        return case.given["threads"].count if "threads" in case.given else 1
    except ValueError:
        return 1


def workers(case: Case, given: Given) -> None:
    decided = [name for name in given.reads if case.context.environ.get(name) == str(given.value)]
    if "WEB_CONCURRENCY" in decided:
        note = "corepod reads WEB_CONCURRENCY, too, and starts no more workers than there are cores for it"
        case.program.map(given.setting, given.text, "WEB_CONCURRENCY", note)
    elif given.cores and not decided:
        case.use(given, "workers", "auto", f"computed from the cores: {TWICE}; auto follows the cores of the pod, too")
    elif given.count < 1:
        case.ask(given, "a pool has at least one worker; corepod run --debug serves one process to look at")
    elif given.count == 1:
        case.use(given, "workers", 1, ONE)
    else:
        _many(case, given)


def _many(case: Case, given: Given) -> None:
    cores = usable(case.context)
    if given.count <= cores:
        case.use(given, "workers", given.count)
        return
    case.program.settings["pin"] = "never"
    note = (
        f"more than the {cores} usable core(s) here, which pin = never allows: workers then share cores. Workers that "
        "wait are replaced by threads or the loop; try auto, one for each core"
    )
    case.use(given, "workers", given.count, note, check=True)


def one_worker(case: Case) -> None:
    """The number of a server that starts one where it isn't told another."""
    if "workers" not in case.given and not case.context.environ.get("WEB_CONCURRENCY"):
        case.program.use("--workers", "not given: 1", "workers", 1, ONE)


def unset_workers(case: Case, given: Given) -> None:
    """The number of a server that reads WEB_CONCURRENCY where it isn't told one. A number in corepod.toml would take
    precedence over that of a platform."""
    if "workers" in case.given or case.context.environ.get("WEB_CONCURRENCY"):
        return
    if case.context.platform:
        case.program.map(given.setting, "not given", "WEB_CONCURRENCY", PLATFORM, check=True)
    else:
        workers(case, given)


def worker_class(case: Case, given: Given) -> None:
    found = kind(case)
    if found == SYNC:
        note = "one request at a time in each worker, as the application has always had it; it may not be thread-safe"
        case.use(given, "wsgi_threads", 1, note)
    elif found == THREADS:
        case.drop(given, "threads are what WSGI applications have in corepod (wsgi_threads)")
    elif found == ASGI:
        case.drop(given, "ASGI applications are served by corepod itself")
    elif found == GREEN:
        _green(case, given)
    else:
        case.ask(given, "a worker class of its own: what it changes has to be found another way, or isn't needed")


def _green(case: Case, given: Given) -> None:
    connections = int(case.given["worker_connections"].number) if "worker_connections" in case.given else 1000
    note = (
        "green threads become real ones. Nothing may rely on monkey patching; Socket.IO needs its ASGI application; "
        "clients that wait for long need more threads"
    )
    case.use(given, "wsgi_threads", max(1, min(connections, MOST_GREEN)), note, check=True)


def threads(case: Case, given: Given) -> None:
    found = kind(case)
    if found in (ASGI, GREEN, OWN):
        case.drop(given, f"has no effect with {case.value('worker_class')}")
    else:
        case.use(given, "wsgi_threads", given.count)


def worker_connections(case: Case, given: Given) -> None:
    found = kind(case)
    if found == SYNC:
        case.drop(given, "has no effect with sync workers")
    elif found == GREEN:
        case.drop(given, "decides wsgi_threads")
    elif given.count == 0:
        case.drop(given, "no limit, as by default")
    else:
        case.use(given, "limit_connections", given.count)


def timeout(case: Case, given: Given) -> None:
    seconds = given.number
    if kind(case) == SYNC or wsgi(case):
        note = "" if kind(case) == SYNC else "gunicorn's was about the worker, not about one request of its threads"
        case.use(given, "wsgi_timeout", seconds, note if seconds else "off, as 0 is with gunicorn")
        return
    note = "with an event loop it was about a loop that is blocked; it never limited a request (request_timeout does)"
    case.use(given, "stuck_timeout", seconds, note)
    case.program.settings["busy_timeout"] = seconds


def unset(case: Case) -> None:
    """What gunicorn does where nothing is given, and corepod wouldn't."""
    nothing = "not given"
    unset_workers(case, Given("workers", 1, f"{nothing}: 1"))
    if not wsgi(case):
        return
    if kind(case) == SYNC and "threads" not in case.given and "worker_class" not in case.given:
        worker_class(case, Given("worker_class", "sync", f"{nothing}: sync"))
    if "timeout" not in case.given:
        timeout(case, Given("timeout", 30, f"{nothing}: 30"))
