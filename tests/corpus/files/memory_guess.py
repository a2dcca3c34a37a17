# $ gunicorn -c memory_guess.py extractor:app
import os

bind = "0.0.0.0:8000"
workers = int(os.getenv("WORKERS", "1"))
worker_class = "uvicorn.workers.UvicornWorker"
timeout = int(os.getenv("TIMEOUT", "600"))
graceful_timeout = 60
max_requests = 500
max_requests_jitter = 100
max_worker_memory = 1024  # gunicorn knows no such setting
log_level = "info"
accesslog = "-"
errorlog = "-"
