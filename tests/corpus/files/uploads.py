# $ gunicorn -c uploads.py media.wsgi
import os

chdir = "/srv/media"
bind = "0.0.0.0:8000"
workers = 9
worker_class = "gthread"
threads = 16
timeout = int(os.environ.get("UPLOAD_TIMEOUT", "300"))
graceful_timeout = 300
keepalive = 30
worker_tmp_dir = "/dev/shm"
limit_request_line = 6000
max_requests = 500
max_requests_jitter = 50
preload_app = True
loglevel = "info"
accesslog = "-"


def when_ready(server):
    server.log.info("media is ready")
