# $ APP_ENV=production gunicorn -c hooks_that_print.py wiki.wsgi
import os
import traceback

debug = os.environ.get("APP_ENV") == "development"

bind = ":8000"
workers = 1 if debug else 4
reload = debug
timeout = 60
graceful_timeout = 30
loglevel = "debug" if debug else "info"
accesslog = "-"
errorlog = "-"
capture_output = True


def when_ready(server):
    print("wiki is ready")


def worker_int(worker):
    print(f"worker {worker.pid} was interrupted")


def worker_abort(worker):
    print(f"worker {worker.pid} took too long")
    traceback.print_stack()
