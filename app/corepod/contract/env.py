"""Environment variables and ports that more than one room uses."""

# Variables every worker finds in its environment, set before the application's lifespan.
ENV_SLOT = "COREPOD_SLOT"  # the place, 0 .. slots - 1; outlives the worker
ENV_WORKER = "COREPOD_WORKER"  # the worker's number: 1, 2, 3 ... in the order the pool started them
ENV_CORE = "COREPOD_CORE"  # the core it is pinned to, empty where it isn't
ENV_RESTARTS = "COREPOD_RESTARTS"  # deaths in this slot before this worker
# Carries the finished settings (JSON) from the command line to the supervisor, and never further.
ENV_SETTINGS = "COREPOD_EFFECTIVE_SETTINGS"
# Settings that are shown to nobody, and not left in the environment of the workers: whoever prints that would print
# them, too.
SECRETS = ("tls_key_password", "shared")
LD_PRELOAD = "LD_PRELOAD"  # kept from the supervisor and given back to the workers

# What workers find in their environment where nobody has set it.
WORKER_ENV = {
    # ddtrace-run unloads asyncio and loads it again where it sees that gevent is installed, used or not; with two
    # classes of CancelledError hypercorn then answers nothing.
    "DD_UNLOAD_MODULES_FROM_SITECUSTOMIZE": "false",
    # pyarrow (and pandas, which imports it) brings an allocator that starts a thread when it is loaded: the process
    # could not be forked any more. Without the thread memory is given back by the threads that free it.
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
}
# The same, where each worker has one core (not with `--pin never`). Numeric libraries start a thread for each core of
# the host, which only take turns there.
ONE_CORE_ENV = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "BLIS_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    "PYTHON_CPU_COUNT": "1",
}

APP_PORT = 8000
ADMIN_PORT = 9000
NOTIFY_PORT = 9001  # UDP, of the operator

# Each names the folder of prometheus_client's multiprocess mode.
METRICS_FOLDER = ("PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir")
