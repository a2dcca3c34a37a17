# $ gunicorn -c abort_stacks.py intake.wsgi
import faulthandler
import os

bind = os.getenv("GUNICORN_BIND", "0.0.0.0:8000")
workers = int(os.getenv("GUNICORN_WORKERS", "4"))
threads = 8
worker_class = "gthread"
timeout = 30
graceful_timeout = 30
max_requests = 1000
max_requests_jitter = 100
keepalive = 5
loglevel = os.getenv("GUNICORN_LOG_LEVEL", "info")
accesslog = "-"
errorlog = "-"


def worker_abort(worker):
    faulthandler.dump_traceback()
