# $ gunicorn -c tutorial_annotated.py project.wsgi:application
"""Settings of the production server, with everything written out."""
import multiprocessing

# Where it listens
bind = "0.0.0.0:8000"
backlog = 2048

# Workers
workers = multiprocessing.cpu_count() * 2 + 1
worker_class = "sync"
worker_connections = 1000
timeout = 30
keepalive = 2

# A worker ends after so many requests, which keeps leaks small
max_requests = 1000
max_requests_jitter = 50

# Log
accesslog = "-"
errorlog = "-"
loglevel = "info"
access_log_format = '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s" %(D)s'

# Process
proc_name = "project"
daemon = False
pidfile = None
user = None
group = None
tmp_upload_dir = None

preload_app = True


def on_starting(server):
    """Said once, before anything else."""
    server.log.info("Starting the server")


def when_ready(server):
    server.log.info("Ready: workers are being made")


def on_reload(server):
    server.log.info("Reloading")


def worker_int(worker):
    worker.log.info("worker %s was interrupted", worker.pid)


def pre_fork(server, worker):
    pass


def post_fork(server, worker):
    server.log.info("worker %s is there", worker.pid)
