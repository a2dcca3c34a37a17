# $ POD_CPU_LIMIT=2 gunicorn -c cost_report.py cost.wsgi
import multiprocessing
import os
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

bind = "0.0.0.0:8080"
cores = int(os.getenv("POD_CPU_LIMIT", multiprocessing.cpu_count()))
workers = int(os.getenv("GUNICORN_WORKERS", cores * 2 + 1))
threads = int(os.getenv("GUNICORN_THREADS", "4"))
worker_class = "gthread" if os.getenv("GUNICORN_GTHREAD") else "sync"
timeout = int(os.getenv("TIMEOUT", "90"))
graceful_timeout = 180
loglevel = os.getenv("LOG_LEVEL", "INFO")
limit_request_field_size = 16380


class Probe(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()


def on_starting(server):
    probes = HTTPServer(("", 9000), Probe)
    threading.Thread(target=probes.serve_forever, daemon=True).start()


def post_fork(server, worker):
    from cost.cache import forget_connections

    forget_connections()


def worker_abort(worker):
    worker.log.error("worker %s took longer than %s s", worker.pid, timeout)
