"""What hooks of gunicorn do, read from their code. Each is one that people have."""

from __future__ import annotations

import re
import textwrap

import pytest
from corepod.migrate.gunicorn.hooks import judge
from corepod.migrate.gunicorn.source import Source
from corepod.migrate.model import Fate

HOOKS = [
    ("def on_exit(server):\n    pass", Fate.DROPPED, "nothing"),
    ("def post_fork(server, worker):\n    server.log.info('spawned %s', worker.pid)", Fate.DROPPED, "log"),
    ("post_worker_init = lambda worker: worker.log.info('hi')", Fate.DROPPED, "log"),
    (
        "def say(text):\n    print(text)\ndef worker_int(worker):\n    say(f'{worker.pid} at {time.time()}')",
        Fate.DROPPED,
        "log",
    ),
    ("def child_exit(server, worker):\n    multiprocess.mark_process_dead(worker.pid)", Fate.DROPPED, "PROMETHEUS"),
    (
        "def on_starting(server):\n    folder = os.environ['PROMETHEUS_MULTIPROC_DIR']\n"
        "    for file in glob.glob(folder + '/*.db'):\n        os.remove(file)",
        Fate.DROPPED,
        "PROMETHEUS",
    ),
    (
        "def worker_abort(worker):\n    import traceback, sys\n"
        "    for ident, frame in sys._current_frames().items():\n        traceback.print_stack(frame)",
        Fate.DROPPED,
        "stacks",
    ),
    ("def when_ready(server):\n    open('/tmp/app-initialized', 'w').close()", Fate.MAPPED, "ready"),
    ("def when_ready(server):\n    Path('/tmp/ready').touch()", Fate.MAPPED, "ready"),
    ("def post_fork(server, worker):\n    engine.dispose()", Fate.DROPPED, "anew"),
    ("def post_fork(server, worker):\n    np.random.seed()", Fate.DROPPED, "seed"),
    ("def post_fork(server, worker):\n    patch_psycopg()", Fate.DROPPED, "green"),
    (
        "def post_fork(server, worker):\n    trace.set_tracer_provider(TracerProvider())",
        Fate.NEEDS_YOU,
        "telemetry",
    ),
    ("def when_ready(server):\n    Thread(target=work).start()", Fate.NEEDS_YOU, "corepod.leader"),
    ("def on_starting(server):\n    scheduler.start()", Fate.NEEDS_YOU, "corepod.leader"),
    ("def post_worker_init(worker):\n    threading.Thread(target=w).start()", Fate.NEEDS_YOU, "lifespan"),
    ("def on_starting(server):\n    start_http_server(9090)", Fate.NEEDS_YOU, "admin port"),
    ("def post_request(worker, req, environ, resp):\n    COUNT.inc()", Fate.NEEDS_YOU, "metrics"),
    ("def child_exit(server, worker):\n    requests.post('https://example.com')", Fate.NEEDS_YOU, "webhook"),
    ("def worker_exit(server, worker):\n    pool.shutdown()", Fate.NEEDS_YOU, "lifespan"),
    ("def on_starting(server):\n    os.environ['A'] = 'b'", Fate.NEEDS_YOU, "os.environ['A']"),
    ("def on_reload(server):\n    cache.warm()", Fate.NEEDS_YOU, "cache.warm"),
    (
        "class F(logging.Filter):\n    def filter(self, record):\n        return '/health' not in record.getMessage()\n"
        "def on_starting(server):\n    logging.getLogger('gunicorn.access').addFilter(F())",
        Fate.CHECK,
        "aren't logged",
    ),
]


@pytest.mark.parametrize(("text", "fate", "said"), HOOKS)
def test_what_a_hook_does(text: str, fate: Fate, said: str) -> None:
    source = Source(textwrap.dedent(text))
    lines = text.splitlines()
    line = next(at for at, one in enumerate(lines, 1) if re.search(r"(\((server|worker)|lambda worker)", one))
    name = re.sub(r"^def ", "", lines[line - 1]).replace("(", " ").split()[0]
    hook = judge(name, source.function(line), source, preload=False)
    assert (hook.fate, said in hook.note) == (fate, True), hook


def test_what_is_made_anew_after_a_fork_is_needed_where_the_application_is_shared() -> None:
    source = Source("def post_fork(server, worker):\n    engine.dispose()")
    hook = judge("post_fork", source.function(1), source, preload=True)
    assert (hook.fate, hook.ours, hook.to) == (Fate.CHECK, "preload", "libraries")
    assert "register_at_fork" in hook.note


def test_a_hook_whose_code_is_elsewhere_is_for_people() -> None:
    assert judge("post_fork", None, Source(), preload=False).fate is Fate.NEEDS_YOU
