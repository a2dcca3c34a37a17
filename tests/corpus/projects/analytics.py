# $ PROMETHEUS_MULTIPROC_DIR=/tmp/analytics gunicorn -c analytics.py analytics.wsgi
import os
import socket
import struct
import threading
import time
from http.server import ThreadingHTTPServer

bind = "0.0.0.0:8000"
workers = int(os.getenv("WEB_CONCURRENCY", "4"))
worker_class = "gthread"
threads = int(os.getenv("GUNICORN_THREADS", "8"))
worker_tmp_dir = "/dev/shm"
max_requests = 10000
max_requests_jitter = 1000
limit_request_line = 16380
access_log_format = '{"method": "%(m)s", "path": "%(U)s", "status": %(s)s, "took": %(D)s, "from": "%({x-forwarded-for}i)s"}'
statsd_host = os.getenv("STATSD_ADDRESS", "localhost:8125")
statsd_prefix = "analytics"


def on_starting(server):
    server.log.info("analytics starts")


def when_ready(server):
    from prometheus_client import CollectorRegistry, Gauge, MetricsHandler, multiprocess

    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)
    waiting = Gauge("waiting_connections", "Connections that no worker has accepted yet", registry=registry)

    def count():
        while True:
            for listener in server.LISTENERS:
                info = listener.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
                waiting.set(struct.unpack_from("I", info, 24)[0])
            time.sleep(1)

    threading.Thread(target=count, daemon=True).start()
    exporter = ThreadingHTTPServer(("", 8001), MetricsHandler.factory(registry))
    threading.Thread(target=exporter.serve_forever, daemon=True).start()


def child_exit(server, worker):
    from prometheus_client import multiprocess

    multiprocess.mark_process_dead(worker.pid)


def post_fork(server, worker):
    from analytics.flags import client

    client.start_again()


def worker_exit(server, worker):
    server.log.info("worker %s has ended", worker.pid)
