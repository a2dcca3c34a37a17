"""What a hook of gunicorn does, read from its code, and what takes its place."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from corepod.migrate.gunicorn.source import dotted
from corepod.migrate.model import Fate

if TYPE_CHECKING:
    from collections.abc import Iterable

    from corepod.migrate.gunicorn.source import Function, Source

LOGS = re.compile(
    r"(^|\.)(log|logger|logging|LOG|LOGGER|_logger|access_log|error_log)\."
    r"(debug|info|warn|warning|error|critical|exception|log|access|getLogger|reopen_files)$"
    r"|^(logging\.\w+|logging\.getLogger\.(debug|info|warning|error|critical|exception)|print|pprint|getLogger)$|^sys\.std(out|err)\.(write|flush)$"
)
# They only make a value.
PURE = re.compile(
    r"^(str|int|float|len|repr|format|getattr|hasattr|isinstance|dict|list|set|tuple|sorted|round|max|min|sum|range|vars|id|next"
    r"|os\.(getpid|getppid|getenv|environ\.get|cpu_count|path\.\w+)|socket\.gethostname|time\.\w+|datetime\.\w+"
    r"|datetime\.datetime\.\w+|json\.dumps|traceback\.format_\w+|resource\.getrusage|gc\.(collect|freeze|disable))$"
    r"|(^|\.)(format|join|items|keys|values|get|strip|upper|lower|split|isoformat|strftime|decode|encode|total_seconds)$"
)
PROMETHEUS = re.compile(r"mark_process_dead|prometheus_multiproc_dir|multiprocess\.|MultiProcessValue", re.IGNORECASE)
EXPORTER = re.compile(r"prometheus|Registry|Metrics|start_http_server|start_wsgi_server", re.IGNORECASE)
# What a hook keeps for itself in gunicorn's objects.
NOTES = re.compile(r"(server|arbiter|worker|req)\.\w+")
FILES = re.compile(
    r"^(os|shutil|glob|pathlib|Path|tempfile|open)\b|(^|\.)(unlink|mkdir|rmtree|glob|iterdir|exists|is_dir|touch)$"
)
STACKS = re.compile(r"faulthandler|print_stack|_current_frames|format_stack|threading\.enumerate|extract_stack")
TOUCH = re.compile(r"(^|\.)(touch|utime)$|^open$|write_text$")
AGAIN = re.compile(
    r"dispose|close_all|close_old_connections|connections?\.|reconnect|\.disconnect|reset|seed|reinit|\.close$|clear|connect|forget"
)
TELEMETRY = re.compile(
    r"opentelemetry|TracerProvider|SpanProcessor|OTLP|MeterProvider|beeline|honeycomb|sentry_sdk|newrelic|ddtrace|"
    r"statsd|logfire|posthog|LaunchDarkly|ldclient|init_tracing|configure_tracing|instrument",
    re.IGNORECASE,
)
THREADS = re.compile(r"Thread$|Timer$|Scheduler|scheduler|Process$|ThreadPool|create_task|Observer|Popen|subprocess")
SERVERS = re.compile(r"start_http_server|HTTPServer|start_wsgi_server|make_server|serve_forever")
GREEN = re.compile(r"monkey|psycogreen|patch_psycopg|gevent|eventlet")
NOTICES = re.compile(r"requests\.|urlopen|httpx|capture_(message|exception)|send|notify|publish|webhook", re.IGNORECASE)

NOTHING = "does nothing"
APART = (
    "makes connections anew after the fork: each worker now imports the application itself, and shares less memory; "
    "with preload = application, os.register_at_fork(after_in_child=FUNCTION) does what the hook did"
)
MOVE = "move it to where the application is made (its module, or the lifespan's startup): each worker runs that itself"
LEADER = (
    "start it in the application, in the worker for which corepod.leader() is true: one of the pool, through deaths"
)
MASTER = ("on_starting", "when_ready", "on_reload", "pre_exec", "on_exit", "nworkers_changed")
ENDS = ("child_exit", "worker_exit", "worker_abort", "worker_int")
PLACES = {"when_ready": "on_ready", "on_starting": "on_ready", "on_reload": "on_reload", "child_exit": "on_exit"}


@dataclass(frozen=True)
class Hook:
    """What becomes of a hook; `ready_file` is the file that it makes when the pool is ready, and
    `skip` are paths that it keeps out of the access log; `ours` and `to` the setting that takes its place otherwise."""

    fate: Fate
    note: str
    ready_file: str = ""
    skip: tuple[str, ...] = ()
    ours: str = ""
    to: str = ""


def judge(name: str, function: Function | None, source: Source, *, preload: bool) -> Hook:
    """`preload`: whether workers are forked from a process that has imported the application."""
    if function is None:
        return Hook(Fate.NEEDS_YOU, f"its code isn't there to be read; {_place(name)}")
    nodes = source.body(function)
    calls = [dotted(node.func) for node in nodes if isinstance(node, ast.Call)]
    calls = [call for call in calls if call not in source.functions]
    read = [node.id for node in nodes if isinstance(node, ast.Name)]
    meant = [ast.unparse(value) for name_ in read if (value := source.assigned(name_))]
    names = [*calls, *_imports(nodes), *read, *meant]
    effects = [call for call in calls if call and not LOGS.search(call) and not PURE.search(call)]
    if not effects and not _changes(nodes):
        return Hook(Fate.DROPPED, "only writes to the log, as corepod does of starts and ends" if calls else NOTHING)
    if all(NOTES.match(each) for each in [*effects, *_changes(nodes)]) and not _any(AGAIN, effects):
        return Hook(Fate.DROPPED, "keeps something for itself in objects of gunicorn, which are gone with it")
    if any(effect.endswith("addFilter") for effect in effects) and (skipped := source.skipped()):
        return Hook(Fate.CHECK, "requests of these paths aren't logged", skip=tuple(sorted(set(skipped))))
    for seen in (_special, _by_words):
        if hook := seen(name, effects, names, nodes, preload):
            return hook
    does = ", ".join(dict.fromkeys(effects)) or "changes " + ", ".join(_changes(nodes))
    return Hook(Fate.NEEDS_YOU, f"does {does}; {_place(name)}")


def _special(name: str, effects: list[str], names: list[str], nodes: list[ast.AST], preload: bool) -> Hook | None:
    """Hooks that corepod makes superfluous, all that they do included."""
    if _any(PROMETHEUS, [*names, *_texts(nodes)]) and all(_either(effect, PROMETHEUS, FILES) for effect in effects):
        return Hook(Fate.DROPPED, "corepod keeps the folder of PROMETHEUS_MULTIPROC_DIR clean")
    if _any(STACKS, names) and name in ("worker_abort", "worker_int", "post_worker_init", "post_fork"):
        return Hook(Fate.DROPPED, "corepod logs the stacks of a worker that is stuck, and corepod dump shows them")
    if name in ("when_ready", "on_starting") and effects and all(_either(e, TOUCH, FILES) for e in effects):
        paths = [path for path in _texts(nodes) if path.startswith("/")]
        if len(set(paths)) == 1 and any(TOUCH.search(effect) for effect in effects):
            return Hook(Fate.MAPPED, "made when the pool is ready", ready_file=paths[0])
    if effects and all(effect.endswith("seed") for effect in effects):
        return Hook(Fate.DROPPED, "random generators are seeded in each worker")
    return None


def _by_words(name: str, effects: list[str], names: list[str], nodes: list[ast.AST], preload: bool) -> Hook | None:
    if name in ("pre_request", "post_request"):
        return Hook(
            Fate.NEEDS_YOU, "corepod's metrics have requests and their times; anything else is for a middleware"
        )
    if name == "ssl_context":
        return Hook(Fate.NEEDS_YOU, "tls_cert, tls_key, tls_client_ca and tls_ciphers are what can be set")
    ports = {node.value for node in nodes if isinstance(node, ast.Constant) and type(node.value) is int}
    if _any(SERVERS, names) and len(ports) == 1 and not _any(EXPORTER, names):
        note = (
            "a server for probes: corepod answers at the same port, but at other paths. What probes the pool has to "
            "ask for /livez and /readyz in place of the old ones"
        )
        return Hook(Fate.CHECK, note, ours="admin", to=f"0.0.0.0:{min(ports)}")
    if _any(SERVERS, names):
        what = "probes and metrics are served at the admin port (/livez, /readyz, /metrics)"
        return Hook(
            Fate.NEEDS_YOU, f"starts a server: {what}; the application's own metrics need a path of the application"
        )
    if _any(GREEN, effects):
        return Hook(Fate.DROPPED, "patches for green threads: corepod has real ones")
    if _any(TELEMETRY, [*effects, *_imports(nodes)]):
        return Hook(Fate.NEEDS_YOU, f"starts telemetry: {MOVE}")
    if _any(THREADS, effects):
        return Hook(Fate.NEEDS_YOU, f"starts something in the background: {LEADER if name in MASTER else MOVE}")
    if name in ("post_fork", "pre_fork", "post_worker_init") and effects and all(AGAIN.search(e) for e in effects):
        if preload:
            return Hook(Fate.CHECK, APART, ours="preload", to="libraries")
        return Hook(Fate.DROPPED, "makes connections anew after the fork; each worker imports the application itself")
    if name in ENDS and _any(NOTICES, effects):
        return Hook(Fate.NEEDS_YOU, "tells somebody about the end: on_exit has a webhook, a command or MODULE:FUNCTION")
    return None


def _place(name: str) -> str:
    if name in ("on_exit", "nworkers_changed", "pre_exec"):
        return "corepod has no hook there; what starts the pool can do it"
    if name in PLACES:
        return f"{PLACES[name]} runs a command or MODULE:FUNCTION then, in a process of its own"
    if name in ENDS:
        return "in the worker itself that is the lifespan's shutdown or atexit; on_exit runs beside it"
    return MOVE


def _changes(nodes: Iterable[ast.AST]) -> list[str]:
    """Attributes and items that are assigned: variables, settings of libraries."""
    targets = [
        target
        for node in nodes
        if isinstance(node, ast.Assign | ast.AugAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
    ]
    return [ast.unparse(target) for target in targets if isinstance(target, ast.Attribute | ast.Subscript)]


def _imports(nodes: Iterable[ast.AST]) -> list[str]:
    return [
        text
        for node in nodes
        if isinstance(node, ast.Import | ast.ImportFrom)
        for text in (getattr(node, "module", None) or "", *(alias.name for alias in node.names))
    ]


def _texts(nodes: Iterable[ast.AST]) -> list[str]:
    return [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]


def _any(pattern: re.Pattern[str], words: Iterable[str]) -> bool:
    return any(pattern.search(word) for word in words)


def _either(word: str, *patterns: re.Pattern[str]) -> bool:
    return any(pattern.search(word) for pattern in patterns)
