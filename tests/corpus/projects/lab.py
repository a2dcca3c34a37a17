# $ gunicorn -c lab.py lab.asgi:app
import os

bind = os.getenv("LAB_BIND", "0.0.0.0:8000")
workers = int(os.getenv("LAB_WORKERS", "2"))
worker_class = "lab.worker.UvicornWorkerWithoutLifespan"
timeout = 120
loglevel = os.getenv("LOG_LEVEL", "info")
accesslog = "-"
forwarded_allow_ips = "*"
