# $ gunicorn -c registry.py registry:application
import logging
import os

bind = "unix:/tmp/registry_web.sock"
workers = int(os.getenv("WORKER_COUNT_WEB", "4"))
worker_class = "gevent"
worker_connections = int(os.getenv("WORKER_CONNECTION_COUNT_WEB", "1000"))
pythonpath = "/srv/registry"
preload_app = True
timeout = 2000
loglevel = "debug" if os.getenv("DEBUGLOG") == "true" else "info"
capture_output = True
logconfig = "rotating.ini"


def when_ready(server):
    logging.getLogger(__name__).debug("started with %s workers", workers)
