"""Words that more than one room uses. Imports nothing, so that every room may import it."""

# Variables every worker finds in its environment, set before the application's lifespan.
ENV_SLOT = "COREPOD_SLOT"  # the place, 0 .. slots - 1; outlives the worker
ENV_WORKER = "COREPOD_WORKER"  # the worker's number: 1, 2, 3 ... in the order the pool started them
ENV_CORE = "COREPOD_CORE"  # the core it is pinned to, empty where it isn't
ENV_RESTARTS = "COREPOD_RESTARTS"  # deaths in this slot before this worker
# Carries the finished settings (JSON) from the command line to the supervisor, and never further.
ENV_SETTINGS = "COREPOD_EFFECTIVE_SETTINGS"
PRELOAD = "LD_PRELOAD"  # kept from the supervisor and given back to the workers

# What workers find in their environment where nobody has set it.
WORKER_ENV = {
    # Numeric libraries start a thread per core of the host; on one core those only take turns.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "BLIS_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    "PYTHON_CPU_COUNT": "1",
    # ddtrace-run unloads asyncio and loads it again where it sees that gevent is installed, used or not; with two
    # classes of CancelledError hypercorn then answers nothing.
    "DD_UNLOAD_MODULES_FROM_SITECUSTOMIZE": "false",
}

APP_PORT = 8000
ADMIN_PORT = 9000
NOTIFY_PORT = 9001  # UDP, of the operator

# Exit codes of the supervisor, and so of the container.
EXIT_OK = 0  # asked to stop
EXIT_INTERNAL = 1  # a fault of corepod's own
EXIT_SETTINGS = 2  # bad command line, variable or file; unsupported platform; limits too low
EXIT_BOOT = 3  # the application raised while it was imported or started
EXIT_APP = 4  # the module or the attribute isn't there, or isn't an application
EXIT_BUDGET = 5  # every slot has used up its crash budget
EXIT_BIND = 6  # an address can't be bound

EXIT_CODES = {
    EXIT_OK: "asked to stop (TERM, INT), and did",
    EXIT_INTERNAL: "an internal error; the traceback is in the log",
    EXIT_SETTINGS: "bad settings (flag, variable or file), unsupported platform, or limits too low",
    EXIT_BOOT: "the application raised an exception while it was imported or started, 3 times",
    EXIT_APP: "the application can't be found, or isn't an ASGI or WSGI application",
    EXIT_BUDGET: "every slot has used up its crash budget",
    EXIT_BIND: "an address can't be bound",
}

# Signals to the supervisor. What isn't named is ignored with a line.
SIGNALS = {
    "TERM, INT": "drain and stop within `stop_timeout`; a second one stops at once",
    "QUIT": "stop at once",
    "HUP": "rolling reload: new code is loaded beside the old, which stays where the new one doesn't get ready",
    "USR1": "dump every worker's stacks to the log",
    "TTIN": "one slot more",
    "TTOU": "one slot less",
}

# The worker's control socket is descriptor 3 of the process the supervisor executes.
CONTROL_FD = 3
PACKET = 1 << 16  # greatest size of a message on a control socket, bytes

# Scoreboard: shared memory of RECORDS records, one for each living worker. A record is written by its worker
# alone and read by the supervisor, which adds it to the slot's totals when the worker is gone.
RECORDS = 512
RECORD_SIZE = 2048  # bytes
# Indices of 64-bit words in a record.
TICK = 0  # CLOCK_MONOTONIC of the loop's last tick, ns
LAG = 1  # how late the last tick was, ns
LAG_MAX = 2
REQUESTS = 3  # requests (and WebSocket sessions) that reached the application
IN_FLIGHT = 4
SHED = 5  # answered 503 because of a limit
ACCEPTED = 6  # connections
CONNECTIONS = 7  # open now
BYTES_IN = 8
BYTES_OUT = 9
STATUS = 10  # six words: no answer, 1xx, 2xx, 3xx, 4xx, 5xx
LATENCY_SUM = 16  # ns
LATENCY = 17  # one word a bucket, the last one without bound
LATENCY_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # seconds
WORDS = LATENCY + len(LATENCY_BOUNDS) + 1
# Words that only ever grow: what a slot keeps of a dead worker.
COUNTERS = (REQUESTS, SHED, ACCEPTED, BYTES_IN, BYTES_OUT, *range(STATUS, WORDS))
# Behind the words: what is being served, for the report of a death.
ENTRIES = 8
ENTRY_OFFSET = 512  # bytes
ENTRY_SIZE = 128  # bytes: start (u64, CLOCK_MONOTONIC ns, 0 = free), then text padded with NUL
TICK_INTERVAL = 0.5  # seconds between two ticks of an idle loop
