# $ gunicorn -c bi.py 'bi.app:create_app()'
import os

bind = f"{os.getenv('BI_BIND', '0.0.0.0')}:{os.getenv('BI_PORT', '8088')}"
workers = int(os.getenv("SERVER_WORKER_AMOUNT", "1"))
worker_class = os.getenv("SERVER_WORKER_CLASS", "gthread")
threads = int(os.getenv("SERVER_THREADS_AMOUNT", "20"))
timeout = int(os.getenv("GUNICORN_TIMEOUT", "60"))
keepalive = int(os.getenv("GUNICORN_KEEPALIVE", "2"))
accesslog = os.getenv("ACCESS_LOG_FILE", "-")
errorlog = os.getenv("ERROR_LOG_FILE", "-")
loglevel = os.getenv("GUNICORN_LOGLEVEL", "info")
max_requests = int(os.getenv("WORKER_MAX_REQUESTS", "0"))
max_requests_jitter = int(os.getenv("WORKER_MAX_REQUESTS_JITTER", "0"))
limit_request_line = int(os.getenv("SERVER_LIMIT_REQUEST_LINE", "0"))
limit_request_field_size = int(os.getenv("SERVER_LIMIT_REQUEST_FIELD_SIZE", "0"))
statsd_host = os.getenv("STATSD", "statsd:9125")
