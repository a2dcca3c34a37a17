# $ PROMETHEUS_MULTIPROC_DIR=/dev/shm/identity gunicorn -c identity.py identity.root:app
"""Workers get the lowest free number, so that there are few files of metrics."""
import os
import shutil
from pathlib import Path

bind = "unix:///dev/shm/identity.sock"
workers = int(os.getenv("IDENTITY_WORKERS", "2"))
threads = int(os.getenv("IDENTITY_THREADS", "4"))
worker_class = "identity.worker.LifespanWorker"
worker_tmp_dir = "/dev/shm"
preload_app = True
max_requests = 1000
max_requests_jitter = 50
logconfig_dict = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"json": {"class": "logging.StreamHandler", "stream": "ext://sys.stderr"}},
    "loggers": {"gunicorn": {"handlers": ["json"], "level": "INFO", "propagate": False}},
}
METRICS = Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])


def on_starting(server):
    shutil.rmtree(METRICS, ignore_errors=True)
    METRICS.mkdir(parents=True, exist_ok=True)
    server._numbers = {}


def nworkers_changed(server, new_value, old_value):
    server._count = new_value


def _free(server):
    taken = set(server._numbers.values())
    return next(number for number in range(1, len(taken) + 2) if number not in taken)


def pre_fork(server, worker):
    worker._number = _free(server)
    server._numbers[id(worker)] = worker._number


def post_fork(server, worker):
    from prometheus_client import values

    values.ValueClass = values.MultiProcessValue(lambda: worker._number)


def worker_exit(server, worker):
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(worker._number)


def child_exit(server, worker):
    server._numbers.pop(id(worker), None)


def on_exit(server):
    shutil.rmtree(METRICS, ignore_errors=True)


def when_ready(server):
    server.log.info("ready")
