# $ PORT=8080 WEB_CONCURRENCY=2 gunicorn -c ready_file.py catalog.wsgi
import os
from pathlib import Path

bind = "unix:///tmp/nginx.socket"
workers = int(os.environ.get("WEB_CONCURRENCY", "1"))
worker_class = "sync"
worker_connections = 1000


def when_ready(server):
    Path("/tmp/app-initialized").touch()
