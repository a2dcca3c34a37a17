# $ gunicorn -c court_cases.py cases.asgi:application
import os

bind = "0.0.0.0:8000"
workers = int(os.getenv("NUM_WORKERS", "48"))
worker_class = "uvicorn.workers.UvicornWorker"
limit_request_line = 6000
timeout = 180
max_requests = 1000
max_requests_jitter = 100
user = "33"
