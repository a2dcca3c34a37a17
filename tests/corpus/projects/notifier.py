# $ gunicorn -c notifier.py notifier.wsgi
import os
import sys
import traceback

bind = f"0.0.0.0:{os.getenv('PORT', '6011')}"
workers = 4
worker_class = "notifier.worker.TimedEventletWorker"
worker_connections = 8
statsd_host = f"{os.getenv('STATSD_HOST', 'localhost')}:8125"
keepalive = 90
errorlog = "/home/notifier/logs/gunicorn_error.log"
timeout = int(os.getenv("HTTP_SERVE_TIMEOUT_SECONDS", "30"))


def on_starting(server):
    server.log.info("Starting notifier")


def worker_abort(worker):
    worker.log.info("worker received ABORT")
    for stack in sys._current_frames().values():
        worker.log.error("".join(traceback.format_stack(stack)))


def worker_int(worker):
    worker.log.info("worker %s received INT", worker.pid)


def on_exit(server):
    server.log.info("Stopping notifier")
