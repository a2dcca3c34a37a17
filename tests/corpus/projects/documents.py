# $ gunicorn -c documents.py documents.asgi:application
import os
import sys
import threading
import traceback

bind = f"{os.getenv('DOCS_BIND_ADDR', '[::]')}:{os.getenv('DOCS_PORT', '8000')}"
workers = int(os.getenv("DOCS_WEBSERVER_WORKERS", "1"))
worker_class = "uvicorn.workers.UvicornWorker"
timeout = 120
preload_app = True
worker_tmp_dir = "/dev/shm"


def pre_fork(server, worker):
    pass


def pre_exec(server):
    server.log.info("A new master takes over.")


def when_ready(server):
    server.log.info("Ready, workers follow")


def worker_int(worker):
    worker.log.info("interrupted")
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    for ident, frame in sys._current_frames().items():
        worker.log.debug("%s:\n%s", names.get(ident), "".join(traceback.format_stack(frame)))


def worker_abort(worker):
    worker.log.info("aborted")
    for stack in sys._current_frames().values():
        worker.log.error("".join(traceback.format_stack(stack)))
