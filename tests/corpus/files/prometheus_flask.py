# $ PROMETHEUS_MULTIPROC_DIR=/tmp/metrics gunicorn -c prometheus_flask.py orders:app
from prometheus_client import multiprocess

bind = "0.0.0.0:8000"
workers = 4
threads = 2
timeout = 60
loglevel = "info"


def child_exit(server, worker):
    multiprocess.mark_process_dead(worker.pid)
