# $ gunicorn -c queue_reader.py inbox.main:app
import os

bind = "0.0.0.0:8000"
workers = int(os.getenv("NUM_WORKERS", "2"))
worker_class = "uvicorn.workers.UvicornH11Worker"
timeout = 1000
max_requests = 0
graceful_timeout = 30
keepalive = 0
loglevel = os.getenv("LOG_LEVEL", "info")
errorlog = "-"
accesslog = "-"
worker_connections = 1000
backlog = 2048
limit_request_fields = 100
logconfig_dict = {"version": 1, "disable_existing_loggers": False, "loggers": {"inbox": {"level": "DEBUG"}}}
