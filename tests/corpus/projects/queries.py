# $ gunicorn -c queries.py queries.wsgi:app
import os

bind = "0.0.0.0:5000"
workers = int(os.getenv("QUERIES_WEB_WORKERS", "4"))
max_requests = int(os.getenv("MAX_REQUESTS", "1000"))
max_requests_jitter = int(os.getenv("MAX_REQUESTS_JITTER", "100"))
timeout = int(os.getenv("QUERIES_GUNICORN_TIMEOUT", "60"))
accesslog = "-"
errorlog = "-"
