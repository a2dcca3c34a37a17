# $ gunicorn -c pool_after_fork.py registry:app
import os

bind = "0.0.0.0:5000"
workers = 4
preload_app = True
timeout = 120
max_requests = 1200
loglevel = os.getenv("LOG_LEVEL", "info")
accesslog = "-"


def post_fork(server, worker):
    from registry.database import engine

    engine.dispose(close=False)
    server.log.info("worker %s has a pool of its own", worker.pid)
