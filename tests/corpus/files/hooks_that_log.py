# $ gunicorn -c hooks_that_log.py notes.main:app
import logging

log = logging.getLogger("gunicorn.error")

workers = 2
worker_class = "uvicorn.workers.UvicornWorker"
timeout = 120
keepalive = 5
graceful_timeout = 30
accesslog = "-"
errorlog = "-"
loglevel = "info"


def on_starting(server):
    log.info("notes begins")


def post_fork(server, worker):
    log.info("worker %s was forked", worker.pid)


def worker_exit(server, worker):
    log.info("worker %s has ended", worker.pid)


def on_exit(server):
    log.info("notes ends")
